package fanout

const (
	pageSlots = 1024
	longChain = 32        // with more memberships a connection gets an index
	indexed   = 1<<32 - 1 // in place of a first node: the memberships are in the index
)

// chains finds the memberships of a connection by its slot. Up to 32 of them are a chain of nodes, searched one by one. Beyond, a map
// takes over until the connection has left all. The pages are an array by slot that grows without copying; pages without members are
// dropped, the first one apart.
type chains struct {
	pages []*page
	index map[uint32]*memberships // by slot
}

type page struct {
	first [pageSlots]uint32
	used  int // slots with members
}

type memberships struct {
	ref  uint64
	node map[Key]uint32
}

// first returns the first node of a slot, 0 or indexed.
func (c *chains) first(slot uint32) uint32 {
	i := int(slot / pageSlots)
	if i >= len(c.pages) || c.pages[i] == nil {
		return 0
	}
	return c.pages[i].first[slot%pageSlots]
}

// setFirst replaces the first node of a slot.
func (c *chains) setFirst(slot, n uint32) {
	i := int(slot / pageSlots)
	for i >= len(c.pages) {
		c.pages = append(c.pages, nil)
	}
	if c.pages[i] == nil {
		c.pages[i] = new(page)
	}
	p := c.pages[i]
	old := p.first[slot%pageSlots]
	p.first[slot%pageSlots] = n
	switch {
	case old == 0 && n != 0:
		p.used++
	case old != 0 && n == 0:
		p.used--
	}
	if p.used == 0 && i > 0 {
		c.pages[i] = nil
	}
}

// holder returns the ref whose memberships a slot has.
func (s *Shard) holder(slot uint32) (ref uint64, ok bool) {
	switch n := s.chains.first(slot); n {
	case 0:
		return 0, false
	case indexed:
		return s.chains.index[slot].ref, true
	default:
		return s.nodes.at(n).ref, true
	}
}

// chain returns the first node of the connection, 0 or indexed. A stale ref has none.
func (s *Shard) chain(ref uint64) uint32 {
	slot := slotOf(ref)
	if holder, ok := s.holder(slot); !ok || holder != ref {
		return 0
	}
	return s.chains.first(slot)
}

// keyOf returns the topic of a membership.
func (s *Shard) keyOf(nd *node) *Key { return &(*s.rooms.at(nd.room)).topic.key }

// find returns the connection's membership of a topic, 0 if there is none, and how many memberships were searched.
func (s *Shard) find(ref uint64, k Key) (n uint32, length int) {
	n = s.chain(ref)
	if n == indexed {
		m := s.chains.index[slotOf(ref)]
		return m.node[k], len(m.node)
	}
	for ; n != 0; n = s.nodes.at(n).next {
		if *s.keyOf(s.nodes.at(n)) == k {
			return n, length
		}
		length++
	}
	return 0, length
}

// link adds a membership to those of its connection, which has length of them.
func (s *Shard) link(n uint32, length int) {
	nd := s.nodes.at(n)
	slot := slotOf(nd.ref)
	first := s.chains.first(slot)
	if first != indexed {
		nd.next = first
		s.chains.setFirst(slot, n)
		if length >= longChain {
			s.buildIndex(slot)
		}
		return
	}
	s.chains.index[slot].node[*s.keyOf(nd)] = n
}

// buildIndex turns a chain into a map.
func (s *Shard) buildIndex(slot uint32) {
	n := s.chains.first(slot)
	m := &memberships{ref: s.nodes.at(n).ref, node: make(map[Key]uint32, 2*longChain)}
	for n != 0 {
		nd := s.nodes.at(n)
		m.node[*s.keyOf(nd)] = n
		n, nd.next = nd.next, 0
	}
	if s.chains.index == nil {
		s.chains.index = make(map[uint32]*memberships)
	}
	s.chains.index[slot] = m
	s.chains.setFirst(slot, indexed)
}

// unlink takes a membership out of those of its connection.
func (s *Shard) unlink(n uint32) {
	nd := s.nodes.at(n)
	slot := slotOf(nd.ref)
	first := s.chains.first(slot)
	switch first {
	case n:
		s.chains.setFirst(slot, nd.next)
	case indexed:
		m := s.chains.index[slot]
		delete(m.node, *s.keyOf(nd))
		if len(m.node) == 0 {
			s.chains.clear(slot)
		}
	default:
		prev := s.nodes.at(first)
		for prev.next != n {
			prev = s.nodes.at(prev.next)
		}
		prev.next = nd.next
	}
}

// clear forgets the memberships of a slot.
func (c *chains) clear(slot uint32) {
	if c.first(slot) == indexed {
		delete(c.index, slot)
	}
	if len(c.index) == 0 {
		c.index = nil // a map never shrinks
	}
	c.setFirst(slot, 0)
}
