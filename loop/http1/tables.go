package http1

// classes says for each byte where in a head it may stand.
var classes = makeClasses()

const (
	digits = "0123456789"
	alnum  = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" + digits
)

func makeClasses() (t [256]class) {
	for _, s := range [...]struct {
		class class
		bytes string
	}{
		{inToken, alnum + "!#$%&'*+-.^_`|~"},
		{inHost, alnum + "!$%&'()*+,-.:;=[]_~"},
		{inName, alnum + "-._~"},
		{inBase64, alnum + "+/"},
		{inDigits, digits},
		{inValue, "\t "},
	} {
		for i := range len(s.bytes) {
			t[s.bytes[i]] |= s.class
		}
	}
	for i := int(' ') + 1; i < len(t); i++ {
		t[i] |= inTarget | inValue
	}
	t[0x7f] = 0
	t['#'] &^= inTarget
	return t
}

// critical are the headers on which reading and framing depend. Two lines of one of them are refused: of two readers one
// might take the first and the other the last.
var critical = [...]string{
	criticalHost:    "Host",
	criticalLength:  "Content-Length",
	criticalCoding:  "Transfer-Encoding",
	criticalKey:     "Sec-WebSocket-Key",
	criticalVersion: "Sec-WebSocket-Version",
}
