package loop

import (
	"bytes"
	"errors"
	"syscall"

	"github.com/cloudwego/netpoll"
	"golang.org/x/sys/unix"

	"fanfare/loop/http1"
	"fanfare/loop/ws"
)

// onReady is the callback for readable and for writable events.
func (c *Conn) onReady(netpoll.Poll) error {
	c.loop.own()
	defer c.loop.spent(c.loop.group.clock())
	if c.state != dead && c.state != free && c.flags&flagResume == 0 { // else the turn goes on with it
		c.loop.serve(c)
	}
	return nil
}

func (l *Loop) serve(c *Conn) {
	defer l.caught(c)
	l.read(c)
	if c.state != dead && c.flags&flagBlocked != 0 {
		l.drain(c)
	}
}

// read takes what the socket has, to its end: after an event with a hang-up netpoll has detached the operator and no further
// event comes. A connection that is still busy after some reads goes on in the next turn.
func (l *Loop) read(c *Conn) {
	for range readsPerTurn {
		n, e := sysRead(c.op.FD, l.buf)
		switch {
		case e == syscall.EINTR:
			continue
		case e == syscall.EAGAIN:
			return
		case e != 0:
			l.kill(c, Reset)
			return
		case n == 0:
			l.drain(c) // one last flush: half-closed readers are not served
			l.kill(c, ByClient)
			return
		}
		c.flags |= flagHeard
		l.input(c, l.buf[:n])
		if c.state == dead {
			return
		}
	}
	c.flags |= flagResume
	l.resume = append(l.resume, c.ref)
	l.Wake()
}

func (l *Loop) input(c *Conn, b []byte) {
	switch c.state {
	case head:
		l.readHead(c, b)
	case wait:
		if len(c.ext.part)+len(b) > l.lim.Request.Head+bufferSize {
			l.kill(c, BadInput) // it talks without having been answered
			return
		}
		c.ext.part = append(c.ext.part, b...)
	case open, closing:
		l.frames(c, b)
	default: // nothing more is expected; it is thrown away
	}
}

// readHead goes on with the request head.
func (l *Loop) readHead(c *Conn, b []byte) {
	from := 0
	if e := c.ext; e != nil && e.part != nil {
		from = len(e.part)
		b = append(e.part, b...)
		e.part = nil
	}
	n, err := 0, error(nil)
	if from == 0 || len(b) >= l.lim.Request.Head || http1.HeadEnd(b, from) > 0 {
		n, err = l.req.Parse(b, l.lim.Request)
	}
	if n == 0 && err == nil {
		if from == 0 {
			b = bytes.Clone(b)
		}
		c.more().part = b
		return
	}
	if err == nil && l.req.WantsUpgrade() {
		err = l.req.CheckUpgrade()
	}
	if err != nil {
		l.broken(c, err)
		return
	}
	c.tidy()
	c.flags |= flagSeen
	*l.slab.due(c.ref.Slot()) = 0
	l.decide(c, l.h.Head(c, &l.req), b, n)
}

// decide does what the handler wants with a connection whose head is b[:n].
func (l *Loop) decide(c *Conn, v Verdict, b []byte, n int) {
	if c.state != head {
		return // it was refused meanwhile
	}
	switch v.Do {
	case Upgrade:
		if l.upgrade(c, b[:n], v) {
			l.frames(c, b[n:])
		}
	case HTTP:
		l.handOver(c, b)
	case Wait:
		c.state = wait
		c.more().part = bytes.Clone(b)
		l.setDue(c, l.lim.Handshake)
	default:
		l.broken(c, v.Err)
	}
}

// upgrade sends the 101 and the greeting; false when the connection is not open afterwards.
func (l *Loop) upgrade(c *Conn, request []byte, v Verdict) bool {
	out, err := ws.AppendUpgrade(l.out[:0], request, v.Protocol)
	l.out = out[:0]
	if err != nil {
		l.broken(c, &http1.Error{Status: 400, Field: "head", Text: err.Error()})
		return false
	}
	out = append(out, v.Greeting...)
	l.out = out[:0]
	c.state = open
	l.count.upgraded++
	l.sendScratch(c, out)
	return c.state == open
}

// handOver gives the socket and what was read from it to net/http. The descriptor is doubled: the old number rests with the
// slot, so that no event of this batch can meet somebody else's socket.
func (l *Loop) handOver(c *Conn, read []byte) {
	fd, err := unix.FcntlInt(uintptr(c.op.FD), unix.F_DUPFD_CLOEXEC, 0)
	l.bury(c, HandedOver)
	if err == nil && l.group.http[c.where].Push(fd, bytes.Clone(read)) {
		return
	}
	if err == nil {
		_ = unix.Close(fd)
	}
	_, _ = sysSend(c.op.FD, tooBusy)
	sysShutdown(c.op.FD, unix.SHUT_RDWR)
}

// frames reads what it can from b; an incomplete rest is kept.
func (l *Loop) frames(c *Conn, b []byte) {
	d := l.dec
	if c.ext != nil && c.ext.dec != nil {
		d = c.ext.dec
	}
	defer l.park(c, d) // after a panic too: the loop's own decoder serves others next
	for len(b) > 0 && (c.state == open || c.state == closing) {
		m, ok, rest, err := d.Next(b, l.lim.Message)
		if err != nil {
			l.broken(c, err)
			break
		}
		if b = rest; !ok {
			break
		}
		if c.ext != nil && c.ext.dec == d && m.Op < ws.OpClose {
			c.ext.tick = l.now // what follows is another message
		}
		l.unread = len(b) > 0
		l.message(c, m)
	}
	l.unread = false
}

// park keeps a decoder that holds something with its connection; the loop's own serves all who hold nothing.
func (l *Loop) park(c *Conn, d *ws.Decoder) {
	pending := !d.Idle() && (c.state == open || c.state == closing)
	switch {
	case pending && d == l.dec:
		c.more().dec, l.dec = d, new(ws.Decoder)
		l.begun(c)
	case pending:
	case d == l.dec:
		d.Reset()
	case c.ext != nil:
		c.ext.dec = nil
		c.tidy()
	}
}

func (l *Loop) message(c *Conn, m ws.Message) {
	switch {
	case m.Op == ws.OpClose:
		l.onClose(c, m.Payload)
	case c.state != open || m.Op == ws.OpPong:
	case m.Op == ws.OpPing:
		l.write(c, ws.AppendFrame(nil, ws.OpPong, m.Payload), l.unread)
	case c.flags&flagHeld != 0:
		l.keep(c, m)
	default:
		l.deliver(c, m.Op, m.Payload)
	}
}

func (l *Loop) deliver(c *Conn, op byte, p []byte) {
	l.count.messages++
	if err := l.h.Message(c, op, p); err != nil {
		l.failed(c, err)
	}
}

// onClose answers the client's close frame with the same code, or ends the handshake that we began.
func (l *Loop) onClose(c *Conn, p []byte) {
	if c.state == closing {
		c.state = drain
		l.later(c)
		return
	}
	code, _ := ws.ParseClose(p)
	if len(p) == 0 {
		code = 0
	}
	l.giveUp(c, code, "", ByClient)
}

func (l *Loop) failed(c *Conn, err error) {
	c.flags |= flagSeen
	l.h.Failed(c, err)
}

// broken tells the handler of an error after which nothing more can be read, and ends the connection if the handler did not.
func (l *Loop) broken(c *Conn, err error) {
	if c.state != closing {
		l.failed(c, err)
	}
	if c.state == drain || c.state == dead {
		return
	}
	code := uint16(1002)
	if e, ok := errors.AsType[*ws.Error](err); ok {
		code = e.Code
	}
	l.giveUp(c, code, "", BadInput)
}
