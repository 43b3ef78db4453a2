package loop

import (
	"context"
	"math"
	"time"

	"github.com/cloudwego/netpoll"
	"golang.org/x/sys/unix"

	"fanfare/loop/ws"
)

// Drain says how a group is emptied.
type Drain struct {
	Wait   time.Duration // everything goes on as ever so long, for balancers to see that the server is not ready any more
	Window time.Duration // the close frames are spread evenly over it
	Code   uint16        // of the close frames; 0: 1012, service restart
	Text   string        // of the close frames
}

// leaving is a loop's part of a Drain.
type leaving struct {
	frame []byte // the close frame; nil: not draining
	from  uint32 // tick at which it began
	until uint32 // tick at which the window is over
	all   int    // connections when it began
	sent  int    // close frames so far
	now   int    // how many more may be sent in this tick
	slot  uint32 // next slot to look at
	done  func() // tells that no connection is left; nil when it has been told
}

// Drain empties the group, once, before Close: what waits in the accept queues is accepted, to be served and closed as the others
// are; the listening sockets are closed; then every connection gets a close frame, at an even pace, so that not all of them come
// back at once. It returns when no loop has a connection left, or when ctx ends. Connections that net/http holds are its server's
// affair; Adopt takes none any more.
func (g *Group) Drain(ctx context.Context, o Drain) {
	if o.Wait > 0 {
		wait := time.NewTimer(o.Wait)
		defer wait.Stop()
		select {
		case <-ctx.Done():
			return
		case <-wait.C:
		}
	}
	if o.Code == 0 {
		o.Code = 1012
	}
	g.draining.Store(true)
	// All are deaf before the first connection is counted: until then a loop may accept for another one.
	if !g.each(ctx, func(l *Loop, done func()) { l.deafen(); done() }) {
		return
	}
	frame := ws.AppendClose(nil, o.Code, o.Text)
	g.each(ctx, func(l *Loop, done func()) { l.beginLeaving(frame, o.Window, done) })
}

// each runs f on every loop and waits until each has called done, or ctx ends.
func (g *Group) each(ctx context.Context, f func(l *Loop, done func())) bool {
	done := make(chan struct{}, len(g.loops))
	for _, l := range g.loops {
		l.post(0, func(*Conn) { f(l, func() { done <- struct{}{} }) })
	}
	for range g.loops {
		select {
		case <-ctx.Done():
			return false
		case <-done:
		}
	}
	return true
}

// deafen empties the accept queues and closes the listening sockets.
func (l *Loop) deafen() {
	for _, ln := range l.listeners {
		ln.close()
	}
}

func (ln *listener) close() {
	if ln.op.FD < 0 {
		return
	}
	for range 2 * listenBacklog / acceptsPerEvent {
		if !ln.accept() {
			break
		}
	}
	if !ln.paused {
		_ = ln.op.Control(netpoll.PollDetach)
	}
	ln.paused = false
	_ = unix.Close(ln.op.FD)
	ln.op.FD = -1 // an event of this batch may still come: see onReady
}

func (l *Loop) beginLeaving(frame []byte, window time.Duration, done func()) {
	n := max(ticks(window), 1)
	l.leaving = leaving{frame: frame, from: l.now, until: l.now + n, all: l.slab.used, done: done}
	if window <= 0 {
		l.leaving.until = l.now
		l.leaving.now = math.MaxInt
	}
	l.Wake()
}

// leaveTick allows the close frames that are due: a share of all that is the share of the window gone by, and after it all.
func (l *Loop) leaveTick() {
	d := &l.leaving
	switch {
	case d.frame == nil:
	case l.now >= d.until:
		d.now = math.MaxInt
	default:
		d.now = d.all*int(l.now-d.from)/int(d.until-d.from) - d.sent
	}
}

// leave sends the close frames that are allowed, a bounded number a turn. A connection that is opened behind the place reached is
// met in the next round.
func (l *Loop) leave() (more bool) {
	d := &l.leaving
	if d.frame == nil {
		return false
	}
	for calls := 0; d.now > 0; d.slot++ {
		if int(d.slot/chunkSlots) >= len(l.slab.chunks) {
			d.slot, d.now = 0, 0
			return false
		}
		ch := l.slab.chunks[d.slot/chunkSlots]
		if ch == nil || ch.used == 0 {
			d.slot |= chunkSlots - 1
			continue
		}
		if !l.sendAway(&ch.conns[d.slot%chunkSlots]) {
			continue
		}
		d.now--
		d.sent++
		if calls++; calls == duePerTurn {
			d.slot++
			return true
		}
	}
	return false
}

// left tells when the last connection has gone.
func (l *Loop) left() {
	if d := &l.leaving; d.done != nil && l.slab.used == 0 {
		d.done()
		d.done = nil
	}
}

// sendAway sends the close frame; false when the connection is not ready for one, or has had one. Who has not said a word when
// the window is over will not.
func (l *Loop) sendAway(c *Conn) bool {
	switch {
	case c.state == open:
		l.conclude(c, closing, Shutdown, l.leaving.frame)
	case c.state == head && c.ext == nil && l.now >= l.leaving.until:
		l.kill(c, Shutdown)
	default:
		return false
	}
	return true
}
