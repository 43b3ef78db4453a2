package fanout

// Want says how a connection wishes to receive a topic. Form must be one that Hub.Form has returned.
type Want struct {
	Form  Form
	Class uint8 // policy for a slow consumer, handed to Sink.Send
}

// Joined is the cut at which a membership begins: all events after Pos will come, none up to it.
type Joined struct {
	Pos     Position
	First   bool // the topic had no member in this process
	Already bool // the connection was a member and stays it as it was: nothing changed
}

// Join makes the connection a member of a topic. A ref with an older generation than the memberships its slot already has is stale:
// nothing happens, and the zero Joined is returned. Events are delivered by later calls of Work, never by Join itself, so that a reply
// queued now goes first. k.Name may be part of a buffer that is used again: a new topic keeps a copy.
func (s *Shard) Join(ref uint64, k Key, w Want) Joined {
	s.owner.assert()
	if !s.claim(ref) {
		return Joined{}
	}
	n, length := s.find(ref, k)
	if n != 0 {
		return Joined{Pos: s.position(n), Already: true}
	}
	r, clean, j := s.cut(k, w)
	n = s.nodes.alloc()
	i := r.group(w)
	*s.nodes.at(n) = node{ref: ref, room: r.id, group: uint16(i)}
	s.link(n, length)
	r.members++
	if clean {
		r.groups[i].enter(n, &s.nodes)
	} else {
		r.groups[i].wait(n, j.Pos.Offset, &s.nodes)
	}
	s.count(k, 1)
	return j
}

// cut counts the new member in, under the topic's lock. clean means that the room has delivered everything before the cut.
func (s *Shard) cut(k Key, w Want) (r *room, clean bool, j Joined) {
	t := s.hub.lockTopic(k)
	defer t.mu.Unlock()
	j = Joined{Pos: t.position(), First: t.members == 0}
	r = t.room(s)
	if r == nil {
		r = &room{topic: t, shard: s, id: s.rooms.alloc(), cursor: t.log.head, sibling: t.rooms}
		r.groups = r.first[:0]
		*s.rooms.at(r.id) = r
		t.rooms = r
	}
	t.members++
	r.forms |= 1 << w.Form
	t.forms |= 1 << w.Form
	return r, r.cursor == t.log.head, j
}

// claim readies the slot for ref. The slot of a closed connection is used again with a higher generation: what an older one has left
// there ends now. It reports false if ref is the older one.
func (s *Shard) claim(ref uint64) bool {
	old, ok := s.holder(slotOf(ref))
	if !ok || old == ref {
		return true
	}
	if int32(generationOf(ref)-generationOf(old)) < 0 { // generations may wrap
		return false
	}
	s.LeaveAll(old)
	return true
}

// position returns the newest position of the topic of a membership.
func (s *Shard) position(n uint32) Position {
	t := (*s.rooms.at(s.nodes.at(n).room)).topic
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.position()
}

// Count returns the number of memberships the connection has.
func (s *Shard) Count(ref uint64) int {
	s.owner.assert()
	n := s.chain(ref)
	if n == indexed {
		return len(s.chains.index[slotOf(ref)].node)
	}
	count := 0
	for ; n != 0; n = s.nodes.at(n).next {
		count++
	}
	return count
}
