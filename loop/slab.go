package loop

import "math/bits"

const chunkSlots = 1024

// chunk holds the records of 1,024 connections, and beside them their due ticks, so that a sweep for what is due reads 4 KiB and
// not the records.
type chunk struct {
	conns [chunkSlots]Conn
	due   [chunkSlots]uint32 // tick; 0: never
	taken [chunkSlots / 64]uint64
	used  int
	empty uint32 // the tick at which used became 0
}

// slab gives out slots. Chunks come with demand and go when they have been free for a minute; a slot's generation goes up with
// each use and is remembered for chunks that are gone, so that a stale Ref stays stale.
type slab struct {
	loop   uint8
	chunks []*chunk
	gens   []uint32 // highest generation used in a chunk that is gone
	low    int      // no chunk before this one has a free slot
	used   int
}

func (s *slab) at(slot uint32) *Conn { return &s.chunks[slot/chunkSlots].conns[slot%chunkSlots] }

// find gives the connection that ref names, or nil.
func (s *slab) find(ref Ref) *Conn {
	slot := ref.Slot()
	if i := int(slot / chunkSlots); i >= len(s.chunks) || s.chunks[i] == nil {
		return nil
	}
	if c := s.at(slot); c.ref == ref && c.state != free {
		return c
	}
	return nil
}

// take gives a free slot's record with a new Ref, its state still free; nil when all 2^24 slots are in use.
func (s *slab) take() *Conn {
	for s.low < len(s.chunks) && s.chunks[s.low] != nil && s.chunks[s.low].used == chunkSlots {
		s.low++
	}
	if s.low == len(s.chunks) {
		if len(s.chunks) == (slotMask+1)/chunkSlots {
			return nil
		}
		s.chunks, s.gens = append(s.chunks, nil), append(s.gens, 0)
	}
	ch := s.chunks[s.low]
	if ch == nil {
		ch = new(chunk)
		s.chunks[s.low] = ch
	}
	for w, word := range ch.taken {
		if word == ^uint64(0) {
			continue
		}
		i := w*64 + bits.TrailingZeros64(^word)
		ch.taken[w] |= 1 << (i % 64)
		ch.used++
		s.used++
		c := &ch.conns[i]
		gen := max(c.ref.gen(), s.gens[s.low]) + 1
		if gen == 0 { // 2^32 lives of one slot: begin again, but never with the zero Ref
			gen = 1
		}
		c.ref = makeRef(s.loop, gen, uint32(s.low*chunkSlots+i))
		return c
	}
	return nil
}

// give takes a slot back.
func (s *slab) give(c *Conn, now uint32) {
	slot := c.ref.Slot()
	i, at := int(slot/chunkSlots), slot%chunkSlots
	ch := s.chunks[i]
	ch.due[at] = 0
	ch.taken[at/64] &^= 1 << (at % 64)
	ch.used--
	ch.empty = now
	s.used--
	s.low = min(s.low, i)
}

// shrink drops chunks that have been free for age ticks. Every slot of theirs has passed quarantine, so that neither netpoll nor
// the kernel knows an address in them.
func (s *slab) shrink(now, age uint32) {
	for i, ch := range s.chunks {
		if ch == nil || ch.used > 0 || now-ch.empty < age {
			continue
		}
		for k := range ch.conns {
			s.gens[i] = max(s.gens[i], ch.conns[k].ref.gen())
		}
		s.chunks[i] = nil
	}
}

func (s *slab) due(slot uint32) *uint32 {
	return &s.chunks[slot/chunkSlots].due[slot%chunkSlots]
}
