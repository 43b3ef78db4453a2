package fanout

import (
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"testing"
)

// Work allocates nothing, and a publisher nothing per member or room.
func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	h := NewHub(Config{})
	shared := []byte("frame")
	for range 2 {
		if _, err := h.Form(func(*Event) []byte { return shared }); err != nil {
			t.Fatal(err)
		}
	}
	shards := make([]*Shard, 0, 2)
	for i := range uint64(2) {
		s := h.Shard(nullSink{})
		shards = append(shards, s)
		for slot := range uint64(500) {
			s.Join(i<<56|1<<24|slot, Key{Name: "t"}, Want{Form: Form(slot % 2)})
			s.Join(i<<56|1<<24|slot, Key{Name: "u"}, Want{})
		}
	}
	events := make([]Event, 2000)
	next := 0
	publish := func(name string) {
		events[next].Key.Name = name
		if _, err := h.Publish(&events[next]); err != nil {
			t.Fatal(err)
		}
		next++
	}
	publish("t")
	if got := testing.AllocsPerRun(100, func() { publish("t") }); got > 1.1 { // the slice of forms; a segment each 64 events
		t.Errorf("%v allocations per publish", got)
	}
	publish("u")
	slices := 0
	got := testing.AllocsPerRun(20, func() {
		for _, s := range shards {
			s.Work(256)
			slices++
		}
	})
	if got != 0 || slices == 0 {
		t.Errorf("%v allocations per slice", got)
	}
	for _, s := range shards {
		rest(s)
	}
	if got := testing.AllocsPerRun(100, func() {
		publish("t")
		rest(shards[0])
		rest(shards[1])
	}); got > 1.1 { // the forms
		t.Errorf("%v allocations per publish at rest, %d deliveries", got, h.Stats().Deliveries)
	}
}

type nullSink struct{}

func (nullSink) Wake() {}

func (nullSink) Send(uint64, uint32, uint8, bool, [][]byte) {}

// What a wave of connections and topics needed is given back when they have left.
func TestMemoryReturns(t *testing.T) {
	h, s, _ := simpleHub(t)
	join := func(conns, topics int) {
		for slot := range uint64(conns) {
			s.Join(1<<24|slot, Key{Name: "all"}, Want{})
			s.Join(1<<24|slot, Key{Name: strconv.Itoa(int(slot) % topics)}, Want{})
		}
	}
	const conns = 20_000
	keep := 10
	join(keep, 7000)
	for wave := range 3 {
		join(conns, 7000)
		for range 300 {
			mustPublish(t, h, "all", "x")
		}
		s.Work(conns / 2)
		for slot := conns - 1; slot >= keep; slot-- {
			s.LeaveAll(1<<24 | uint64(slot))
		}
		rest(s)
		all := h.find(Key{Name: "all"})
		room := all.rooms
		if int(room.members) != keep || cap(room.groups[0].nodes) > 64 || room.groups[0].late != nil {
			t.Errorf("wave %d: %d members in %d places, late list %d", wave, room.members, cap(room.groups[0].nodes), room.groups[0].late.len())
		}
		if s.nodes.count() != 2*keep || s.rooms.count() != 1+keep || chunks(&s.nodes) > 2 || chunks(&s.rooms) > 2 {
			t.Errorf("wave %d: %d nodes in %d chunks, %d rooms in %d chunks", wave, s.nodes.count(), chunks(&s.nodes), s.rooms.count(), chunks(&s.rooms))
		}
		pages := 0
		for _, p := range s.chains.pages {
			if p != nil {
				pages++
			}
		}
		if pages != 1 || all.log.window != nil || h.Stats().UndeliveredBytes != 0 || h.Stats().Topics != 1+keep {
			t.Errorf("wave %d: %d pages, %d segments, %+v", wave, pages, len(segmentsOf(&all.log)), h.Stats())
		}
	}
	peak := 0
	for i := range h.stripes {
		peak += h.stripes[i].peak
	}
	if peak > 4000 {
		t.Errorf("the maps are made for %d topics", peak)
	}
}

// segmentsOf gives the segments of a log, none if it is empty.
func segmentsOf(l *log) []*segment {
	if l.window == nil {
		return nil
	}
	return l.window.segments()
}

func chunks[T any](s *slab[T]) (n int) {
	for _, c := range s.chunks {
		if c != nil {
			n++
		}
	}
	return n
}

// At rest nothing refers to an event that has been delivered.
func TestDeliveredEventsAreFree(t *testing.T) {
	h, s, _ := simpleHub(t)
	for slot := range uint64(100) {
		s.Join(1<<24|slot, Key{Name: "t"}, Want{})
	}
	var mu sync.Mutex
	freed := 0
	const events = 200
	for range events {
		ev := &Event{Key: Key{Name: "t"}, Data: make([]byte, 100)}
		runtime.AddCleanup(ev, func(int) {
			mu.Lock()
			freed++
			mu.Unlock()
		}, 0)
		if _, err := h.Publish(ev); err != nil {
			t.Fatal(err)
		}
	}
	rest(s)
	for range 100 {
		runtime.GC()
		mu.Lock()
		n := freed
		mu.Unlock()
		if n == events {
			return
		}
		runtime.Gosched()
	}
	t.Errorf("%d of %d events are free", freed, events)
	runtime.KeepAlive(h)
	runtime.KeepAlive(s)
}

// A slab gives out each number once, prefers low ones, and keeps no more than one empty chunk.
func TestSlab(t *testing.T) {
	var s slab[uint32]
	used := map[uint32]bool{}
	seed := uint32(1)
	for i := range 60_000 {
		seed = seed*1664525 + 1013904223
		grow := i%20_000 < 10_000
		if len(used) == 0 || grow == (seed>>28 > 3) {
			n := s.alloc()
			if n == 0 || used[n] || *s.at(n) != 0 {
				t.Fatalf("number %d, used %v, %d", n, used[n], *s.at(n))
			}
			used[n] = true
			*s.at(n) = n
			continue
		}
		for n := range used {
			if *s.at(n) != n {
				t.Fatalf("place %d holds %d", n, *s.at(n))
			}
			delete(used, n)
			s.release(n)
			break
		}
	}
	m := &model{t: t}
	checkSlab(m, &s)
	if s.count() != len(used) {
		t.Errorf("%d in use, want %d", s.count(), len(used))
	}
	for n := range used {
		s.release(n)
		checkSlab(m, &s)
	}
	if chunks(&s) > 1 {
		t.Errorf("%d chunks without items", chunks(&s))
	}
}

// The spare chunk moves down into the place of one that was dropped.
func TestSlabSpareMoves(t *testing.T) {
	var s slab[uint32]
	m := &model{t: t}
	for range 2*chunkItems + 1 {
		s.alloc()
	}
	for n := range uint32(2 * chunkItems) {
		s.release(n + 1) // chunk 0 is the spare one, chunk 1 is dropped
	}
	for range chunkItems {
		s.alloc() // chunk 0 is full
	}
	s.release(2*chunkItems + 1) // chunk 2 is the spare one
	checkSlab(m, &s)
	spare := s.chunks[2]
	if n := s.alloc(); n != chunkItems+1 || s.chunks[1] != spare || len(s.chunks) != 2 {
		t.Errorf("number %d, %d chunks", n, len(s.chunks))
	}
	checkSlab(m, &s)
}

// A loop that lags far behind and loses its members gives everything back at once.
func TestLaggardLeaves(t *testing.T) {
	h, s, k := simpleHub(t)
	laggard := h.Shard(&countSink{})
	s.Join(1<<24, Key{Name: "t"}, Want{})
	laggard.Join(1<<56|1<<24, Key{Name: "t"}, Want{})
	const events = 5*segmentEvents + 3
	for range events {
		mustPublish(t, h, "t", "x")
	}
	laggard.Work(1)
	rest(s)
	if got := h.Stats().UndeliveredBytes; got != events*(1+eventOverhead) {
		t.Errorf("%d bytes while one loop lags", got)
	}
	laggard.LeaveAll(1<<56 | 1<<24)
	rest(laggard)
	top := h.find(Key{Name: "t"})
	if got := h.Stats().UndeliveredBytes; got != 0 || top.log.window != nil || laggard.rooms.count() != 0 || k.frames != events {
		t.Errorf("%d bytes, %d segments, %d rooms, %d frames", got, len(segmentsOf(&top.log)), laggard.rooms.count(), k.frames)
	}
}

// The log keeps its order over any pattern of appends and trims, and reads across segments.
func TestLog(t *testing.T) {
	var l log
	var pool pools
	events := make([]Event, 5000)
	seed := uint32(7)
	for l.head < 4900 {
		seed = seed*1664525 + 1013904223
		for range seed >> 24 % 90 {
			l.push(&events[l.head+1], &pool)
		}
		for range min(uint64(seed>>16%100), l.head-l.base) {
			want := &events[l.base+1]
			if l.at(l.base+1) != want || l.pop(&pool) != want {
				t.Fatalf("event %d is not the oldest", l.base)
			}
		}
		n := int(min(l.head-l.base, segmentEvents))
		from := l.head - uint64(n)
		batch := make([]*Event, n)
		l.read(batch, from)
		for i, ev := range batch {
			if ev != &events[from+uint64(i)+1] || ev != l.at(from+uint64(i)+1) {
				t.Fatalf("batch (%d, %d]: wrong event at %d", from, l.head, i)
			}
		}
		if want := (l.head+segmentEvents-1)/segmentEvents - l.base/segmentEvents; l.head > l.base && uint64(len(segmentsOf(&l))) != want {
			t.Fatalf("(%d, %d] in %d segments", l.base, l.head, len(segmentsOf(&l)))
		}
	}
}

// What a topic with one member costs, and one more subscription, as live heap: its share of the maps and slabs included.
func TestTopicMemory(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	const conns, topics = 10_000, 10
	h := NewHub(Config{})
	shards := []*Shard{h.Shard(nullSink{}), h.Shard(nullSink{})}
	each := func(join func(s *Shard, ref uint64, i int)) (bytes float64) {
		before := liveHeap()
		for i := range conns {
			shard := i % len(shards)
			join(shards[shard], uint64(shard)<<56|1<<24|uint64(i), i)
		}
		return float64(liveHeap() - before)
	}
	each(func(s *Shard, ref uint64, _ int) { s.Join(ref, Key{Name: "all"}, Want{}) }) // the records of the connections
	own := each(func(s *Shard, ref uint64, i int) {
		for k := range topics {
			s.Join(ref, Key{Name: fmt.Sprintf("private-%d-%d", i, k)}, Want{})
		}
	}) / (conns * topics)
	shared := each(func(s *Shard, ref uint64, _ int) {
		for k := range topics {
			s.Join(ref, Key{Name: fmt.Sprintf("shared-%d", k)}, Want{})
		}
	}) / (conns * topics)
	t.Logf("a topic with one member %.0f B, a further subscription %.1f B", own, shared)
	if own > 400 || shared > 32 {
		t.Errorf("a topic with one member has %.0f B, at most 400; a further subscription %.1f B, at most 32", own, shared)
	}
	runtime.KeepAlive(h)
}

// liveHeap is what a collection leaves.
func liveHeap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // pools are emptied by the second one
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
