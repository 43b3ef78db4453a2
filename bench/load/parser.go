package load

import (
	"bytes"
	"errors"
)

// What of a frame's header comes next, as record.head says it; lengthByte+k: k bytes of the length.
const (
	firstByte  = 0
	secondByte = 1
	lengthByte = 10
	inPayload  = 255
)

// Opcodes of RFC 6455, 5.2.
const (
	opContinue = 0
	opText     = 1
	opBinary   = 2
	opClose    = 8
	opPing     = 9
	opPong     = 10
	finBit     = 0x80
)

var (
	errReserved  = errors.New("a frame with reserved bits or an unknown opcode")
	errMasked    = errors.New("a masked frame; a server must not mask")
	errControl   = errors.New("a control frame that is too long or in pieces")
	errTooLong   = errors.New("a frame of over 4 GiB")
	errFragments = errors.New("a continuation without a beginning, or a beginning within a message")
)

// events are what a parser finds.
type events interface {
	// stamped is a stamp of this run.
	stamped(i int32, s Stamp)
	// text is a piece of a data message, while a handshake goes on.
	text(i int32, piece []byte)
	// message is the end of a data message: whether it had a stamp, and whether it is as long as the server's own ping.
	message(i int32, stamped, ping bool)
	// control is a whole control frame.
	control(i int32, op byte, payload []byte)
}

// parser reads what servers send, in whatever pieces it comes; what it must remember of a connection is in the record.
type parser struct {
	run   [runLen]byte
	ping  uint32 // length of the server's own ping; 0: it has none
	spill map[int32][]byte
	to    events
}

// feed reads b. After an error the connection cannot be read any more.
func (p *parser) feed(i int32, r *record, b []byte) error {
	for len(b) > 0 && r.fd >= 0 { // an event may have closed it
		if r.head != inPayload {
			n, err := p.header(r, b)
			if err != nil {
				return err
			}
			b = b[n:]
			if r.head == inPayload && r.left == 0 {
				p.end(i, r, nil)
			}
			continue
		}
		n := min(len(b), int(r.left))
		r.left -= uint32(n)
		piece := b[:n]
		b = b[n:]
		if r.op&8 == 0 {
			p.data(i, r, piece)
		} else if piece = p.gather(i, r, piece); r.left > 0 {
			continue
		}
		if r.left == 0 {
			p.end(i, r, piece)
		}
	}
	return nil
}

// header reads up to the end of a frame's header and returns how much of b that was.
func (p *parser) header(r *record, b []byte) (n int, err error) {
	for n < len(b) && r.head != inPayload && err == nil {
		c := b[n]
		n++
		switch r.head {
		case firstByte:
			r.op, r.head, r.left = c, secondByte, 0
			err = r.begin()
		case secondByte:
			err = r.length(c)
		default:
			if r.left >= 1<<24 {
				return n, errTooLong
			}
			r.left = r.left<<8 | uint32(c)
			if r.head--; r.head == lengthByte {
				r.head = inPayload
			}
		}
	}
	if r.head == inPayload && r.op&8 == 0 {
		r.flags.set(maybePing, p.ping > 0 && r.left == p.ping && r.op == finBit|opText)
	}
	return n, err
}

// begin checks a frame's first byte.
func (r *record) begin() error {
	if r.op&0x70 != 0 {
		return errReserved
	}
	switch r.op & 15 {
	case opContinue:
		if r.flags&inMessage == 0 {
			return errFragments
		}
	case opText, opBinary:
		if r.flags&inMessage != 0 {
			return errFragments
		}
		r.flags.set(inMessage, true)
	case opClose, opPing, opPong:
		if r.op&finBit == 0 {
			return errControl
		}
	default:
		return errReserved
	}
	return nil
}

// length reads a frame's second byte.
func (r *record) length(c byte) error {
	switch {
	case c&0x80 != 0:
		return errMasked
	case r.op&8 != 0 && c > 125:
		return errControl
	case c == 126:
		r.head = lengthByte + 2
	case c == 127:
		r.head = lengthByte + 8
	default:
		r.left, r.head = uint32(c), inPayload
	}
	return nil
}

// gather returns the payload of a control frame so far; one that comes whole is not copied.
func (p *parser) gather(i int32, r *record, piece []byte) []byte {
	if r.flags&cut == 0 && r.left == 0 {
		return piece
	}
	r.flags.set(cut, true)
	p.spill[i] = append(p.spill[i], piece...)
	return p.spill[i]
}

// end is called when a frame's payload is complete.
func (p *parser) end(i int32, r *record, payload []byte) {
	r.head = firstByte
	op := r.op
	if op&8 != 0 {
		if r.flags&cut != 0 {
			r.flags.set(cut, false)
			delete(p.spill, i)
		}
		p.to.control(i, op&15, payload)
		return
	}
	if op&finBit == 0 {
		return
	}
	had, ping := r.flags&isStamped != 0, r.flags&maybePing != 0
	r.flags &^= inMessage | isStamped | maybePing
	r.mark = 0
	p.to.message(i, had, ping)
}

// data searches stamps in a piece of a data message.
func (p *parser) data(i int32, r *record, b []byte) {
	if r.state < open {
		p.to.text(i, b)
	}
	for len(b) > 0 {
		if r.mark > 0 {
			b = b[p.resume(i, r, b):]
			continue
		}
		k := bytes.IndexByte(b, mark)
		if k < 0 {
			return
		}
		b = b[k:]
		if len(b) < StampLen {
			r.mark, r.topic, r.seq, r.at = 1, 0, 0, 0
			b = b[1:]
			continue
		}
		s, ok := p.whole(b)
		if !ok {
			b = b[1:]
			continue
		}
		r.flags.set(isStamped, true)
		p.to.stamped(i, s)
		b = b[StampLen:]
	}
}

// whole reads a stamp that was not cut.
func (p *parser) whole(b []byte) (s Stamp, ok bool) {
	if [runLen]byte(b[1:1+runLen]) != p.run {
		return s, false
	}
	topic, ok1 := readHex(b[1+runLen : seqFrom])
	seq, ok2 := readHex(b[seqFrom:atFrom])
	at, ok3 := readHex(b[atFrom:StampLen])
	return Stamp{Topic: uint32(topic), Seq: uint32(seq), At: int64(at)}, ok1 && ok2 && ok3
}

// resume goes on with a stamp that was cut and returns how many bytes of b it took. The byte that does not match may be a mark.
func (p *parser) resume(i int32, r *record, b []byte) int {
	for n, c := range b {
		if r.mark <= runLen {
			if c != p.run[r.mark-1] {
				r.mark = 0
				return n
			}
		} else if !r.digit(hexDigit(c)) {
			r.mark = 0
			return n
		}
		if r.mark++; r.mark == StampLen {
			r.mark = 0
			r.flags.set(isStamped, true)
			p.to.stamped(i, Stamp{Topic: r.topic, Seq: r.seq, At: r.at})
			return n + 1
		}
	}
	return len(b)
}

// digit adds d to the number that r.mark is in.
func (r *record) digit(d int) bool {
	switch {
	case d < 0:
		return false
	case r.mark < seqFrom:
		r.topic = r.topic<<4 | uint32(d)
	case r.mark < atFrom:
		r.seq = r.seq<<4 | uint32(d)
	default:
		r.at = r.at<<4 | int64(d)
	}
	return true
}
