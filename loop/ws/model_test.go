package ws

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	gobwas "github.com/gobwas/ws"
)

// normal are limits that most tests can live with.
var normal = Limits{Message: 1 << 16, Frames: 64}

// frame describes a client's frame; the zero mask is sent as a mask of zeros.
type frame struct {
	op      byte
	payload string
	more    bool // not final
	rsv     byte
	bare    bool // not masked
	mask    [4]byte
}

func (f frame) append(dst []byte) []byte {
	h := gobwas.Header{Fin: !f.more, Rsv: f.rsv, OpCode: gobwas.OpCode(f.op), Masked: !f.bare, Mask: f.mask, Length: int64(len(f.payload))}
	b := bytes.NewBuffer(dst)
	_ = gobwas.WriteHeader(b, h)
	for i := range len(f.payload) {
		b.WriteByte(f.payload[i] ^ f.mask[i%4])
	}
	return b.Bytes()
}

func stream(frames ...frame) (b []byte) {
	for i, f := range frames {
		if f.mask == [4]byte{} && !f.bare {
			binary.BigEndian.PutUint32(f.mask[:], 0x9d3bc1f7*uint32(i+1))
		}
		b = f.append(b)
	}
	return b
}

// rawHeader is a header with a length in a form of the test's choice.
func rawHeader(first byte, form byte, length uint64) []byte {
	b := []byte{first, form | bitMask}
	switch form {
	case length16:
		b = binary.BigEndian.AppendUint16(b, uint16(length))
	case length64:
		b = binary.BigEndian.AppendUint64(b, length)
	}
	return append(b, 1, 2, 3, 4)
}

// outcome is what a stream gave: messages as text, then the code of the error, 0 for none.
type outcome struct {
	messages []string
	code     uint16
}

func (o outcome) equal(p outcome) bool {
	return slices.Equal(o.messages, p.messages) && o.code == p.code
}

// feed gives each chunk to d. Chunks are copied first, since Next unmasks in place, and spoiled afterwards.
func feed(tb testing.TB, d *Decoder, lim Limits, chunks ...[]byte) (o outcome) {
	tb.Helper()
	for _, c := range chunks {
		c = bytes.Clone(c)
		for in := c; ; {
			m, ok, rest, err := d.Next(in, lim)
			if err != nil {
				var e *Error
				if !errors.As(err, &e) || ok || rest != nil {
					tb.Fatalf("error %v, ok %v, rest %d", err, ok, len(rest))
				}
				if _, _, _, again := d.Next([]byte{0x89, 0x80, 0, 0, 0, 0}, lim); again != err { //nolint:errorlint // the same one
					tb.Fatalf("after %v came %v", err, again)
				}
				o.code = e.Code
				return o
			}
			if !ok {
				if len(rest) != 0 {
					tb.Fatalf("no message, but %d bytes left", len(rest))
				}
				break
			}
			if cap(m.Payload) != len(m.Payload) {
				tb.Fatal("appending to the payload would write into the input")
			}
			o.messages = append(o.messages, string('0'+rune(m.Op))+string(m.Payload))
			if in = rest; len(in) == 0 {
				break
			}
		}
		for i := range c {
			c[i] = 0xee
		}
	}
	return o
}

// model decodes the whole stream by gobwas.ReadHeader and the slowest means there are.
func model(b []byte, lim Limits) (o outcome) {
	r := bytes.NewReader(b)
	var message []byte
	var op gobwas.OpCode
	frames := 0
	for {
		before := r.Len()
		h, err := gobwas.ReadHeader(r)
		switch {
		case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
			return o
		case err != nil:
			return outcome{o.messages, codeProtocol}
		case before-r.Len() != gobwas.HeaderSize(h):
			return outcome{o.messages, codeProtocol}
		}
		state := gobwas.StateServerSide
		if frames > 0 {
			state |= gobwas.StateFragmented
		}
		if gobwas.CheckHeader(h, state) != nil {
			return outcome{o.messages, codeProtocol}
		}
		if h.OpCode.IsData() {
			if frames++; frames > lim.Frames {
				return outcome{o.messages, codePolicy}
			}
			if h.Length > int64(lim.Message) || int64(len(message))+h.Length > int64(lim.Message) {
				return outcome{o.messages, codeTooBig}
			}
			if h.OpCode != gobwas.OpContinuation {
				op = h.OpCode
			}
		}
		p := make([]byte, min(h.Length, int64(r.Len())))
		_, _ = io.ReadFull(r, p)
		for i := range p {
			p[i] ^= h.Mask[i%4]
		}
		cut := int64(len(p)) < h.Length
		if h.OpCode.IsControl() {
			if cut {
				return o
			}
			if code := modelClose(h.OpCode, p); code != 0 {
				return outcome{o.messages, code}
			}
			o.messages = append(o.messages, string('0'+rune(h.OpCode))+string(p))
			continue
		}
		message = append(message, p...)
		viable, whole := utf8Prefix(message)
		last := h.Fin && !cut
		if op == gobwas.OpText && (!viable || last && !whole) {
			return outcome{o.messages, codeUTF8}
		}
		if cut {
			return o
		}
		if last {
			o.messages = append(o.messages, string('0'+rune(op))+string(message))
			message, frames = nil, 0
		}
	}
}

func modelClose(op gobwas.OpCode, p []byte) uint16 {
	if op != gobwas.OpClose || len(p) == 0 {
		return 0
	}
	if len(p) == 1 {
		return codeProtocol
	}
	switch code := binary.BigEndian.Uint16(p); {
	case code < 1000, code == 1004, code == 1005, code == 1006, code >= 1015 && code < 3000, code >= 5000:
		return codeProtocol
	}
	if _, whole := utf8Prefix(p[2:]); !whole {
		return codeUTF8
	}
	return 0
}

// utf8Prefix is the grammar of RFC 3629, section 4, written out: viable says that p begins some valid text, whole that it
// is one.
func utf8Prefix(p []byte) (viable, whole bool) {
	in := func(i int, lo, hi byte) bool { return i >= len(p) || lo <= p[i] && p[i] <= hi }
	for i := 0; i < len(p); {
		n, lo, hi := 0, byte(0x80), byte(0xbf)
		switch c := p[i]; {
		case c <= 0x7f:
		case c >= 0xc2 && c <= 0xdf:
			n = 1
		case c == 0xe0:
			n, lo = 2, 0xa0
		case c == 0xed:
			n, hi = 2, 0x9f
		case c >= 0xe1 && c <= 0xef:
			n = 2
		case c == 0xf0:
			n, lo = 3, 0x90
		case c >= 0xf1 && c <= 0xf3:
			n = 3
		case c == 0xf4:
			n, hi = 3, 0x8f
		default:
			return false, false
		}
		for k := 1; k <= n; k++ {
			if k > 1 {
				lo, hi = 0x80, 0xbf
			}
			if !in(i+k, lo, hi) {
				return false, false
			}
		}
		if i += n + 1; i > len(p) {
			return true, false
		}
	}
	return true, true
}

// randomStream makes a mostly valid stream; the seed decides everything.
func randomStream(rnd *rand.Rand) []byte {
	texts := []string{"", "a", "hello", "κόσμε", "\xf0\x9f\x8e\xba fanfare", "\xed\xa0\x80", string(make([]byte, 126)), string(make([]byte, 300))}
	var frames []frame
	for open := false; len(frames) < 8; {
		f := frame{op: OpText, payload: texts[rnd.IntN(len(texts))], more: rnd.IntN(3) == 0}
		binary.LittleEndian.PutUint32(f.mask[:], rnd.Uint32()|1)
		switch k := rnd.IntN(12); {
		case k < 2:
			f.op, f.more, f.payload = OpPing, false, f.payload[:min(len(f.payload), 125)]
		case k == 2:
			f.op, f.more, f.payload = OpClose, false, "\x03\xe8bye"
		case k == 3 && len(f.payload) > 1:
			cut := rnd.IntN(len(f.payload))
			g := f
			g.payload, g.more = f.payload[:cut], true
			if open {
				g.op = OpContinuation
			}
			frames, open = append(frames, g), true
			f.payload = f.payload[cut:]
			fallthrough
		default:
			if open {
				f.op = OpContinuation
			} else if rnd.IntN(2) == 0 {
				f.op = OpBinary
			}
			open = f.more
		}
		if rnd.IntN(60) == 0 {
			f.op = byte(rnd.IntN(16))
		}
		frames = append(frames, f)
	}
	return stream(frames...)
}
