package fanout

// walk delivers the batch to the groups of the room, in at most n sends.
func (s *Shard) walk(r *room, n int) (used int) {
	for !r.served() {
		g := &r.groups[r.at]
		used += s.serve(r, g, n-used)
		used += s.serveLate(r, g, n-used)
		if !g.done() {
			return used
		}
		r.at++
	}
	return used
}

// serve delivers the batch to members that have not had it, n at most.
func (s *Shard) serve(r *room, g *group, n int) (used int) {
	if int(g.visited) == len(g.nodes) {
		return 0
	}
	frames := s.encoded(g.form, 0)
	for used < n && int(g.visited) < len(g.nodes) {
		ref := s.nodes.at(g.nodes[g.visited]).ref
		g.visited++ // before the send: it may panic
		used++
		s.send(r, g, ref, frames)
	}
	return used
}

// serveLate lets in the latecomers that joined within the batch, n at most, with what came after they joined. Those that joined after
// it wait on.
func (s *Shard) serveLate(r *room, g *group, n int) (used int) {
	end := r.cursor + uint64(r.batch)
	for used < n && g.late.waiting() > 0 && int(g.visited) == len(g.nodes) {
		g.late.unseen--
		i := g.late.unseen
		l := g.late.list[i]
		if l.from > end {
			continue
		}
		g.removeLate(i, &s.nodes)
		g.enter(l.node, &s.nodes)
		g.visited = uint32(len(g.nodes))
		used++
		s.send(r, g, s.nodes.at(l.node).ref, s.encoded(g.form, int(l.from-r.cursor)))
	}
	return used
}

// encoded returns the events of the batch from index skip on, in one form. It is valid until the next call.
func (s *Shard) encoded(f Form, skip int) [][]byte {
	frames := s.frames[:0]
	for _, ev := range s.batch[skip:] {
		if b := ev.bytes(f); len(b) > 0 {
			frames = append(frames, b)
		}
	}
	return frames
}

func (s *Shard) send(r *room, g *group, ref uint64, frames [][]byte) {
	if len(frames) == 0 {
		return
	}
	if !s.hidden {
		s.delivered += uint64(len(frames))
	}
	s.sink.Send(ref, r.id, g.class, s.several || s.upcoming, frames)
}
