package loop

// node is one queued frame: 40 bytes, the frame's own bytes shared with everybody who gets it.
type node struct {
	bytes []byte
	room  uint32 // 0: a reply or control frame, which no policy drops
	next  uint32
	tick  uint32 // when it was queued
	class uint8
	held  [3]byte // number of its share
}

func (n *node) share() uint32 {
	return uint32(n.held[0]) | uint32(n.held[1])<<8 | uint32(n.held[2])<<16
}

func (n *node) setShare(s uint32) { n.held = [3]byte{byte(s), byte(s >> 8), byte(s >> 16)} }

const nodeChunk = 1024

// nodeSlab gives out nodes by number; 0 is none. Chunks go when no node is in use.
type nodeSlab struct {
	chunks []*[nodeChunk]node
	free   uint32 // first of a list by next
	next   uint32 // lowest number never given out, less one
	used   int
}

func (s *nodeSlab) at(n uint32) *node { return &s.chunks[(n-1)/nodeChunk][(n-1)%nodeChunk] }

func (s *nodeSlab) take() uint32 {
	s.used++
	if n := s.free; n != 0 {
		s.free = s.at(n).next
		return n
	}
	if int(s.next) == len(s.chunks)*nodeChunk {
		s.chunks = append(s.chunks, new([nodeChunk]node))
	}
	s.next++
	return s.next
}

func (s *nodeSlab) give(n uint32) {
	*s.at(n) = node{next: s.free}
	s.free = n
	s.used--
}

// shrink drops all chunks but the first when nothing is queued.
func (s *nodeSlab) shrink() {
	if s.used == 0 && len(s.chunks) > 1 {
		*s = nodeSlab{chunks: s.chunks[:1:1]}
		clear(s.chunks[0][:])
	}
}

// push appends a frame to the connection's queue.
func (l *Loop) push(c *Conn, frame []byte, room uint32, class uint8) {
	n := l.nodes.take()
	nd := l.nodes.at(n)
	*nd = node{bytes: frame, room: room, tick: l.now, class: class}
	nd.setShare(l.shares.hold(frame))
	if c.qhead == 0 {
		c.qhead = n
	} else {
		l.nodes.at(c.qtail).next = n
		c.qsize += uint32(len(frame))
	}
	c.qtail = n
	l.count.queued += int64(len(frame))
}

// pop removes the head node.
func (l *Loop) pop(c *Conn) {
	n := c.qhead
	nd := l.nodes.at(n)
	l.count.queued -= int64(len(nd.bytes))
	l.shares.drop(nd.share())
	c.qhead = nd.next
	c.flags &^= flagPinned
	if c.qhead == 0 {
		c.qtail, c.qsize = 0, 0
	} else {
		c.qsize -= uint32(len(l.nodes.at(c.qhead).bytes))
	}
	l.nodes.give(n)
}

// cut removes the node that follows prev.
func (l *Loop) cut(c *Conn, prev uint32) {
	p := l.nodes.at(prev)
	n := p.next
	nd := l.nodes.at(n)
	l.count.queued -= int64(len(nd.bytes))
	l.shares.drop(nd.share())
	c.qsize -= uint32(len(nd.bytes))
	if p.next = nd.next; p.next == 0 {
		c.qtail = prev
	}
	l.nodes.give(n)
}

// dropQueue empties the queue.
func (l *Loop) dropQueue(c *Conn) {
	for c.qhead != 0 {
		l.pop(c)
	}
}

// dropUnsent empties the queue but for a frame that is partly out: the stream would be broken without its rest.
func (l *Loop) dropUnsent(c *Conn) {
	if c.flags&flagPinned == 0 {
		l.dropQueue(c)
		return
	}
	for l.nodes.at(c.qhead).next != 0 {
		l.cut(c, c.qhead)
	}
}

// dropOldest drops frames of the policies up to last from behind the head, the oldest first, until it is enough.
func (l *Loop) dropOldest(c *Conn, last uint8, enough func(*node) bool) {
	prev := c.qhead
	for n := l.nodes.at(prev).next; n != 0; n = l.nodes.at(prev).next {
		nd := l.nodes.at(n)
		if nd.room == 0 || nd.class == Disconnect || nd.class > last {
			prev = n
			continue
		}
		if enough(nd) {
			return
		}
		l.count.dropped[nd.class]++
		l.cut(c, prev)
	}
}

// conflate puts a frame into the place of the one that waits for the same room; false when there is none, or no place for a
// larger one. Its age begins anew: it is news.
func (l *Loop) conflate(c *Conn, frame []byte, room uint32) bool {
	prev := uint32(0)
	for n := c.qhead; n != 0; n = l.nodes.at(n).next {
		nd := l.nodes.at(n)
		if nd.room != room || nd.class != Conflate || n == c.qhead && c.flags&flagPinned != 0 {
			prev = n
			continue
		}
		l.count.dropped[Conflate]++
		if n != c.qhead {
			size := int(c.qsize) - len(nd.bytes) + len(frame)
			if size > l.lim.Backlog {
				l.cut(c, prev)
				return false
			}
			c.qsize = uint32(size)
		}
		l.count.queued += int64(len(frame) - len(nd.bytes))
		l.shares.drop(nd.share())
		nd.bytes, nd.tick = frame, l.now
		nd.setShare(l.shares.hold(frame))
		return true
	}
	return false
}
