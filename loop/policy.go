package loop

import "math"

const relieved = 8 // connections a turn that give for the process's total

// enqueue appends a frame, or applies the slow consumer's policy; false when that ended the connection.
func (l *Loop) enqueue(c *Conn, frame []byte, room uint32, class uint8) bool {
	if !l.fits(c, frame) && c.flags&flagBlocked == 0 {
		l.drain(c) // not slow: only not written yet
	}
	if c.state == dead {
		return false
	}
	if room == 0 {
		class = Disconnect
	}
	if c.flags&flagBlocked != 0 && l.settled(c, frame, room, class) {
		return true
	}
	if !l.fits(c, frame) {
		l.makeRoom(c, frame, room, class)
	}
	switch {
	case l.fits(c, frame):
		l.push(c, frame, room, class)
	case class == Disconnect:
		l.slow(c)
		return false
	default:
		l.count.dropped[class]++
	}
	return true
}

// settled does with a frame for a connection that reads slowly what its policy wants even if there is room: it takes the place of
// another one, or goes because the oldest waits too long, as if the queue were full. Who reads gets every frame.
func (l *Loop) settled(c *Conn, frame []byte, room uint32, class uint8) bool {
	switch class {
	case Conflate:
		return l.conflate(c, frame, room)
	case DropNewest:
		if c.qhead != 0 && l.old(l.nodes.at(c.qhead)) {
			l.count.dropped[DropNewest]++
			return true
		}
	default:
	}
	return false
}

// makeRoom drops what may give way to a frame: to replies whatever a policy may drop, to others what drops the oldest.
func (l *Loop) makeRoom(c *Conn, frame []byte, room uint32, class uint8) {
	last := Conflate
	switch {
	case room == 0:
		last = DropNewest
	case class == Disconnect || class == DropNewest || len(frame) > l.lim.Backlog:
		return
	}
	l.dropOldest(c, last, func(*node) bool { return l.fits(c, frame) })
}

// fits: the limit counts what waits behind the head frame, so that one frame of any legal size passes.
func (l *Loop) fits(c *Conn, frame []byte) bool {
	return c.qhead == 0 || int(c.qsize)+len(frame) <= l.lim.Backlog
}

// slow ends a connection that does not read.
func (l *Loop) slow(c *Conn) { l.shut(c, 1008, "slow: too much is waiting", Slow) }

func (l *Loop) old(n *node) bool { return l.now-n.tick > ticks(l.lim.BacklogAge) }

// checkAges applies the policy to connections whose oldest frame waits too long, and looks for the fullest queue.
func (l *Loop) checkAges() {
	l.count.maxQueue = 0
	for i := len(l.backlog) - 1; i >= 0; i-- {
		c := l.slab.find(l.backlog[i])
		if c != nil && c.state != dead && c.qhead != 0 {
			l.count.maxQueue = max(l.count.maxQueue, l.queued(c))
			if c.state == open {
				l.checkAge(c)
			}
			continue
		}
		if c != nil {
			c.flags &^= flagBacklog
		}
		last := len(l.backlog) - 1
		l.backlog[i] = l.backlog[last]
		l.backlog = l.backlog[:last]
	}
}

// queued is what waits for a connection, the head included.
func (l *Loop) queued(c *Conn) int64 { return int64(len(l.nodes.at(c.qhead).bytes)) + int64(c.qsize) }

// checkAge: an old head ends the connection if its policy is Disconnect; else what is old and may go the oldest first goes. A
// frame that others would have replaced is the latest of its room, however old: it stays. So does what DropNewest let in; it
// lets nothing more in while the head is old.
func (l *Loop) checkAge(c *Conn) {
	h := l.nodes.at(c.qhead)
	switch {
	case !l.old(h):
	case h.class == Disconnect:
		l.slow(c)
	default:
		l.dropOldest(c, DropOldest, func(n *node) bool { return !l.old(n) })
	}
}

// weight is what the loop's queues hold, as Limits.BacklogTotal counts it.
func (l *Loop) weight() int64 { return int64(l.nodes.used)*nodeBytes + l.shares.bytes }

// shareWeight tells the group of it, once a turn.
func (l *Loop) shareWeight() {
	if w := l.weight(); w != l.told {
		l.group.backlog.Add(w - l.told)
		l.told = w
	}
}

// over reports whether the queues of all loops, the others' as of their last turns, hold more than they may.
func (l *Loop) over() bool {
	return l.lim.BacklogTotal > 0 && l.group.backlog.Load()-l.told+l.weight() > l.lim.BacklogTotal
}

// relieve keeps the queues of the process within their total. The connection with the oldest head gives first: it loses what its
// policies let it lose, the oldest first, and if that is not enough and its policy is Disconnect, it is closed. To refuse frames
// to it only as they come would keep what it has, which is the very memory that is short; and the others go on undisturbed.
// Each loop looks among its own: an order of all loops would need a lock. It is done once a turn, so that the total is passed by
// one turn's frames at most.
func (l *Loop) relieve() (more bool) {
	if !l.over() {
		return false
	}
	for range relieved {
		c := l.stalest()
		if c == nil {
			return false
		}
		l.dropOldest(c, DropNewest, func(*node) bool { return !l.over() })
		if !l.over() {
			return false
		}
		if c.qsize > 0 || l.nodes.at(c.qhead).class == Disconnect {
			l.slow(c)
		}
		if !l.over() {
			return false
		}
	}
	return true
}

// stalest is the connection with the oldest head of those that can give something.
func (l *Loop) stalest() (oldest *Conn) {
	tick := uint32(math.MaxUint32)
	for _, ref := range l.backlog {
		c := l.slab.find(ref)
		if c == nil || c.state != open || c.qhead == 0 {
			continue
		}
		h := l.nodes.at(c.qhead)
		if h.tick < tick && (c.qsize > 0 || h.class == Disconnect) {
			oldest, tick = c, h.tick
		}
	}
	return oldest
}
