package fanout

// node is one membership. It has no pointer, so that a million of them cost the garbage collector nothing.
type node struct {
	ref   uint64
	room  uint32
	back  uint32 // its index in the nodes of its group or, if late, in the late list
	next  uint32 // the next membership of the connection; 0 is the end
	group uint16
	late  bool
}

// A ref names a connection: loop 8 bits, generation 32, slot 24.
const slotMask = 1<<24 - 1

func slotOf(ref uint64) uint32       { return uint32(ref & slotMask) }
func generationOf(ref uint64) uint32 { return uint32(ref >> 24) }
