package loop

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// frameModel is a queued frame as a naive list knows it.
type frameModel struct {
	id    int
	size  int
	room  uint32
	class uint8
}

// queueModel drives a connection's queue and a slice side by side.
type queueModel struct {
	l      *Loop
	c      *Conn
	list   []frameModel
	pinned bool
	next   int
}

func newQueueModel() *queueModel {
	l := &Loop{}
	return &queueModel{l: l, c: &Conn{loop: l}}
}

func (m *queueModel) push(size int, room uint32, class uint8) {
	m.next++
	b := make([]byte, size)
	b[0], b[1] = byte(m.next>>8), byte(m.next)
	m.l.push(m.c, b, room, class)
	m.list = append(m.list, frameModel{m.next, size, room, class})
}

// sent takes n bytes as written.
func (m *queueModel) sent(n int) {
	m.l.consume(m.c, n)
	for n > 0 {
		if f := &m.list[0]; n < f.size {
			f.size -= n
			m.pinned = true
			return
		}
		n -= m.list[0].size
		m.list = m.list[1:]
		m.pinned = false
	}
}

func (m *queueModel) total() (n int) {
	for _, f := range m.list {
		n += f.size
	}
	return n
}

// dropOldest drops until at most keep bytes wait behind the head, of the policies up to last.
func (m *queueModel) dropOldest(keep int, last uint8) {
	m.l.dropOldest(m.c, last, func(*node) bool { return int(m.c.qsize) <= keep })
	behind := m.total() - m.list[0].size
	m.list = slices.DeleteFunc(m.list, func(f frameModel) bool {
		drop := f.id != m.list[0].id && behind > keep && f.room != 0 && f.class != Disconnect && f.class <= last
		if drop {
			behind -= f.size
		}
		return drop
	})
}

func (m *queueModel) dropUnsent() {
	m.l.dropUnsent(m.c)
	if m.pinned {
		m.list = m.list[:1]
	} else {
		m.list = nil
	}
}

func (m *queueModel) check() error {
	if nodes, size, fault := queueOf(m.l, m.c); fault != "" || nodes != len(m.list) || size != int64(m.total()) {
		return fmt.Errorf("%d nodes of %d bytes, want %d of %d; %s", nodes, size, len(m.list), m.total(), fault)
	}
	if got := m.c.flags&flagPinned != 0; got != m.pinned {
		return fmt.Errorf("pinned is %t", got)
	}
	n := m.c.qhead
	for i, f := range m.list {
		nd := m.l.nodes.at(n)
		if len(nd.bytes) != f.size || nd.room != f.room || (i > 0 || !m.pinned) && int(nd.bytes[0])<<8|int(nd.bytes[1]) != f.id&0xffff {
			return fmt.Errorf("frame %d is not number %d", i, f.id)
		}
		n = nd.next
	}
	if m.l.count.queued != int64(m.total()) || m.l.nodes.used != len(m.list) || freeNodes(&m.l.nodes)+m.l.nodes.used != int(m.l.nodes.next) {
		return fmt.Errorf("counted %d bytes, %d nodes", m.l.count.queued, m.l.nodes.used)
	}
	return nil
}

// step does one thing, chosen by three bytes.
func (m *queueModel) step(what, a, b byte) {
	switch what % 8 {
	case 0, 1, 2, 3:
		m.push(2+int(a), uint32(b%3), b/3%policies)
	case 4, 5:
		if n := m.total(); n > 0 {
			m.sent(1 + (int(a)<<2+int(b))%n)
		}
	case 6:
		if len(m.list) > 0 {
			m.dropOldest(int(a)<<2, 1+b%3)
		}
	default:
		if a%8 == 0 {
			m.dropUnsent()
		}
	}
}

// TestQueueModel compares the output queue with a slice: what is partly out is never dropped, nor are replies, the order stays,
// the counts are right.
func TestQueueModel(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 2))
	m := newQueueModel()
	for step := range 50000 {
		m.step(byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32()))
		if err := m.check(); err != nil {
			t.Fatalf("step %d: %v", step, err)
		}
	}
	m.l.dropQueue(m.c)
	m.list, m.pinned = nil, false
	if err := m.check(); err != nil {
		t.Error(err)
	}
}

func FuzzQueue(f *testing.F) {
	f.Add([]byte{0, 9, 1, 0, 200, 5, 4, 3, 0, 0, 7, 2, 6, 0, 0, 7, 8, 0})
	f.Add([]byte{0, 1, 4, 0, 1, 4, 0, 1, 4, 6, 0, 0, 4, 0, 1, 7, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		m := newQueueModel()
		for ; len(b) >= 3; b = b[3:] {
			m.step(b[0], b[1], b[2])
			if err := m.check(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestNodeSlabShrinks: chunks beyond the first go when nothing is queued, and only then.
func TestNodeSlabShrinks(t *testing.T) {
	var s nodeSlab
	taken := make([]uint32, 0, 3*nodeChunk+1)
	for range 3*nodeChunk + 1 {
		taken = append(taken, s.take())
	}
	if len(s.chunks) != 4 || s.used != len(taken) {
		t.Fatalf("%d chunks, %d used", len(s.chunks), s.used)
	}
	for _, n := range taken[1:] {
		s.give(n)
	}
	s.shrink()
	if len(s.chunks) != 4 {
		t.Fatal("chunks went while a node was in use")
	}
	s.give(taken[0])
	s.shrink()
	if len(s.chunks) != 1 || s.used != 0 || freeNodes(&s) != 0 {
		t.Fatalf("%d chunks, %d used, %d free", len(s.chunks), s.used, freeNodes(&s))
	}
	again := make(map[uint32]bool)
	for range 2 * nodeChunk {
		n := s.take()
		if n == 0 || again[n] || s.at(n).bytes != nil {
			t.Fatalf("node %d", n)
		}
		again[n] = true
	}
}
