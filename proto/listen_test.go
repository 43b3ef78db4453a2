package proto_test

import (
	"strings"
	"testing"

	"fanfare/proto"
)

func TestParseListen(t *testing.T) {
	for s, want := range map[string]proto.Listen{
		"127.0.0.1:8080":                    {"native", "127.0.0.1:8080", "default", ""},
		":0":                                {"native", ":0", "default", ""},
		"[::]:8080":                         {"native", "[::]:8080", "default", ""},
		"[fe80::1%eth0]:1":                  {"native", "[fe80::1%eth0]:1", "default", ""},
		"localhost:65535,namespace=a.b-c_D": {"native", "localhost:65535", "a.b-c_D", ""},
		"unix:/run/x=y.sock":                {"native", "unix:/run/x=y.sock", "default", ""},
		"pusher=unix:/x,namespace=n":        {"pusher", "unix:/x", "n", ""},
		"wsify=[::1]:1":                     {"wsify", "[::1]:1", "default", ""},
		":1,slow=drop-oldest":               {"native", ":1", "default", "drop-oldest"},
		":1,slow=disconnect,namespace=n":    {"native", ":1", "n", "disconnect"},
	} {
		got, err := proto.ParseListen(s)
		if err != nil || got != want {
			t.Errorf("%q: %+v %v", s, got, err)
		}
		if back, err := proto.ParseListen(got.String()); err != nil || back != got {
			t.Errorf("%q -> %q: %+v %v", s, got.String(), back, err)
		}
	}
	for s, text := range map[string]string{
		"":                                    "no address",
		"8080":                                "must be HOST:PORT, [IPV6]:PORT, :PORT or unix:/PATH",
		"::1:8080":                            "must be HOST:PORT",
		"a:http":                              "port must be a number",
		"a:65536":                             "port must be a number",
		"a:+1":                                "port must be a number",
		"a:01":                                "port must be a number",
		"a:":                                  "port must be a number",
		"a b:1":                               "malformed host",
		"http://a:1":                          "must be HOST:PORT",
		"unix:":                               "must begin with /",
		"unix:x":                              "must begin with /",
		"unix:/" + string(make([]byte, 1)):    "zero byte",
		"unix:/" + strings.Repeat("x", 107):   "at most 107 bytes",
		"=a:1":                                "dialect",
		"na tive=a:1":                         "dialect",
		"a:1,":                                `unknown option ""`,
		"a:1,namspace=x":                      `did you mean "namespace"?`,
		"a:1,tls=x":                           `unknown option "tls" (known: namespace, slow)`,
		"a:1,namespace=":                      "must be 1 to 64",
		"a:1,namespace=a b":                   "must be 1 to 64",
		"a:1,namespace=é":                     "must be 1 to 64",
		"a:1,namespace":                       "must be 1 to 64",
		"a:1,namespace=x,namespace=x":         "given twice",
		"a:1,slow=drop":                       `policy "drop"`,
		"a:1,slow=drop-odlest":                `did you mean "drop-oldest"?`,
		"a:1,slow=disconnect,slow=disconnect": "slow given twice",
		"a:1,b:2":                             "unknown option",
	} {
		if got, err := proto.ParseListen(s); err == nil || !strings.Contains(err.Error(), text) || !strings.Contains(err.Error(), "[DIALECT=]ADDR") {
			t.Errorf("%q: %+v %v", s, got, err)
		}
	}
}

// FuzzParseListen: nothing does harm, and what is taken is read the same way again.
func FuzzParseListen(f *testing.F) {
	for _, s := range []string{"native=127.0.0.1:80,namespace=x", "unix:/a", "[::]:1", "a:1,", "=", ",", "a=b=c:1", "[=]:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		l, err := proto.ParseListen(s)
		if err != nil {
			if l != (proto.Listen{}) {
				t.Fatal(l)
			}
			return
		}
		if back, err := proto.ParseListen(l.String()); err != nil || back != l {
			t.Fatalf("%q: %+v %q %+v %v", s, l, l.String(), back, err)
		}
	})
}
