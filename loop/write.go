package loop

import (
	"bytes"
	"syscall"

	"github.com/cloudwego/netpoll"
	"golang.org/x/sys/unix"

	"fanfare/loop/ws"
)

// Send is the fan-out's way to a connection: frames are complete and shared, room is what they belong to (0 is replies), class
// the policy if the client is slow, more tells that further frames for the same connection may come before the turn ends.
// Stale refs and connections that are not open get nothing.
func (l *Loop) Send(ref uint64, room uint32, class uint8, more bool, frames [][]byte) {
	l.own()
	c := l.slab.find(Ref(ref))
	switch {
	case c == nil:
	case c.state == open:
		l.submit(c, room, class, more, frames)
	case c.state == canary:
		l.sung.Add(uint64(len(frames)))
	}
}

// write queues one reply or control frame.
func (l *Loop) write(c *Conn, frame []byte, more bool) {
	l.one[0] = frame
	l.submit(c, 0, Disconnect, more, l.one[:])
	l.one[0] = nil
}

// submit is the one way out. Frames leave at once when nothing waits before them and nothing is known to follow; else they are
// collected and leave with whatever the turn adds, in one writev.
func (l *Loop) submit(c *Conn, room uint32, class uint8, more bool, frames [][]byte) {
	now := c.qhead == 0 && !more
	if now && len(frames) == 1 {
		l.sendOne(c, frames[0], room, class)
		return
	}
	for _, f := range frames {
		if !l.enqueue(c, f, room, class) {
			return
		}
	}
	if now && c.flags&flagBlocked == 0 {
		l.drain(c)
	} else {
		l.later(c)
	}
}

// sendOne writes a frame of a connection whose queue is empty; what the socket does not take is queued.
func (l *Loop) sendOne(c *Conn, frame []byte, room uint32, class uint8) {
	n, ok := l.sendSome(c, frame)
	if !ok || n == len(frame) {
		return
	}
	l.push(c, frame[n:], room, class)
	if n > 0 {
		c.flags |= flagPinned
	}
	l.block(c)
}

// sendScratch is sendOne for bytes that are used again.
func (l *Loop) sendScratch(c *Conn, b []byte) {
	n, ok := l.sendSome(c, b)
	if !ok || n == len(b) {
		return
	}
	l.push(c, bytes.Clone(b[n:]), 0, Disconnect)
	c.flags |= flagPinned // never dropped: the stream begins with it
	l.block(c)
}

// sendSome writes what the socket takes of b; not ok when that ended the connection.
func (l *Loop) sendSome(c *Conn, b []byte) (n int, ok bool) {
	n, e := sysSend(c.op.FD, b)
	if e != 0 && !wouldBlock(e) {
		l.kill(c, Reset)
		return 0, false
	}
	if e != 0 {
		n = 0
	}
	l.count.written(n)
	return n, true
}

// later puts the connection on the turn's flush list; a blocked one is flushed when it becomes writable.
func (l *Loop) later(c *Conn) {
	if c.flags&(flagFlush|flagBlocked) != 0 {
		return
	}
	c.flags |= flagFlush
	l.flush = append(l.flush, c.ref)
	l.Wake()
}

func (l *Loop) runFlushes() {
	list := l.flush
	for _, ref := range list {
		if c := l.slab.find(ref); c != nil && c.state != dead {
			c.flags &^= flagFlush
			if c.flags&flagBlocked == 0 {
				l.drain(c)
			}
		}
	}
	l.flush = append(l.flush[:0], l.flush[len(list):]...)
}

// drain writes the queue until it is empty or the socket is full.
func (l *Loop) drain(c *Conn) {
	for c.qhead != 0 {
		k, want := l.gather(c)
		n, e := l.sendv(c.op.FD, k)
		if e != 0 && !wouldBlock(e) {
			l.kill(c, Reset)
			return
		}
		if e != 0 {
			l.block(c)
			return
		}
		l.count.written(n)
		l.consume(c, n)
		if n < want {
			l.block(c)
			return
		}
	}
	l.emptied(c)
}

// gather points the loop's iovecs at the frames that wait.
func (l *Loop) gather(c *Conn) (k, want int) {
	for n := c.qhead; n != 0 && k < iovecs; k++ {
		nd := l.nodes.at(n)
		l.iov[k].Base = &nd.bytes[0]
		l.iov[k].SetLen(len(nd.bytes))
		want += len(nd.bytes)
		n = nd.next
	}
	return k, want
}

func (l *Loop) sendv(fd, k int) (int, syscall.Errno) {
	n, e := sysSendv(fd, l.iov[:k])
	clear(l.iov[:k]) // the frames belong to others
	return n, e
}

// consume takes n written bytes off the queue.
func (l *Loop) consume(c *Conn, n int) {
	for n > 0 {
		nd := l.nodes.at(c.qhead)
		if n < len(nd.bytes) {
			nd.bytes = nd.bytes[n:]
			l.count.queued -= int64(n)
			c.flags |= flagPinned
			return
		}
		n -= len(nd.bytes)
		l.pop(c)
	}
}

// block asks for writable events and starts the clock on the backlog.
func (l *Loop) block(c *Conn) {
	if c.flags&flagBlocked == 0 {
		c.flags |= flagBlocked
		c.op.OnWrite = c.op.OnRead // one closure for both; it stays until the slot is free
		_ = c.op.Control(netpoll.PollR2RW)
	}
	if c.flags&flagBacklog == 0 {
		c.flags |= flagBacklog
		l.backlog = append(l.backlog, c.ref)
	}
}

func (l *Loop) emptied(c *Conn) {
	if c.flags&flagBlocked != 0 {
		c.flags &^= flagBlocked
		_ = c.op.Control(netpoll.PollRW2R)
	}
	if c.state == drain {
		sysShutdown(c.op.FD, unix.SHUT_WR)
	}
}

// shut queues our close frame as the last thing to leave and waits for the client's.
func (l *Loop) shut(c *Conn, code uint16, text string, why Reason) {
	l.own()
	if c.state != open {
		return
	}
	l.conclude(c, closing, why, ws.AppendClose(nil, code, text))
}

// giveUp ends a connection from which nothing more can be read sensibly: the close frame (before the 101: an HTTP answer), the
// end of the stream, and whatever still comes is thrown away.
func (l *Loop) giveUp(c *Conn, code uint16, text string, why Reason) {
	switch c.state {
	case head, wait:
		l.last(c, internalError, why)
	case open:
		l.conclude(c, drain, why, ws.AppendClose(nil, code, text))
	case closing:
		c.state = drain
		l.later(c)
	default: // its end is under way
	}
}

// last queues the final bytes of a connection that was never upgraded.
func (l *Loop) last(c *Conn, b []byte, why Reason) {
	l.conclude(c, drain, why, b)
}

// conclude enters a state in which b is the last thing to leave. What waits goes first, as far as the socket takes it; the rest
// is dropped, but for a frame that is partly out.
func (l *Loop) conclude(c *Conn, to state, why Reason, b []byte) {
	if c.flags&flagBlocked == 0 {
		l.drain(c)
	}
	if c.state == dead {
		return
	}
	c.state, c.why = to, why
	l.dropUnsent(c)
	l.push(c, b, 0, Disconnect)
	l.setDue(c, l.lim.Close)
	l.later(c)
}

func wouldBlock(e syscall.Errno) bool { return e == syscall.EAGAIN || e == syscall.EINTR }
