package ws

import (
	"encoding/binary"
	"math"

	gobwas "github.com/gobwas/ws"
)

const (
	bitFin   = 0x80
	bitMask  = 0x80
	length16 = 126 // the length follows in two bytes
	length64 = 127 // the length follows in eight bytes
	maskSize = 4
)

// headerSize returns the length of the frame header that begins with b, as far as b shows it: 2 until the second byte
// is there, exact from then on.
func headerSize(b []byte) int {
	if len(b) < gobwas.MinHeaderSize {
		return gobwas.MinHeaderSize
	}
	n := gobwas.MinHeaderSize
	switch b[1] &^ bitMask {
	case length16:
		n += 2
	case length64:
		n += 8
	}
	if b[1]&bitMask != 0 {
		n += maskSize
	}
	return n
}

// parseHeader reads the frame header b, which is exactly headerSize(b) long (RFC 6455, section 5.2).
func parseHeader(b []byte) (h gobwas.Header, e *Error) {
	h.Fin = b[0]&bitFin != 0
	h.Rsv = b[0] >> 4 & 7
	h.OpCode = gobwas.OpCode(b[0] & 0xf)
	h.Masked = b[1]&bitMask != 0
	if h.Masked {
		copy(h.Mask[:], b[len(b)-maskSize:])
	}
	switch n := b[1] &^ bitMask; n {
	case length16:
		h.Length = int64(binary.BigEndian.Uint16(b[2:]))
		if h.Length < length16 {
			return h, errLengthForm
		}
	case length64:
		long := binary.BigEndian.Uint64(b[2:])
		if long > math.MaxInt64 {
			return h, errLengthSign
		}
		if long <= math.MaxUint16 {
			return h, errLengthForm
		}
		h.Length = int64(long)
	default:
		h.Length = int64(n)
	}
	return h, nil
}
