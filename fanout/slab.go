package fanout

import "math/bits"

const (
	chunkItems = 1024
	chunkWords = chunkItems / 64
)

// slab gives out numbered places for T. It grows by chunks, so that nothing is ever copied, prefers the lowest free number, so that the
// upper chunks run empty, and drops chunks without items but for one, so that joining and leaving at a border costs nothing. 0 is no number.
type slab[T any] struct {
	chunks []*chunk[T]
	open   int // chunks below have no free place
	spare  int // index + 1 of a chunk without items; 0: there is none
}

type chunk[T any] struct {
	items [chunkItems]T
	used  [chunkWords]uint64 // a bit for each item
	count int
}

// at returns the place of a number that was given out.
func (s *slab[T]) at(n uint32) *T {
	n--
	return &s.chunks[n/chunkItems].items[n%chunkItems]
}

// alloc gives out a number; its place is zero.
func (s *slab[T]) alloc() uint32 {
	for s.open < len(s.chunks) && s.chunks[s.open] != nil && s.chunks[s.open].count == chunkItems {
		s.open++
	}
	if s.open == len(s.chunks) {
		s.chunks = append(s.chunks, nil)
	}
	c := s.chunks[s.open]
	if c == nil {
		c = s.fill()
	}
	if s.spare == s.open+1 {
		s.spare = 0 // no more
	}
	w := 0
	for c.used[w] == 1<<64-1 {
		w++
	}
	bit := bits.TrailingZeros64(^c.used[w])
	c.used[w] |= 1 << bit
	c.count++
	return uint32(s.open*chunkItems+w*64+bit) + 1
}

// fill puts a chunk where s.open has none: the spare one, which lies above and can move as it has no items, or a new one.
func (s *slab[T]) fill() *chunk[T] {
	var c *chunk[T]
	if s.spare > 0 {
		c, s.chunks[s.spare-1] = s.chunks[s.spare-1], nil
		s.spare = 0
	} else {
		c = new(chunk[T])
	}
	s.chunks[s.open] = c
	s.cutTail()
	return c
}

// release takes a number back and clears its place.
func (s *slab[T]) release(n uint32) {
	n--
	i := int(n / chunkItems)
	c := s.chunks[i]
	var zero T
	c.items[n%chunkItems] = zero
	c.used[n%chunkItems/64] &^= 1 << (n % 64)
	c.count--
	s.open = min(s.open, i)
	if c.count == 0 {
		s.retire(i)
	}
}

// retire keeps the lower one of two empty chunks and drops the other.
func (s *slab[T]) retire(i int) {
	if s.spare == 0 {
		s.spare = i + 1
		return
	}
	drop := max(i, s.spare-1)
	s.spare = min(i+1, s.spare)
	s.chunks[drop] = nil
	s.cutTail()
}

// cutTail removes what was dropped at the end.
func (s *slab[T]) cutTail() {
	n := len(s.chunks)
	for n > 0 && s.chunks[n-1] == nil {
		n--
	}
	s.chunks = s.chunks[:n]
	s.open = min(s.open, n)
}
