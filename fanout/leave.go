package fanout

// Leave ends one membership and reports whether there was one. Nothing of the topic is sent to the connection afterwards.
func (s *Shard) Leave(ref uint64, k Key) bool {
	s.owner.assert()
	n, _ := s.find(ref, k)
	if n == 0 {
		return false
	}
	s.unlink(n)
	s.drop(n)
	return true
}

// LeaveAll ends all memberships of a connection, as must be done when it is closed.
func (s *Shard) LeaveAll(ref uint64) {
	s.owner.assert()
	slot, n := slotOf(ref), s.chain(ref)
	switch n {
	case 0:
	case indexed:
		m := s.chains.index[slot]
		s.chains.clear(slot)
		for _, n := range m.node {
			s.drop(n)
		}
	default:
		s.chains.clear(slot)
		for n != 0 {
			next := s.nodes.at(n).next
			s.drop(n)
			n = next
		}
	}
}

// drop ends a membership that is linked no more.
func (s *Shard) drop(n uint32) {
	nd := s.nodes.at(n)
	r := *s.rooms.at(nd.room)
	g := &r.groups[nd.group]
	g.leave(nd, &s.nodes)
	s.nodes.release(n)
	s.count(r.topic.key, -1)
	r.members--
	s.uncount(r)
}

// uncount takes one member out of the topic's count, and the room and the topic away with their last one. A dirty room stays in its
// queue, without a topic that knows it, until Work finds it.
func (s *Shard) uncount(r *room) {
	t := r.topic
	t.mu.Lock()
	t.members--
	if forms := r.inUse(); forms != r.forms {
		r.forms = forms
		t.use()
	}
	dirty, gone, more := r.dirty, t.members == 0, false
	switch {
	case gone:
		t.end()
	case r.members == 0:
		t.detach(r)
		more = t.trim()
	}
	t.mu.Unlock()
	if gone {
		s.hub.forget(t)
	}
	if more {
		t.trimAll()
	}
	if r.members == 0 && !dirty {
		s.rooms.release(r.id)
	}
}
