package fanout

// quantum is how many sends a room may use before the next one has its turn: a huge topic costs the others no more than that.
const quantum = 256

// Work delivers what is due, about n sends of it, and reports whether something is left. It must be called after each Sink.Wake, and
// again as long as it reports more or if it panicked: a panic out of Sink.Send costs the one send that panicked.
func (s *Shard) Work(n int) (more bool) {
	s.owner.assert()
	s.run.join(s.inbox.take())
	s.several = s.run.head != s.run.tail
	for n > 0 && s.run.head != nil {
		n -= max(1, s.step(s.run.head, min(n, quantum)))
	}
	clear(s.events[:]) // what is delivered must not be kept
	clear(s.frames[:])
	s.deliveries.Store(s.delivered)
	return s.run.head != nil
}

// step serves the room at the head of the run queue with about n sends. The room stays at the head while sends are made, so that it
// is not lost if one of them panics.
func (s *Shard) step(r *room, n int) (used int) {
	for used < n {
		if !s.load(r) {
			return used
		}
		used += s.walk(r, n-used)
		if !r.served() {
			break
		}
		used++ // a batch costs something even if nobody is owed it
	}
	s.run.push(s.run.pop())
	return used
}

// load fetches the batch of the room at the head of the run queue: the one under way, or the next one if that is served. If nothing is
// left it takes the room out of the queue and reports false.
func (s *Shard) load(r *room) bool {
	if r.members == 0 { // the topic has forgotten the room
		s.run.pop()
		s.rooms.release(r.id)
		return false
	}
	t := r.topic
	t.mu.Lock()
	defer t.mu.Unlock()
	if r.batch > 0 && r.served() {
		r.cursor += uint64(r.batch)
		r.batch = 0
		t.trim()
	}
	if r.batch == 0 {
		if r.cursor >= t.ready {
			s.run.pop() // first, as the next publisher may put it into the inbox
			r.dirty = false
			return false
		}
		r.batch = uint8(min(t.ready-r.cursor, segmentEvents))
		r.rewind()
	}
	s.batch = s.events[:r.batch]
	t.log.read(s.batch, r.cursor)
	s.upcoming, s.hidden = r.cursor+uint64(r.batch) < t.ready, t.key.hidden()
	return true
}
