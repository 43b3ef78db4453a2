package ws

import (
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	gobwas "github.com/gobwas/ws"
)

const (
	codeSize  = 2                                            // the status code in a close frame
	reasonMax = gobwas.MaxControlFramePayloadSize - codeSize // bytes of a close reason
	noStatus  = uint16(gobwas.StatusNoStatusRcvd)            // stands for a close frame without body
)

// AppendFrame appends a server's frame to dst: final, not masked (RFC 6455, section 5.2). When dst has no room it is
// grown once, to the exact size if it was nil. A control frame must have at most 125 bytes of payload; a longer payload
// is cut there.
func AppendFrame(dst []byte, op byte, payload []byte) []byte {
	if gobwas.OpCode(op).IsControl() && len(payload) > gobwas.MaxControlFramePayloadSize {
		payload = payload[:gobwas.MaxControlFramePayloadSize]
	}
	dst = appendHeader(dst, op, len(payload))
	return append(dst, payload...)
}

// AppendClose appends a server's close frame to dst (RFC 6455, section 5.5.1). The reason is cut at 123 bytes, between
// two characters; bytes that are not UTF-8 are replaced. The codes that must not be sent (0, 1005, 1006, 1015) give
// a close frame without body, so that what ParseClose returned may be echoed.
func AppendClose(dst []byte, code uint16, reason string) []byte {
	if code == 0 || gobwas.StatusCode(code).IsProtocolReserved() {
		return appendHeader(dst, OpClose, 0)
	}
	reason = cutReason(reason)
	dst = appendHeader(dst, OpClose, codeSize+len(reason))
	dst = binary.BigEndian.AppendUint16(dst, code)
	return append(dst, reason...)
}

// ParseClose returns the status code and the reason of a close frame that Next returned. The code is 1005 if the frame
// has none (RFC 6455, section 7.1.5).
func ParseClose(payload []byte) (code uint16, reason string) {
	if len(payload) < codeSize {
		return noStatus, ""
	}
	return binary.BigEndian.Uint16(payload), string(payload[codeSize:])
}

// appendHeader appends the header of a frame with n bytes of payload and makes room for these.
func appendHeader(dst []byte, op byte, n int) []byte {
	size := gobwas.HeaderSize(gobwas.Header{Length: int64(n)}) + n
	if dst == nil {
		dst = make([]byte, 0, size)
	}
	dst = slices.Grow(dst, size)
	dst = append(dst, bitFin|op)
	switch {
	case n < length16:
		return append(dst, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, length16), uint16(n))
	default:
		return binary.BigEndian.AppendUint64(append(dst, length64), uint64(n))
	}
}

func cutReason(s string) string {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, string(utf8.RuneError))
	}
	if len(s) <= reasonMax {
		return s
	}
	n := reasonMax
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// checkClose checks the payload of a client's close frame (RFC 6455, sections 5.5.1 and 7.4).
func checkClose(p []byte) *Error {
	switch {
	case len(p) == 0:
		return nil
	case len(p) < codeSize:
		return errCloseLength
	case !mayClose(gobwas.StatusCode(binary.BigEndian.Uint16(p))):
		return errCloseCode
	case !utf8.Valid(p[codeSize:]):
		return errReason
	}
	return nil
}

// mayClose reports whether a close frame may carry the code. gobwas.CheckCloseFrameData decides this too, but admits 5000
// and above and refuses 1012 to 1014, which are registered with IANA.
func mayClose(c gobwas.StatusCode) bool {
	switch {
	case c.In(gobwas.StatusRangeApplication), c.In(gobwas.StatusRangePrivate):
		return true
	case c >= 1012 && c <= 1014:
		return true
	}
	return c.IsProtocolDefined() && !c.IsProtocolReserved()
}
