package fanout

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// life is one membership as its loop sees it.
type life struct {
	key  Key
	want Want
	from Position
	next uint64
	over bool
}

// liveLoop owns a shard as a real loop does: it works after a wake, and joins and leaves in between.
type liveLoop struct {
	t      *testing.T
	hub    *Hub
	shard  *Shard
	index  int
	rng    *rand.Rand
	wake   chan struct{}
	gens   [8]uint64
	lives  map[uint64]map[Key]*life
	joins  int
	frames int
}

func (l *liveLoop) Wake() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *liveLoop) Send(ref uint64, room uint32, class uint8, _ bool, frames [][]byte) {
	for _, f := range frames {
		key := Key{binary.BigEndian.Uint32(f[1:]), string(f[21:])}
		pos := Position{binary.BigEndian.Uint64(f[5:]), binary.BigEndian.Uint64(f[13:])}
		m := l.lives[ref][key]
		if m == nil || m.over {
			l.t.Errorf("%x gets %v %v and is no member", ref, key, pos)
			return
		}
		if m.from.Epoch != pos.Epoch || m.next != pos.Offset || m.want != (Want{Form(f[0]), class}) || room == 0 {
			l.t.Errorf("%x gets %v %v form %d, want %+v", ref, key, pos, f[0], m)
		}
		m.next++
		l.frames++
	}
}

func (l *liveLoop) ref(slot int) uint64 { return uint64(l.index)<<56 | l.gens[slot]<<24 | uint64(slot) }

// churn joins or leaves something.
func (l *liveLoop) churn(keys []Key) {
	slot := l.rng.IntN(len(l.gens))
	ref, k := l.ref(slot), keys[l.rng.IntN(len(keys))]
	switch l.rng.IntN(5) {
	case 0:
		if got, want := l.shard.Leave(ref, k), l.lives[ref][k] != nil; got != want {
			l.t.Errorf("leave: %v, want %v", got, want)
		}
		delete(l.lives[ref], k)
	case 1:
		l.shard.LeaveAll(ref)
		delete(l.lives, ref)
		l.gens[slot]++
	default:
		w := Want{Form(l.rng.IntN(2)), uint8(l.rng.IntN(2))}
		j := l.shard.Join(ref, k, w)
		if l.lives[ref] == nil {
			l.lives[ref] = map[Key]*life{}
		}
		if j.Already != (l.lives[ref][k] != nil) {
			l.t.Errorf("join: %+v", j)
		}
		if !j.Already {
			l.joins++
			l.lives[ref][k] = &life{key: k, want: w, from: j.Pos, next: j.Pos.Offset + 1}
		}
	}
}

// run is the loop's goroutine. It ends when done is closed and nothing is left to deliver.
func (l *liveLoop) run(keys []Key, done <-chan struct{}) {
	for over := false; !over; {
		select {
		case <-l.wake:
		case <-done:
			over = true
		}
		for more := true; more; {
			more = l.shard.Work(1 + l.rng.IntN(6))
			if !over && l.rng.IntN(3) == 0 {
				l.churn(keys)
			}
		}
	}
}

func concurrentEncoder(f Form, made *sync.Map) Encoder {
	type once struct {
		ev   *Event
		form Form
	}
	return func(ev *Event) []byte {
		if _, again := made.LoadOrStore(once{ev, f}, true); again {
			return nil // the gap is noticed
		}
		b := binary.BigEndian.AppendUint32([]byte{byte(f)}, ev.Key.Space)
		b = binary.BigEndian.AppendUint64(b, ev.Pos.Epoch)
		b = binary.BigEndian.AppendUint64(b, ev.Pos.Offset)
		return append(b, ev.Key.Name...)
	}
}

// receipts collects what publishers were told.
type receipts struct {
	mu      sync.Mutex
	offsets map[Key]map[Position]bool
	busy    int
}

func publishSome(h *Hub, rng *rand.Rand, keys []Key, n int, rs *receipts) error {
	last := map[Key]Position{}
	for range n {
		k := keys[rng.IntN(len(keys))]
		rc, err := h.Publish(&Event{Key: k})
		if rng.IntN(8) == 0 {
			runtime.Gosched()
		}
		rs.mu.Lock()
		if err != nil {
			rs.busy++
		}
		if rc.Receivers > 0 {
			if before := last[k]; before.Epoch > rc.Pos.Epoch || before.Epoch == rc.Pos.Epoch && before.Offset >= rc.Pos.Offset {
				rs.mu.Unlock()
				return fmt.Errorf("%v: position %v after %v", k, rc.Pos, before)
			}
			last[k] = rc.Pos
			if rs.offsets[k] == nil {
				rs.offsets[k] = map[Position]bool{}
			}
			if rs.offsets[k][rc.Pos] {
				rs.mu.Unlock()
				return fmt.Errorf("%v: position %v twice", k, rc.Pos)
			}
			rs.offsets[k][rc.Pos] = true
		}
		rs.mu.Unlock()
	}
	return nil
}

func TestConcurrent(t *testing.T) {
	rounds, events := 40, 1500
	if raceEnabled {
		rounds, events = 12, 500
	}
	frames, joins, busy := 0, 0, 0
	for seed := range rounds {
		h := NewHub(Config{TopicBytes: 100 * eventOverhead})
		var made sync.Map
		for f := range Form(2) {
			if _, err := h.Form(concurrentEncoder(f, &made)); err != nil {
				t.Fatal(err)
			}
		}
		keys := []Key{{1, "a"}, {1, "b"}, {2, "a"}}
		done := make(chan struct{})
		loops := make([]*liveLoop, 0, 3)
		var running, publishing sync.WaitGroup
		for i := range 3 {
			l := &liveLoop{t: t, hub: h, index: i, rng: rand.New(rand.NewPCG(uint64(seed), uint64(i))), wake: make(chan struct{}, 1), lives: map[uint64]map[Key]*life{}}
			l.shard = h.Shard(l)
			loops = append(loops, l)
		}
		for _, l := range loops {
			running.Go(func() {
				for range 10 {
					l.churn(keys)
				}
				l.run(keys, done)
			})
		}
		rs := &receipts{offsets: map[Key]map[Position]bool{}}
		for i := range 3 {
			publishing.Go(func() {
				if err := publishSome(h, rand.New(rand.NewPCG(uint64(seed), uint64(100+i))), keys, events, rs); err != nil {
					t.Error(err)
				}
			})
		}
		publishing.Wait()
		close(done)
		running.Wait()
		verifyRest(t, h, loops, rs)
		for _, l := range loops {
			frames, joins = frames+l.frames, joins+l.joins
		}
		busy += rs.busy
	}
	t.Logf("%d frames, %d joins, %d busy", frames, joins, busy)
	if frames < rounds*events || joins < 30*rounds {
		t.Error("the loops and the publishers do not meet")
	}
}

// verifyRest checks that each membership has all up to the newest position, and each position was told to one publisher.
func verifyRest(t *testing.T, h *Hub, loops []*liveLoop, rs *receipts) {
	t.Helper()
	for _, l := range loops {
		for ref, lives := range l.lives {
			for k, m := range lives {
				pos := h.find(k).position()
				if m.from.Epoch != pos.Epoch || m.next != pos.Offset+1 {
					t.Errorf("%x is owed %v from %d to %d", ref, k, m.next, pos.Offset)
				}
			}
		}
	}
	for k, offsets := range rs.offsets {
		highest := map[uint64]uint64{}
		count := map[uint64]uint64{}
		for p := range offsets {
			highest[p.Epoch] = max(highest[p.Epoch], p.Offset)
			count[p.Epoch]++
		}
		for e := range highest {
			if highest[e] != count[e] {
				t.Errorf("%v epoch %d: %d positions up to %d", k, e, count[e], highest[e])
			}
		}
	}
	if st := h.Stats(); st.UndeliveredBytes != 0 {
		t.Errorf("at rest: %+v", st)
	}
}

// A publisher that is held up between its position and its commit holds back nothing but the events behind it on its own topic.
func TestSlowEncoder(t *testing.T) {
	h := NewHub(Config{})
	hold, held := make(chan struct{}), make(chan struct{})
	var first atomic.Bool
	form, err := h.Form(func(ev *Event) []byte {
		if ev.Key.Name == "slow" && first.CompareAndSwap(false, true) {
			close(held)
			<-hold
		}
		return ev.Data
	})
	if err != nil {
		t.Fatal(err)
	}
	k := &countSink{}
	s := h.Shard(k)
	s.Join(1<<24, Key{Name: "slow"}, Want{Form: form})
	s.Join(2<<24|1, Key{Name: "other"}, Want{Form: form})
	var publishing sync.WaitGroup
	publishing.Go(func() { mustPublish(t, h, "slow", "1") })
	<-held
	mustPublish(t, h, "slow", "2")
	mustPublish(t, h, "other", "3")
	s.Join(3<<24|2, Key{Name: "slow"}, Want{Form: form}) // is owed neither 1 nor 2
	rest(s)
	if got := k.text(); got != "3" {
		t.Errorf("before the commit: %q", got)
	}
	close(hold)
	publishing.Wait()
	rest(s)
	mustPublish(t, h, "slow", "4")
	rest(s)
	if got := k.text(); got != "31244" {
		t.Errorf("after: %q", got)
	}
	if st := h.Stats(); st.UndeliveredBytes != 0 {
		t.Errorf("%+v", st)
	}
}

// What waits behind a slow encoder and is owed to nobody any more is given back by the commit, however much it is.
func TestSlowEncoderWithoutMembers(t *testing.T) {
	h := NewHub(Config{})
	var s, other *Shard
	k := &countSink{}
	const events = 3 * segmentEvents
	if _, err := h.Form(func(ev *Event) []byte {
		if string(ev.Data) == "slow" {
			for range events {
				mustPublish(t, h, "t", "x")
			}
			other.Join(1<<56|1<<24, ev.Key, Want{})
			s.LeaveAll(1 << 24)
		}
		return ev.Data
	}); err != nil {
		t.Fatal(err)
	}
	s, other = h.Shard(k), h.Shard(k)
	s.Join(1<<24, Key{Name: "t"}, Want{})
	if rc := mustPublish(t, h, "t", "slow"); rc.Receivers != 1 || rc.Pos.Offset != 1 {
		t.Errorf("receipt %+v", rc)
	}
	top := h.find(Key{Name: "t"})
	if st := h.Stats(); st.UndeliveredBytes != 0 || top.ready != events+1 || top.log.window != nil {
		t.Errorf("ready %d, %+v", top.ready, st)
	}
	mustPublish(t, h, "t", "y")
	rest(s)
	rest(other)
	if k.text() != "y" {
		t.Errorf("got %q", k.text())
	}
}

func TestWakeOncePerLoop(t *testing.T) {
	h := NewHub(Config{})
	form, err := h.Form(func(ev *Event) []byte { return ev.Data })
	if err != nil {
		t.Fatal(err)
	}
	sinks := make([]*countSink, 70) // more than a word of the set
	shards := make([]*Shard, len(sinks))
	for i := range sinks {
		sinks[i] = &countSink{}
		shards[i] = h.Shard(sinks[i])
		for slot := range uint64(3) {
			shards[i].Join(uint64(i)<<56|1<<24|slot, Key{Name: "t"}, Want{Form: form})
		}
	}
	for range 3 {
		mustPublish(t, h, "t", "x")
	}
	for i, k := range sinks {
		if k.wakes != 1 {
			t.Errorf("loop %d: %d wakes", i, k.wakes)
		}
		rest(shards[i])
		if k.frames != 9 || k.sends != 3 {
			t.Errorf("loop %d: %d frames in %d sends", i, k.frames, k.sends)
		}
	}
	mustPublish(t, h, "t", "x")
	if sinks[69].wakes != 2 {
		t.Errorf("%d wakes after a rest", sinks[69].wakes)
	}
}

// A loop that knows of its inbox is not woken again, whichever topic comes next.
func TestWakeOncePerInbox(t *testing.T) {
	h, s, k := simpleHub(t)
	for _, name := range []string{"a", "b", "c"} {
		s.Join(1<<24, Key{Name: name}, Want{})
	}
	for want := 1; want <= 2; want++ {
		for _, name := range []string{"a", "b", "c"} {
			mustPublish(t, h, name, "x")
		}
		if k.wakes != want {
			t.Errorf("%d wakes, want %d", k.wakes, want)
		}
		rest(s)
	}
}

// A reader of the numbers stops nobody, and at rest they are exact.
func TestStatsWhileBusy(t *testing.T) {
	h, s, _ := simpleHub(t)
	s.Join(1<<24, Key{Name: "t"}, Want{})
	stop := make(chan struct{})
	var reading sync.WaitGroup
	reading.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				if st := h.Stats(); st.Members > 1 || st.UndeliveredBytes < 0 {
					t.Errorf("%+v", st)
				}
				time.Sleep(time.Microsecond)
			}
		}
	})
	for range 2000 {
		mustPublish(t, h, "t", "x")
		rest(s)
	}
	close(stop)
	reading.Wait()
	want := Stats{Topics: 1, Members: 1, Publishes: 2000, Encodes: 2000, Deliveries: 2000}
	if got := h.Stats(); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
