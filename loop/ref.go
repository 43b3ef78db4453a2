package loop

// Ref names a connection for anyone, for ever: loop 8 | generation 32 | slot 24, low bits last. A Ref whose connection has
// ended names nobody: whatever is done with it does nothing. The zero Ref never names a connection. The slot is dense, so that
// it may index arrays.
type Ref uint64

const (
	slotBits = 24
	slotMask = 1<<slotBits - 1
	genBits  = 32
	genMask  = 1<<genBits - 1
	maxLoops = 1 << 8
)

func makeRef(loop uint8, gen, slot uint32) Ref {
	return Ref(loop)<<(slotBits+genBits) | Ref(gen)<<slotBits | Ref(slot&slotMask)
}

// Loop is the index of the loop that owns the connection.
func (r Ref) Loop() int { return int(r >> (slotBits + genBits)) }

// Slot is the place of the connection's record in its loop's slab; it is used again, under another generation, when the
// connection has ended.
func (r Ref) Slot() uint32 { return uint32(r) & slotMask }

func (r Ref) gen() uint32 { return uint32(r >> slotBits & genMask) }
