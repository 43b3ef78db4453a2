package loop

import (
	"math"
	"math/rand/v2"
	"testing"
)

// occupy takes a slot the way a loop does.
func occupy(s *slab) *Conn {
	c := s.take()
	c.state = open
	return c
}

// vacate gives a slot back the way a loop does.
func vacate(s *slab, c *Conn, now uint32) {
	c.state = free
	s.give(c, now)
}

func TestSlabLowestSlotFirst(t *testing.T) {
	s := slab{loop: 3}
	conns := make([]*Conn, 0, 2*chunkSlots+10)
	for i := range uint32(2*chunkSlots + 10) {
		c := occupy(&s)
		if c.ref.Slot() != i || c.ref.Loop() != 3 || c.ref.gen() != 1 {
			t.Fatalf("take %d: loop %d, slot %d, generation %d", i, c.ref.Loop(), c.ref.Slot(), c.ref.gen())
		}
		conns = append(conns, c)
	}
	for _, i := range []int{2050, 1500, 70, 5} {
		vacate(&s, conns[i], 1)
	}
	for _, want := range []uint32{5, 70, 1500, 2050, 2*chunkSlots + 10} {
		if c := occupy(&s); c.ref.Slot() != want {
			t.Errorf("slot %d, want %d", c.ref.Slot(), want)
		}
	}
}

func TestSlabStaleRefs(t *testing.T) {
	var s slab
	a := occupy(&s)
	first := a.ref
	if s.find(first) != a {
		t.Fatal("a living connection is not found")
	}
	vacate(&s, a, 1)
	if s.find(first) != nil {
		t.Error("a free slot is found by its last ref")
	}
	b := occupy(&s)
	if b != a || b.ref.gen() != first.gen()+1 {
		t.Errorf("generation %d after %d", b.ref.gen(), first.gen())
	}
	if s.find(first) != nil {
		t.Error("a stale ref is found")
	}
	for _, ref := range []Ref{0, makeRef(0, 1, 77), makeRef(0, 1, slotMask), makeRef(1, b.ref.gen(), 0), ^Ref(0)} {
		if s.find(ref) != nil {
			t.Errorf("%x is found", uint64(ref))
		}
	}
}

// TestSlabGenerationWraps: after 2^32 lives of a slot its refs begin again, but the zero Ref never names a connection.
func TestSlabGenerationWraps(t *testing.T) {
	var s slab
	c := occupy(&s)
	c.ref = makeRef(0, math.MaxUint32, 0)
	vacate(&s, c, 1)
	if c = occupy(&s); c.ref == 0 || c.ref.gen() != 1 {
		t.Errorf("ref %x after the last generation", uint64(c.ref))
	}
}

func TestSlabDropsChunks(t *testing.T) {
	var s slab
	conns := make([]*Conn, 0, 3*chunkSlots)
	for range 3 * chunkSlots {
		conns = append(conns, occupy(&s))
	}
	stale := make([]Ref, 0, chunkSlots)
	for _, c := range conns[chunkSlots : 2*chunkSlots] {
		stale = append(stale, c.ref)
		vacate(&s, c, 100)
	}
	s.shrink(100+9, 10)
	if s.chunks[1] == nil {
		t.Fatal("a chunk went before its time")
	}
	s.shrink(100+10, 10)
	if s.chunks[0] == nil || s.chunks[1] != nil || s.chunks[2] == nil {
		t.Fatal("a free chunk stays, or one in use went")
	}
	for _, ref := range stale {
		if s.find(ref) != nil {
			t.Fatalf("%x is found in a chunk that is gone", uint64(ref))
		}
	}
	for _, ref := range stale {
		c := occupy(&s)
		if c.ref.Slot() != ref.Slot() || c.ref.gen() <= ref.gen() {
			t.Fatalf("slot %d generation %d follows slot %d generation %d", c.ref.Slot(), c.ref.gen(), ref.Slot(), ref.gen())
		}
		if s.find(ref) != nil {
			t.Fatalf("%x is found in a chunk that came back", uint64(ref))
		}
	}
	if s.used != 3*chunkSlots {
		t.Errorf("%d used", s.used)
	}
}

// TestSlabModel compares the slab with a map, under random use.
func TestSlabModel(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	l := &Loop{}
	s := &l.slab
	living, now := make(map[Ref]*Conn), uint32(0)
	var refs, gone []Ref
	for step := range 20000 {
		switch k := r.IntN(100); {
		case k < 50 && len(refs) < 5000 || len(refs) == 0:
			c := occupy(s)
			if living[c.ref] != nil || c.ref == 0 {
				t.Fatalf("step %d: ref %x is given twice", step, uint64(c.ref))
			}
			living[c.ref] = c
			refs = append(refs, c.ref)
		case k < 95:
			i := r.IntN(len(refs))
			ref := refs[i]
			refs[i] = refs[len(refs)-1]
			refs = refs[:len(refs)-1]
			vacate(s, living[ref], now)
			delete(living, ref)
			gone = append(gone, ref)
		case k < 97: // an ebb, so that chunks get free
			for len(refs) > 100 {
				ref := refs[len(refs)-1]
				refs = refs[:len(refs)-1]
				vacate(s, living[ref], now)
				delete(living, ref)
			}
		default:
			now += uint32(r.IntN(slabRest))
			s.shrink(now, slabRest)
		}
		if len(gone) > 0 && s.find(gone[r.IntN(len(gone))]) != nil {
			t.Fatalf("step %d: a stale ref is found", step)
		}
	}
	for ref, c := range living {
		if s.find(ref) != c {
			t.Fatalf("%x is not found", uint64(ref))
		}
	}
	for _, fault := range faultsOf(l) {
		t.Error(fault)
	}
}

func TestRefParts(t *testing.T) {
	for _, x := range []struct {
		loop      uint8
		gen, slot uint32
	}{{0, 1, 0}, {255, math.MaxUint32, slotMask}, {7, 0x12345678, 0xabcdef}} {
		r := makeRef(x.loop, x.gen, x.slot)
		if r.Loop() != int(x.loop) || r.gen() != x.gen || r.Slot() != x.slot {
			t.Errorf("%+v gives %x: %d %d %d", x, uint64(r), r.Loop(), r.gen(), r.Slot())
		}
	}
}
