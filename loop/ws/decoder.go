package ws

import (
	"slices"
	"unicode/utf8"

	gobwas "github.com/gobwas/ws"
)

const (
	keepCap  = 4 << 10 // a buffer up to this size is kept for the next message or connection
	firstCap = 64      // the least that is allocated for a partial message, if it can get that long
)

// Limits bound one message of a client. They are taken as they are: there is no value that means "no limit", and the
// zero value admits nothing but control frames.
type Limits struct {
	Message int // payload bytes of one message, all its frames together
	Frames  int // frames of one message, empty ones included
}

// Message is a whole data message (OpText, OpBinary) or one control frame (OpClose, OpPing, OpPong), unmasked.
type Message struct {
	Op      byte
	Payload []byte // valid until the next call of Next or Reset; may be written to, not appended to in place
}

// Decoder reads the client's side of one connection. The zero value is ready for use. It is not safe for concurrent
// use. A Decoder that is Idle may be dropped, or given to another connection after Reset.
type Decoder struct {
	buf     []byte // the message so far; behind it the part of a control frame that came in between
	h       gobwas.Header
	failed  *Error
	got     int // payload bytes of frame h taken so far
	msg     int // bytes of the message in buf
	valid   int // bytes of the message known to be whole UTF-8 sequences
	frames  int // frames of the message so far
	op      byte
	inFrame bool // h is a frame whose payload is not complete
	headed  uint8
	head    [gobwas.MaxHeaderSize]byte // the first headed bytes of the next header
}

// Next takes the next message out of in. With ok, m is the message and rest is what follows it: call Next again with
// rest as long as it is not empty. Without ok all of in has been taken, rest is empty, and Next wants the bytes that
// the connection delivers next.
//
// The input is unmasked in place. A message of one frame that lies whole in it is returned as a part of it, without copy
// or allocation; anything else is gathered in the Decoder as it arrives. Control frames between the fragments of a message
// are returned at once. The payload of a close frame has been validated: see ParseClose.
//
// A non-nil error is an *Error. It is raised at the first header or byte that cannot be part of a valid stream within lim
// (RFC 6455, sections 5, 7.4 and 8.1), and every later call returns it again until Reset.
func (d *Decoder) Next(in []byte, lim Limits) (m Message, ok bool, rest []byte, err error) {
	if d.failed != nil {
		return Message{}, false, nil, d.failed
	}
	d.release()
	for {
		if !d.inFrame {
			n, e := d.header(in, lim)
			if e != nil {
				return d.fail(e)
			}
			in = in[n:]
			if !d.inFrame {
				return Message{}, false, nil, nil
			}
		}
		p := in
		if left := int(d.h.Length) - d.got; left < len(p) {
			p = in[:left]
		}
		in = in[len(p):]
		var e *Error
		if m, ok, e = d.payload(slices.Clip(p), lim); e != nil {
			return d.fail(e)
		}
		if ok {
			return m, true, in, nil
		}
		if d.inFrame {
			return Message{}, false, nil, nil
		}
	}
}

// Idle reports that no partial header, frame or message is held. What the last call of Next returned does not count.
func (d *Decoder) Idle() bool {
	return d.headed == 0 && !d.inFrame && d.op == 0
}

// Held returns the bytes of memory that hold a partial frame or message; 0 when the Decoder is Idle. It is never more
// than twice the bytes received for them, plus 64.
func (d *Decoder) Held() int {
	if d.Idle() {
		return 0
	}
	return int(d.headed) + cap(d.buf)
}

// Reset makes the Decoder ready for another connection. No byte of the former connection stays readable in it. A buffer
// of at most 4 KiB is kept.
func (d *Decoder) Reset() {
	buf := d.buf[:cap(d.buf)]
	if len(buf) > keepCap {
		buf = nil
	}
	clear(buf)
	*d = Decoder{buf: buf[:0]}
}

// release lets go of what the last call of Next returned out of buf.
func (d *Decoder) release() {
	if d.inFrame {
		return
	}
	d.buf = d.buf[:d.msg]
	if d.op == 0 && cap(d.buf) > keepCap {
		d.buf = nil
	}
}

func (d *Decoder) fail(e *Error) (Message, bool, []byte, error) {
	d.failed = e
	d.buf = nil
	return Message{}, false, nil, e
}

// header takes the bytes of the next frame header from in and returns how many. d.inFrame is set when it is complete.
func (d *Decoder) header(in []byte, lim Limits) (n int, e *Error) {
	if d.headed == 0 {
		if n = headerSize(in); n <= len(in) {
			return n, d.open(in[:n], lim)
		}
	}
	for n = 0; n < len(in); {
		size := headerSize(d.head[:d.headed])
		k := copy(d.head[d.headed:size], in[n:])
		n += k
		d.headed += uint8(k)
		if int(d.headed) == headerSize(d.head[:d.headed]) {
			d.headed = 0
			return n, d.open(d.head[:size], lim)
		}
	}
	return n, nil
}

// open begins the frame with the given header.
func (d *Decoder) open(head []byte, lim Limits) *Error {
	h, e := parseHeader(head)
	if e != nil {
		return e
	}
	state := gobwas.StateServerSide
	if d.op != 0 {
		state = state.Set(gobwas.StateFragmented)
	}
	if err := gobwas.CheckHeader(h, state); err != nil {
		return &Error{codeProtocol, err.Error()}
	}
	if h.OpCode.IsData() {
		if d.frames >= lim.Frames {
			return errFrames
		}
		if h.Length > int64(lim.Message-d.msg) { // neither side can overflow: msg is at most the limit
			return errTooBig
		}
		d.frames++
		if h.OpCode != gobwas.OpContinuation {
			d.op = byte(h.OpCode)
		}
	}
	d.h, d.got, d.inFrame = h, 0, true
	return nil
}

// payload takes p, the next part of the payload of the open frame. ok says that it completes a message.
func (d *Decoder) payload(p []byte, lim Limits) (m Message, ok bool, e *Error) {
	gobwas.Cipher(p, d.h.Mask, d.got)
	whole := d.got == 0 && len(p) == int(d.h.Length)
	d.got += len(p)
	d.inFrame = d.got < int(d.h.Length)
	if d.h.OpCode.IsControl() {
		return d.control(p, whole)
	}
	if whole && d.h.Fin && d.frames == 1 {
		m = Message{d.op, p}
		d.op, d.frames = 0, 0
		if m.Op == OpText && !utf8.Valid(p) {
			return Message{}, false, errUTF8
		}
		return m, true, nil
	}
	return d.gather(p, lim)
}

// control takes p, the next part of a control frame, which is whole if p is all of it.
func (d *Decoder) control(p []byte, whole bool) (m Message, ok bool, e *Error) {
	if !whole {
		d.grow(len(p), d.msg+int(d.h.Length))
		d.buf = append(d.buf, p...)
		p = d.buf[d.msg:len(d.buf):len(d.buf)]
	}
	if d.inFrame {
		return Message{}, false, nil
	}
	m = Message{byte(d.h.OpCode), p}
	if m.Op == OpClose {
		if e = checkClose(p); e != nil {
			return Message{}, false, e
		}
	}
	return m, true, nil
}

// gather adds p to the message in buf.
func (d *Decoder) gather(p []byte, lim Limits) (m Message, ok bool, e *Error) {
	end := lim.Message
	if d.h.Fin {
		end = d.msg + len(p) + int(d.h.Length) - d.got
	}
	d.grow(len(p), end)
	d.buf = append(d.buf, p...)
	d.msg = len(d.buf)
	last := d.h.Fin && !d.inFrame
	if d.op == OpText && !d.checkText(last) {
		return Message{}, false, errUTF8
	}
	if !last {
		return Message{}, false, nil
	}
	m = Message{d.op, d.buf[:d.msg:d.msg]}
	d.op, d.frames, d.msg, d.valid = 0, 0, 0, 0
	return m, true, nil
}

// grow makes room for n bytes more in buf: twice of what there is, but no more than end, the length that buf can get to.
func (d *Decoder) grow(n, end int) {
	need := len(d.buf) + n
	if need <= cap(d.buf) {
		return
	}
	size := max(need, min(max(2*cap(d.buf), firstCap), end))
	buf := make([]byte, len(d.buf), size)
	copy(buf, d.buf)
	d.buf = buf
}

// checkText checks the bytes of the message that have come since the last call (RFC 6455, section 8.1). A sequence that
// is cut off by the end of input waits for the next call, unless no continuation can make it valid or this is the last.
func (d *Decoder) checkText(last bool) bool {
	p := d.buf[d.valid:d.msg]
	whole := len(p)
	if !last {
		whole -= cutRune(p)
	}
	d.valid += whole
	return utf8.Valid(p[:whole])
}

// cutRune returns how many bytes at the end of p begin a UTF-8 sequence that is not complete but still may be.
func cutRune(p []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(p); n++ {
		if tail := p[len(p)-n:]; utf8.RuneStart(tail[0]) {
			if utf8.FullRune(tail) { // also true for a sequence that cannot become valid
				return 0
			}
			return n
		}
	}
	return 0
}
