package loop

import (
	"context"
	"slices"
	"testing"
	"time"

	"fanfare/loop/ws"
)

// sendRoom is send for a room.
func (s *server) sendRoom(ref Ref, room uint32, class uint8, frames ...[]byte) {
	s.tb.Helper()
	l := s.loops[ref.Loop()]
	on(s.tb, l, func() { s.within(l, "Send", func() { l.Send(uint64(ref), room, class, false, frames) }) })
}

// mark sends a close frame as a reply, by which numbers ends.
func (s *server) mark(ref Ref) {
	s.tb.Helper()
	l := s.loops[ref.Loop()]
	on(s.tb, l, func() { l.slab.find(ref).Reply(ws.AppendClose(nil, 4000, "")) })
}

func (s *server) dropped() [policies]int64 {
	s.tb.Helper()
	return ask(s.tb, s.loop(), func() [policies]int64 { return s.loop().count.dropped })
}

// TestConflate: who does not read gets the latest frame of each room, in the place of the first that was replaced; what has begun
// to leave is not replaced, nor are replies, nor frames of other policies.
func TestConflate(t *testing.T) {
	const size = 20000
	s := start(t, &fake{}, Config{Limits: Limits{Backlog: 20 * size}})
	cl, ref := s.joinSmall()
	sent := s.stall(ref, Conflate, size) // room 1; one is partly out, one waits
	first := s.dropped()[Conflate]
	for i := range 10 {
		s.sendRoom(ref, 1, Conflate, numbered(100+i, size))
		s.sendRoom(ref, 2, Conflate, numbered(200+i, size), numbered(300+i, size-i))
		if i < 2 {
			s.sendRoom(ref, 2, Disconnect, numbered(400+i, size))
			on(t, s.loop(), func() { s.loop().slab.find(ref).Reply(numbered(500+i, size)) })
		}
	}
	if n := s.dropped()[Conflate] - first; n != 10+19 {
		t.Errorf("%d were replaced", n)
	}
	checkSlabs(t, s.Group)
	s.mark(ref)
	got := cl.numbersFrom(100)
	if want := []int{109, 309, 400, 500, 401, 501}; !slices.Equal(got, want) {
		t.Errorf("%v behind the first %d, want %v", got, sent, want)
	}
	eventually(t, "the count", func() bool { n := s.Stats(); return n.Dropped == n.DroppedBy[Conflate] && n.Dropped == first+29 })
}

// TestConflateReader: who reads gets everything, also when it comes in one go.
func TestConflateReader(t *testing.T) {
	s := start(t, &fake{}, Config{Limits: Limits{Backlog: 1000}})
	cl, ref := s.join()
	frames := make([][]byte, 50)
	for i := range frames {
		frames[i] = numbered(i, 500)
	}
	for range 3 {
		s.sendRoom(ref, 1, Conflate, frames...)
		for i := range frames {
			cl.expect(ws.OpBinary, string(payload(i, 500)))
		}
	}
}

// TestConflateFull: a frame for which there is no place takes that of the oldest that may go; age takes none.
func TestConflateFull(t *testing.T) {
	const size = 20000
	s := start(t, &fake{}, Config{Limits: Limits{Backlog: 3 * size, BacklogAge: time.Hour}})
	cl, ref := s.joinSmall()
	s.stall(ref, Conflate, size)
	for room := range uint32(5) {
		s.sendRoom(ref, 10+room, Conflate, numbered(100+int(room), size-100))
	}
	s.sendRoom(ref, 13, Conflate, numbered(200, 4*size)) // for which there is no place, even alone
	before := s.dropped()
	advance(t, s.Group, 2*time.Hour)
	if now := s.dropped(); now != before {
		t.Errorf("dropped by age: %v, then %v", before, now)
	}
	s.mark(ref)
	got := cl.numbersFrom(100)
	if want := []int{102, 104}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if life := s.of(ref); len(life.ends) > 0 {
		t.Error("a connection that may lose frames was closed")
	}
}

// numbersFrom reads whole frames up to a close frame and gives their numbers from the first that counts.
func (c *client) numbersFrom(least int) (got []int) {
	c.tb.Helper()
	for {
		op, p, err := c.hear()
		if err != nil {
			c.tb.Fatal(err)
		}
		if op == ws.OpClose {
			return got
		}
		if n := numberOf(p); n >= least {
			got = append(got, n)
		}
	}
}

// TestDropNewest: what waits stays, what comes goes, as long as the queue is full or its head too old; replies find room.
func TestDropNewest(t *testing.T) {
	const size = 20000
	s := start(t, &fake{}, Config{Limits: Limits{Backlog: 3 * size, BacklogAge: time.Hour}})
	cl, ref := s.joinSmall()
	sent := s.stall(ref, DropNewest, size-100)
	for i := range 10 {
		s.sendRoom(ref, 1, DropNewest, numbered(sent+i, size-100))
	}
	if n := s.dropped()[DropNewest]; n != 8 { // with the one that stall left, three wait
		t.Errorf("%d dropped", n)
	}
	advance(t, s.Group, 2*time.Hour)
	s.sendRoom(ref, 1, DropNewest, numbered(900, 10))
	if n := s.dropped()[DropNewest]; n != 9 {
		t.Errorf("%d dropped: one came when the head was too old", n)
	}
	on(t, s.loop(), func() { s.loop().slab.find(ref).Reply(numbered(500, size-100)) })
	s.mark(ref)
	got := cl.numbersFrom(sent - 1)
	if want := []int{sent, sent + 1, 500}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	eventually(t, "the count", func() bool { n := s.Stats(); return n.DroppedBy[DropNewest] == n.Dropped && n.Dropped == 10 })
	s.sendRoom(ref, 1, DropNewest, numbered(7, 100))
	cl.expect(ws.OpBinary, string(payload(7, 100)))
}

// TestBacklogTotal: above the total the connection with the oldest head gives first, as its policy says; the others lose nothing.
func TestBacklogTotal(t *testing.T) {
	const size = 100_000
	s := start(t, &fake{}, Config{Limits: Limits{Backlog: 64 * size, BacklogTotal: 40 * size}})
	l := s.loop()
	clients, refs := make([]*client, 4), make([]Ref, 4)
	classes := []uint8{Disconnect, DropOldest, Disconnect, Disconnect}
	sent := make([]int, 4)
	for i := range refs {
		clients[i], refs[i] = s.joinSmall()
		sent[i] = s.stall(refs[i], classes[i], size)
		advance(t, s.Group, tick)
	}
	for i := range 8 { // what is shared counts once
		f := numbered(1000+i, size)
		for k, ref := range refs {
			s.send(ref, classes[k], true, f)
			sent[k]++
		}
	}
	weight := func() int64 { return ask(t, l, l.weight) }
	if w := weight(); w < 8*size || w > 17*size {
		t.Fatalf("%d bytes of weight", w)
	}
	for i := 0; len(s.of(refs[0]).errs) == 0 && ask(t, l, func() bool { return l.slab.find(refs[0]).state == open }); i++ {
		s.send(refs[3], Disconnect, true, numbered(2000+i, size)) // the youngest, alone
		on(t, l, func() {})
		if w := weight(); w > 41*size {
			t.Fatalf("%d bytes of weight", w)
		}
		sent[3]++
	}
	for _, i := range []int{1, 2, 3} {
		if !ask(t, l, func() bool { return l.slab.find(refs[i]).state == open }) {
			t.Errorf("connection %d was closed before its turn", i)
		}
	}
	if n := s.dropped(); n[DropOldest] > 1 {
		t.Errorf("dropped %v before its turn", n)
	}
	for i := 0; s.dropped()[DropOldest] < 8; i++ { // they are shared: all must go
		s.send(refs[3], Disconnect, true, numbered(3000+i, size))
		on(t, l, func() {})
		if i > 100 {
			t.Fatalf("dropped %v", s.dropped())
		}
	}
	if !ask(t, l, func() bool { return l.slab.find(refs[1]).state == open && l.slab.find(refs[3]).state == open }) {
		t.Error("closed one that may lose frames, or the youngest")
	}
	checkSlabs(t, s.Group)
	if w, told := weight(), s.backlog.Load(); w != told {
		t.Errorf("%d bytes of weight, the group knows of %d", w, told)
	}
	for _, cl := range clients {
		cl.reset()
	}
	eventually(t, "no weight", func() bool { return s.Stats().Backlog == 0 && s.backlog.Load() == 0 })
}

// TestLargest: the largest backlogs of all loops, in order; a loop that hangs is left out.
func TestLargest(t *testing.T) {
	s := start(t, &fake{}, Config{Loops: 2, Limits: Limits{Backlog: 64 << 20, BacklogAge: time.Hour}})
	want := make([]Ref, 6)
	for i := range want {
		cl, ref := s.joinSmall()
		s.stall(ref, Disconnect, 200_000)
		for k := range 3 + 2*i {
			s.send(ref, Disconnect, false, numbered(k, 200_000))
		}
		want[len(want)-1-i] = ref
		if b := s.Largest(t.Context(), 1); len(b) != 1 || b[0].Ref != ref || b[0].Remote.String() != cl.LocalAddr().String() {
			t.Errorf("%+v", b)
		}
	}
	s.join()
	advance(t, s.Group, time.Minute)
	for n, least := range map[int]int{0: 0, 4: 4, 6: 6, 100: 6} {
		got := s.Largest(t.Context(), n)
		if len(got) != least {
			t.Fatalf("%d of the largest %d", len(got), n)
		}
		for i, b := range got {
			if b.Ref != want[i] || b.Frames < 4 || b.Bytes < 600_000 || b.Age != time.Minute && b.Age < time.Minute {
				t.Errorf("%d: %+v", i, b)
			}
		}
	}
	eventually(t, "the fullest queue", func() bool { return s.Stats().MaxQueue >= 13*200_000 })
	stuck := s.loops[1]
	in, out := make(chan struct{}), make(chan struct{})
	s.Post(stuck.Canary(), func(*Conn) { close(in); <-out })
	await(t, in, "the start")
	defer close(out)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	for _, b := range s.Largest(ctx, 100) {
		if b.Ref.Loop() == 1 {
			t.Error("asked a loop that hangs")
		}
	}
}

// TestShares: a frame counts once while anybody waits for it, with as many bytes as anybody may still get of it.
func TestShares(t *testing.T) {
	var s shares
	a, b := numbered(1, 1000), numbered(2, 500)
	tail := s.hold(a[900:])
	if s.bytes != int64(len(a)-900) {
		t.Errorf("%d bytes", s.bytes)
	}
	if n := s.hold(a); n != tail || s.bytes != int64(len(a)) {
		t.Errorf("share %d for the whole, %d for its rest; %d bytes", n, tail, s.bytes)
	}
	other := s.hold(b)
	if other == tail || s.used != 2 || s.bytes != int64(len(a)+len(b)) {
		t.Errorf("%d shares, %d bytes", s.used, s.bytes)
	}
	s.drop(tail)
	s.drop(other)
	if s.bytes != int64(len(a)) || s.used != 1 {
		t.Errorf("%d shares, %d bytes", s.used, s.bytes)
	}
	s.drop(tail)
	if again := s.hold(b); again == 0 || s.bytes != int64(len(b)) {
		t.Errorf("share %d, %d bytes", again, s.bytes)
	} else {
		s.drop(again)
	}
	frames := make([][]byte, 3*nodeChunk)
	held := make([]uint32, len(frames))
	for range 2 { // more than are known again: no fewer bytes than there are
		sum := int64(0)
		for i := range frames {
			frames[i] = numbered(i, 10+i%50)
			held[i] = s.hold(frames[i])
			sum += int64(len(frames[i]))
		}
		if s.bytes != sum || s.used != len(frames) {
			t.Errorf("%d bytes in %d shares, want %d in %d", s.bytes, s.used, sum, len(frames))
		}
		for _, n := range held {
			s.drop(n)
		}
		s.shrink()
		if s.bytes != 0 || s.used != 0 || s.list != nil {
			t.Errorf("%d bytes in %d shares are left", s.bytes, s.used)
		}
	}
}

// TestSharedBatch: a batch of frames to many members counts each frame once.
func TestSharedBatch(t *testing.T) {
	var s shares
	batch := make([][]byte, 64)
	sum := int64(0)
	for i := range batch {
		batch[i] = numbered(i, 300)
		sum += int64(len(batch[i]))
	}
	for range 100 {
		for _, f := range batch {
			s.hold(f)
		}
	}
	if s.bytes > sum+sum/16 {
		t.Errorf("%d bytes for %d", s.bytes, sum)
	}
}
