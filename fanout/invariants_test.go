package fanout

import "math/bits"

// check looks at everything the hub keeps. It is for one goroutine: nothing else may run.
func (m *model) check() {
	for i, s := range m.shards {
		m.checkSlabs(s)
		queued := m.checkQueues(s)
		members := 0
		s.rooms.each(func(id uint32, r **room) {
			m.checkRoom(s, id, *r, queued)
			members += int((*r).members)
		})
		nodes := m.checkChains(s)
		want := 0
		for _, c := range m.conns[i] {
			want += len(c.members)
		}
		if members != want || nodes != want || s.nodes.count() != want || s.members.Load() != int64(want) {
			m.t.Fatalf("shard %d: %d members in rooms, %d in chains, %d in the slab, %d counted, want %d",
				i, members, nodes, s.nodes.count(), s.members.Load(), want)
		}
	}
	m.checkTopics()
}

func (s *slab[T]) each(f func(n uint32, v *T)) {
	for i, c := range s.chunks {
		for j := 0; c != nil && j < chunkItems; j++ {
			if c.used[j/64]&(1<<(j%64)) != 0 {
				f(uint32(i*chunkItems+j)+1, &c.items[j])
			}
		}
	}
}

func (s *slab[T]) count() (n int) {
	for _, c := range s.chunks {
		if c != nil {
			n += c.count
		}
	}
	return n
}

func checkSlab[T comparable](m *model, s *slab[T]) {
	empty := 0
	for i, c := range s.chunks {
		switch {
		case c == nil:
			if i < s.open || i == len(s.chunks)-1 {
				m.t.Fatalf("chunk %d of %d is dropped, open is %d", i, len(s.chunks), s.open)
			}
			continue
		case c.count == 0:
			empty++
			if s.spare != i+1 {
				m.t.Fatalf("chunk %d is empty, the spare one is %d", i, s.spare-1)
			}
		case i < s.open && c.count < chunkItems:
			m.t.Fatalf("chunk %d has free places below %d", i, s.open)
		}
		used := 0
		for _, w := range c.used {
			used += bits.OnesCount64(w)
		}
		var zero T
		free := 0
		for j := range c.items {
			if c.used[j/64]&(1<<(j%64)) == 0 {
				free++
				if c.items[j] != zero {
					m.t.Fatalf("free place %d of chunk %d is not clear", j, i)
				}
			}
		}
		if used != c.count || used+free != chunkItems {
			m.t.Fatalf("chunk %d: %d used, %d counted, %d free", i, used, c.count, free)
		}
	}
	if empty > 1 || empty == 0 && s.spare != 0 {
		m.t.Fatalf("%d empty chunks, spare %d", empty, s.spare-1)
	}
}

func (m *model) checkSlabs(s *Shard) {
	// Looking at each of 1024 places is slow: not after each step.
	if len(m.tape)%61 == 0 {
		checkSlab(m, &s.nodes)
		checkSlab(m, &s.rooms)
	}
}

// checkQueues returns how often each room stands in the inbox or in the run queue.
func (m *model) checkQueues(s *Shard) map[*room]int {
	queued := map[*room]int{}
	for _, q := range []queue{s.run, s.inbox.rooms} {
		for r := q.head; r != nil; r = r.next {
			queued[r]++
			if r.next == nil && q.tail != r || queued[r] > 1 {
				m.t.Fatalf("broken queue at room %d", r.id)
			}
		}
		if q.head == nil && q.tail != nil {
			m.t.Fatal("an empty queue has an end")
		}
	}
	return queued
}

func (m *model) checkRoom(s *Shard, id uint32, r *room, queued map[*room]int) {
	t := r.topic
	if r.id != id || r.shard != s || r.dirty != (queued[r] == 1) {
		m.t.Fatalf("room %d: id %d, dirty %v, in %d queues", id, r.id, r.dirty, queued[r])
	}
	if known := t.room(s) == r; known != (r.members > 0) {
		m.t.Fatalf("room %d has %d members, known to its topic: %v", id, r.members, known)
	}
	if r.members == 0 {
		if !r.dirty {
			m.t.Fatalf("room %d is left over", id)
		}
		return
	}
	if r.dirty != (r.cursor < t.ready) || !r.dirty && r.batch != 0 || r.inUse() != r.forms {
		m.t.Fatalf("room %d: dirty %v, cursor %d, batch %d, ready %d, forms %b", id, r.dirty, r.cursor, r.batch, t.ready, r.forms)
	}
	members := 0
	for i := range r.groups {
		g := &r.groups[i]
		members += len(g.nodes) + g.late.len()
		if int(g.visited) > len(g.nodes) || g.late.waiting() > g.late.len() || g.late != nil && g.late.len() == 0 {
			m.t.Fatalf("room %d group %d: visited %d of %d, unseen %d of %d", id, i, g.visited, len(g.nodes), g.late.waiting(), g.late.len())
		}
		for j, n := range g.nodes {
			if nd := s.nodes.at(n); nd.late || int(nd.back) != j || nd.room != id || int(nd.group) != i {
				m.t.Fatalf("room %d group %d: node %d at %d is %+v", id, i, n, j, nd)
			}
		}
		for j := range g.late.len() {
			l := g.late.list[j]
			if nd := s.nodes.at(l.node); !nd.late || int(nd.back) != j || nd.room != id || int(nd.group) != i || l.from < r.cursor || l.from > t.log.head {
				m.t.Fatalf("room %d group %d: latecomer from %d at %d is %+v, cursor %d", id, i, l.from, j, nd, r.cursor)
			}
		}
	}
	if members != int(r.members) {
		m.t.Fatalf("room %d: %d members, %d counted", id, members, r.members)
	}
}

// checkChains returns the number of memberships that are found by slot.
func (m *model) checkChains(s *Shard) (total int) {
	for i, p := range s.chains.pages {
		used := 0
		for j := 0; p != nil && j < pageSlots; j++ {
			if p.first[j] == 0 {
				continue
			}
			used++
			if p.first[j] == indexed {
				total += m.checkIndex(s, uint32(i*pageSlots+j))
				continue
			}
			for n := p.first[j]; n != 0; n = s.nodes.at(n).next {
				total++
				if slotOf(s.nodes.at(n).ref) != uint32(i*pageSlots+j) {
					m.t.Fatalf("node %d is in the chain of slot %d", n, j)
				}
			}
		}
		if p != nil && p.used != used {
			m.t.Fatalf("page %d: %d slots used, %d counted", i, used, p.used)
		}
	}
	return total
}

func (m *model) checkIndex(s *Shard, slot uint32) int {
	index := s.chains.index[slot]
	if len(index.node) == 0 {
		m.t.Fatalf("the index of slot %d is left over", slot)
	}
	for k, n := range index.node {
		if nd := s.nodes.at(n); nd.ref != index.ref || slotOf(nd.ref) != slot || *s.keyOf(nd) != k || nd.next != 0 {
			m.t.Fatalf("index of slot %d: node %d is %+v", slot, n, nd)
		}
	}
	return len(index.node)
}

func (m *model) checkTopics() {
	topics, total := 0, 0
	for i := range m.hub.stripes {
		for k, t := range m.hub.stripes[i].topics {
			topics++
			if t.gone || t.key != k || m.topics[k] == nil {
				m.t.Fatalf("topic %v: gone %v", k, t.gone)
			}
			total += t.bytes
			m.checkTopic(t)
		}
	}
	if topics != len(m.topics) || m.hub.topics.Load() != int64(topics) {
		m.t.Fatalf("%d topics, %d counted, want %d", topics, m.hub.topics.Load(), len(m.topics))
	}
	if limit := m.hub.config.TotalBytes; m.hub.undelivered.Load() != int64(total) || limit > 0 && total > limit {
		m.t.Fatalf("%d bytes undelivered, %d counted, limit %d", total, m.hub.undelivered.Load(), limit)
	}
}

func (m *model) checkTopic(t *topic) {
	members, rooms, floor, forms := 0, 0, t.ready, uint32(0)
	shards := map[*Shard]bool{}
	for r := t.rooms; r != nil; r = r.sibling {
		members += int(r.members)
		rooms++
		floor = min(floor, r.cursor)
		forms |= r.forms
		shards[r.shard] = true
	}
	if members != m.topics[t.key].members || int(t.members) != members || len(shards) != rooms || t.forms != forms {
		m.t.Fatalf("topic %v: %d members in rooms, %d counted, want %d; forms %b", t.key, members, t.members, m.topics[t.key].members, t.forms)
	}
	if t.log.base != floor || t.log.head != m.topics[t.key].head || t.ready > t.log.head {
		m.t.Fatalf("topic %v: log (%d, %d], ready %d, slowest cursor %d", t.key, t.log.base, t.log.head, t.ready, floor)
	}
	size, held := 0, 0
	for o := t.log.base + 1; o <= t.log.head; o++ {
		size += t.log.at(o).size()
	}
	for _, seg := range segmentsOf(&t.log) {
		for _, ev := range seg {
			if ev != nil {
				held++
			}
		}
	}
	if t.bytes != size || held != int(t.log.head-t.log.base) || size > t.hub.config.TopicBytes {
		m.t.Fatalf("topic %v: %d bytes, %d counted; %d events held", t.key, size, t.bytes, held)
	}
	if (t.log.base == t.log.head) != (t.log.window == nil) {
		m.t.Fatalf("topic %v: an empty log holds memory", t.key)
	}
}
