package load

import "strconv"

// A stamp is "~", the run's four characters, topic, sequence and time in hexadecimal. It has no character that JSON escapes, and
// "~" only at its beginning, so that a search need never go back.
const (
	mark        = '~'
	runLen      = 4
	topicDigits = 6
	seqDigits   = 8
	atDigits    = 16
	seqFrom     = 1 + runLen + topicDigits
	atFrom      = seqFrom + seqDigits

	// StampLen is the least size of a payload.
	StampLen = atFrom + atDigits
	// MaxTopics is how many topics a stamp can tell apart.
	MaxTopics = 1 << (4 * topicDigits)
	// MaxSeq is the last message of a topic.
	MaxSeq = 1<<32 - 2
)

// Stamp is what a payload says of itself.
type Stamp struct {
	Topic uint32
	Seq   uint32 // from 1
	At    int64  // begin of the publish
}

// AppendPayload appends a payload of size bytes.
func AppendPayload(dst []byte, run string, s Stamp, size int) []byte {
	from := len(dst)
	dst = append(dst, mark)
	dst = append(dst, run[:runLen]...)
	dst = appendHex(dst, uint64(s.Topic), topicDigits)
	dst = appendHex(dst, uint64(s.Seq), seqDigits)
	dst = appendHex(dst, uint64(s.At), atDigits)
	for len(dst)-from < size {
		dst = append(dst, '.')
	}
	return dst
}

func appendHex(dst []byte, v uint64, digits int) []byte {
	for shift := 4 * (digits - 1); shift >= 0; shift -= 4 {
		dst = append(dst, "0123456789abcdef"[v>>shift&15])
	}
	return dst
}

// hexDigit is negative if c is none.
func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	}
	return -1
}

func readHex(b []byte) (v uint64, ok bool) {
	bad := 0
	for _, c := range b {
		d := hexDigit(c)
		bad |= d
		v = v<<4 | uint64(d&15)
	}
	return v, bad >= 0
}

// RunName turns a number into the four characters of a run.
func RunName(n uint32) string {
	const all = 36 * 36 * 36 * 36
	name := strconv.FormatUint(uint64(n%all)+all, 36)
	return name[1:]
}
