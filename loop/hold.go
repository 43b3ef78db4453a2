package loop

import (
	"bytes"

	"fanfare/loop/ws"
)

const (
	heldMessages = 16
	heldBytes    = 64 << 10
)

// held are data messages that wait, in order, until slow work for their connection is done. The connection goes on being read
// meanwhile: control frames are answered, deliveries leave, a hang-up is seen.
type held struct {
	msgs []ws.Message
	size int
}

// Hold keeps further data messages of the connection back until Release: at most 16 of at most 64 KiB together, beyond which
// the connection is closed with 1008.
func (c *Conn) Hold() {
	c.loop.own()
	c.flags |= flagHeld
}

// Release hands out what was kept back, in order, until there is nothing left or the connection is held again.
func (c *Conn) Release() {
	l := c.loop
	l.own()
	c.flags &^= flagHeld
	if c.ext == nil || c.ext.held == nil {
		return
	}
	h := c.ext.held
	for c.state == open && c.flags&flagHeld == 0 && len(h.msgs) > 0 {
		m := h.msgs[0]
		h.msgs = h.msgs[1:]
		h.size -= len(m.Payload)
		l.unread = len(h.msgs) > 0
		l.deliver(c, m.Op, m.Payload)
	}
	l.unread = false
	if c.ext != nil && len(h.msgs) == 0 {
		c.ext.held = nil
		c.tidy()
	}
}

// keep puts a copy of a message behind those that wait.
func (l *Loop) keep(c *Conn, m ws.Message) {
	e := c.more()
	if e.held == nil {
		e.held = new(held)
	}
	if len(e.held.msgs) == heldMessages || e.held.size+len(m.Payload) > heldBytes {
		l.failed(c, &ws.Error{Code: 1008, Text: "too many messages while one is being worked on"})
		l.shut(c, 1008, "too many messages while one is being worked on", BadInput)
		return
	}
	e.held.size += len(m.Payload)
	e.held.msgs = append(e.held.msgs, ws.Message{Op: m.Op, Payload: bytes.Clone(m.Payload)})
}
