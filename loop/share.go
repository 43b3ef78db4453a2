package loop

import "unsafe"

const (
	nodeBytes   = int64(unsafe.Sizeof(node{}))
	recentSlots = 1 << 10
	recentTries = 4
	maxShares   = 1<<24 - 1 // what a node has bits for
)

// share is a frame that waits in this loop, with as many nodes as wait for it: its bytes are there once.
type share struct {
	last *byte  // its last byte, which what is left of a frame that is partly out has too; nil when free
	size uint32 // the most that any node had of it
	refs uint32 // of a free one: the next free one
}

// shares counts the bytes of the frames that wait in a loop, each once. A frame is known again by its address while it is among
// those that were queued last; the members of a topic get theirs in one go, so that it is. What is not known again counts once
// more: the sum is never too small.
type shares struct {
	list   []share // the first one is nobody's
	free   uint32
	used   int
	bytes  int64
	recent [recentSlots]uint32
}

// hold counts one more node of a frame and gives its share's number.
func (s *shares) hold(frame []byte) uint32 {
	last := &frame[len(frame)-1]
	h := uint32(uint64(uintptr(unsafe.Pointer(last)))*0x9e3779b97f4a7c15>>32) % recentSlots
	place := h
	for i := range uint32(recentTries) {
		at := (h + i) % recentSlots
		if n := s.recent[at]; n == 0 || int(n) >= len(s.list) || s.list[n].last == nil {
			place = at
		} else if x := &s.list[n]; x.last == last {
			x.refs++
			if size := uint32(len(frame)); size > x.size {
				s.bytes += int64(size - x.size)
				x.size = size
			}
			return n
		}
	}
	n := s.take()
	if n != 0 {
		s.list[n] = share{last: last, size: uint32(len(frame)), refs: 1}
		s.bytes += int64(len(frame))
		s.recent[place] = n
	}
	return n
}

func (s *shares) take() uint32 {
	if n := s.free; n != 0 {
		s.free = s.list[n].refs
		s.used++
		return n
	}
	if len(s.list) == 0 {
		s.list = append(s.list, share{})
	}
	if len(s.list) > maxShares {
		return 0 // 16 million different frames wait: no more are counted
	}
	s.list = append(s.list, share{})
	s.used++
	return uint32(len(s.list) - 1)
}

// drop counts one node less.
func (s *shares) drop(n uint32) {
	if n == 0 {
		return
	}
	x := &s.list[n]
	if x.refs--; x.refs > 0 {
		return
	}
	s.bytes -= int64(x.size)
	*x = share{refs: s.free}
	s.free = n
	s.used--
}

// shrink gives a long list back when nothing is queued.
func (s *shares) shrink() {
	if s.used == 0 && cap(s.list) > nodeChunk {
		s.list, s.free = nil, 0
		clear(s.recent[:])
	}
}
