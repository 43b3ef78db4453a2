package loop

// node is one queued frame: 40 bytes, the frame's own bytes shared with everybody who gets it.
type node struct {
	bytes []byte
	room  uint32 // 0: a reply or control frame, which no policy drops
	next  uint32
	tick  uint32 // when it was queued
	class uint8
}

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
	*l.nodes.at(n) = node{bytes: frame, room: room, tick: l.now, class: class}
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

// dropOldest drops frames that a policy may drop, oldest first, from behind the head while keep is false.
func (l *Loop) dropOldest(c *Conn, enough func(*node) bool) {
	prev := c.qhead
	for n := l.nodes.at(prev).next; n != 0; n = l.nodes.at(prev).next {
		nd := l.nodes.at(n)
		if enough(nd) {
			return
		}
		if nd.room == 0 || nd.class != DropOldest {
			prev = n
			continue
		}
		l.count.dropped++
		l.cut(c, prev)
	}
}
