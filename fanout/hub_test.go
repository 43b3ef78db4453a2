package fanout

import (
	"errors"
	"strings"
	"testing"
	"unsafe"
)

// countSink counts and keeps what it gets as text.
type countSink struct {
	sends, frames, wakes int
	got                  strings.Builder
	more                 []bool
	onSend               func(ref uint64)
}

func (k *countSink) Wake() { k.wakes++ }

func (k *countSink) Send(ref uint64, _ uint32, _ uint8, more bool, frames [][]byte) {
	k.sends++
	k.more = append(k.more, more)
	for _, f := range frames {
		k.frames++
		k.got.Write(f)
	}
	if k.onSend != nil {
		k.onSend(ref)
	}
}

func (k *countSink) text() string { return k.got.String() }

// simpleHub has one loop and one form, the data itself.
func simpleHub(tb testing.TB) (*Hub, *Shard, *countSink) {
	tb.Helper()
	h := NewHub(Config{})
	if _, err := h.Form(func(ev *Event) []byte { return ev.Data }); err != nil {
		tb.Fatal(err)
	}
	k := &countSink{}
	return h, h.Shard(k), k
}

func mustPublish(tb testing.TB, h *Hub, name, data string) Receipt {
	tb.Helper()
	rc, err := h.Publish(&Event{Key: Key{Name: name}, Data: []byte(data)})
	if err != nil {
		tb.Error(err)
	}
	return rc
}

func rest(s *Shard) {
	for s.Work(256) {
	}
}

func TestNodeSize(t *testing.T) {
	if size := unsafe.Sizeof(node{}); size > 28 {
		t.Errorf("a membership has %d bytes", size)
	}
	if size := unsafe.Sizeof(stripe{}); size != 64 {
		t.Errorf("a stripe has %d bytes", size)
	}
}

func TestSpace(t *testing.T) {
	h := NewHub(Config{})
	a, b := h.Space("a"), h.Space("b")
	if a == 0 || b == 0 || a == b || h.Space("a") != a || h.Space("b") != b {
		t.Errorf("a is %d, b is %d, then %d and %d", a, b, h.Space("a"), h.Space("b"))
	}
}

func TestFormLimit(t *testing.T) {
	h := NewHub(Config{})
	for i := range maxForms {
		if f, err := h.Form(func(*Event) []byte { return nil }); err != nil || int(f) != i {
			t.Fatalf("form %d: %d %v", i, f, err)
		}
	}
	if _, err := h.Form(func(*Event) []byte { return nil }); !errors.Is(err, ErrForms) {
		t.Errorf("form 33: %v", err)
	}
}

// A publisher pays for the forms in use, once for each, whatever the number of members; the highest form is as good as the first.
func TestFormsMadeOnce(t *testing.T) {
	h := NewHub(Config{})
	var calls [maxForms]int
	for i := range maxForms {
		if _, err := h.Form(func(*Event) []byte { calls[i]++; return []byte{'a' + byte(i)} }); err != nil {
			t.Fatal(err)
		}
	}
	k := &countSink{}
	s := h.Shard(k)
	for slot := range uint64(300) {
		s.Join(1<<24|slot, Key{Name: "t"}, Want{Form: Form(slot % 2 * 31), Class: uint8(slot % 4)})
	}
	mustPublish(t, h, "t", "")
	if calls[0] != 1 || calls[31] != 1 || h.Stats().Encodes != 2 {
		t.Errorf("encodes before the walk: %v", calls)
	}
	rest(s)
	if got := k.text(); strings.Count(got, "a") != 150 || strings.Count(got, string([]byte{'a' + 31})) != 150 || h.Stats().Encodes != 2 {
		t.Errorf("frames %q, encodes %d", got, h.Stats().Encodes)
	}
	for slot := range uint64(150) {
		s.Leave(1<<24|slot*2, Key{Name: "t"})
	}
	mustPublish(t, h, "t", "")
	if calls[0] != 1 || calls[31] != 2 {
		t.Errorf("a form without members is made: %v", calls)
	}
}

// Neither an encoder nor a sink is called with a lock held: each finds all locks free.
func TestNoCallbackUnderLock(t *testing.T) {
	h := NewHub(Config{})
	var s *Shard
	key := Key{Name: "t"}
	free := func() {
		st := h.stripe(key)
		if !st.mu.TryLock() {
			t.Error("the stripe is locked")
			return
		}
		top := st.topics[key]
		st.mu.Unlock()
		if !top.mu.TryLock() {
			t.Error("the topic is locked")
			return
		}
		top.mu.Unlock()
		if !s.inbox.mu.TryLock() {
			t.Error("the inbox is locked")
			return
		}
		s.inbox.mu.Unlock()
	}
	if _, err := h.Form(func(ev *Event) []byte { free(); return ev.Data }); err != nil {
		t.Fatal(err)
	}
	k := &lockSink{free: free}
	s = h.Shard(k)
	s.Join(1<<24, key, Want{})
	mustPublish(t, h, "t", "x")
	rest(s)
	if k.calls != 2 {
		t.Errorf("%d calls", k.calls)
	}
}

type lockSink struct {
	free  func()
	calls int
}

func (k *lockSink) Wake() { k.free(); k.calls++ }

func (k *lockSink) Send(uint64, uint32, uint8, bool, [][]byte) { k.free(); k.calls++ }

// An encoder may use the hub: what it publishes comes after the event it is called for.
func TestPublishInEncoder(t *testing.T) {
	h := NewHub(Config{})
	if _, err := h.Form(func(ev *Event) []byte {
		if string(ev.Data) == "1" {
			mustPublish(t, h, "t", "2")
		}
		return ev.Data
	}); err != nil {
		t.Fatal(err)
	}
	k := &countSink{}
	s := h.Shard(k)
	s.Join(1<<24, Key{Name: "t"}, Want{})
	mustPublish(t, h, "t", "1")
	rest(s)
	if k.text() != "12" {
		t.Errorf("got %q", k.text())
	}
}

func TestPublishWithoutMembers(t *testing.T) {
	h, s, k := simpleHub(t)
	if rc := mustPublish(t, h, "t", "x"); rc != (Receipt{}) {
		t.Errorf("receipt %+v", rc)
	}
	j := s.Join(1<<24, Key{Name: "t"}, Want{})
	if !j.First || j.Pos.Offset != 0 || j.Pos.Epoch == 0 {
		t.Errorf("%+v", j)
	}
	if rc := mustPublish(t, h, "t", "y"); rc != (Receipt{Position{j.Pos.Epoch, 1}, 1}) {
		t.Errorf("receipt %+v", rc)
	}
	s.Leave(1<<24, Key{Name: "t"})
	if rc := mustPublish(t, h, "t", "z"); rc != (Receipt{}) {
		t.Errorf("receipt %+v", rc)
	}
	again := s.Join(1<<24, Key{Name: "t"}, Want{})
	if again.Pos.Epoch <= j.Pos.Epoch || again.Pos.Offset != 0 || !again.First {
		t.Errorf("second life: %+v after %+v", again, j)
	}
	rest(s)
	if st := h.Stats(); k.sends != 0 || st.UndeliveredBytes != 0 || st.Topics != 1 {
		t.Errorf("%d sends, %+v", k.sends, st)
	}
	if later := NewHub(Config{}).epoch.Load(); later == j.Pos.Epoch {
		t.Error("another process begins at the same epoch")
	}
}

// Between the moment its last member leaves and the moment it is out of its stripe, a topic is gone for everyone: a publisher finds
// nobody, a member begins a new one, and that one is not taken out in its place.
func TestTopicThatIsGone(t *testing.T) {
	h, s, k := simpleHub(t)
	key := Key{Name: "t"}
	first := s.Join(1<<24, key, Want{})
	old := h.find(key)
	st := h.stripe(key)
	s.Leave(1<<24, key)
	st.topics[key] = old // as if it were not out yet
	if rc := mustPublish(t, h, "t", "x"); rc != (Receipt{}) || h.Stats().UndeliveredBytes != 0 {
		t.Errorf("receipt %+v", rc)
	}
	second := s.Join(1<<24, key, Want{})
	h.forget(old)
	if !second.First || second.Pos.Epoch <= first.Pos.Epoch || h.find(key) == nil {
		t.Errorf("%+v after %+v", second, first)
	}
	if rc := mustPublish(t, h, "t", "y"); rc.Receivers != 1 {
		t.Errorf("receipt %+v", rc)
	}
	rest(s)
	if k.text() != "y" {
		t.Errorf("got %q", k.text())
	}
}

// Space and name are two parts: no pair of keys collides by being written together.
func TestKeysDoNotCollide(t *testing.T) {
	h, s, k := simpleHub(t)
	keys := []Key{{1, "a"}, {2, "a"}, {1, "1a"}, {11, "a"}, {1, ""}, {1, "a\x00"}}
	for i, key := range keys {
		s.Join(1<<24|uint64(i), key, Want{})
	}
	for _, key := range keys {
		if rc, err := h.Publish(&Event{Key: key, Data: []byte("x")}); err != nil || rc.Receivers != 1 {
			t.Errorf("%v: %+v %v", key, rc, err)
		}
	}
	rest(s)
	if k.sends != len(keys) {
		t.Errorf("%d sends", k.sends)
	}
}

func TestBusyAtTheLimit(t *testing.T) {
	publish := func(h *Hub, name string, size int) error {
		_, err := h.Publish(&Event{Key: Key{Name: name}, Data: make([]byte, size)})
		return err
	}
	setup := func(cfg Config) (*Hub, *Shard) {
		h := NewHub(cfg)
		if _, err := h.Form(func(ev *Event) []byte { return ev.Data }); err != nil {
			t.Fatal(err)
		}
		s := h.Shard(&countSink{})
		s.Join(1<<24, Key{Name: "a"}, Want{})
		s.Join(1<<24, Key{Name: "b"}, Want{})
		return h, s
	}
	const size = 872 + eventOverhead // 1000
	for name, cfg := range map[string]Config{"topic": {TopicBytes: 3 * size}, "total": {TotalBytes: 3 * size}} {
		t.Run(name, func(t *testing.T) {
			h, s := setup(cfg)
			for range 3 {
				if err := publish(h, "a", 872); err != nil {
					t.Fatal(err)
				}
			}
			if got := h.Stats().UndeliveredBytes; got != 3*size {
				t.Errorf("%d bytes at the limit", got)
			}
			if err := publish(h, "a", 0); !errors.Is(err, ErrBusy) {
				t.Errorf("over the limit: %v", err)
			}
			if err := publish(h, "b", 0); errors.Is(err, ErrBusy) != (name == "total") {
				t.Errorf("the other topic: %v", err)
			}
			rest(s)
			if err := publish(h, "a", 10*size); err != nil {
				t.Errorf("alone: %v", err)
			}
			if err := publish(h, "a", 0); !errors.Is(err, ErrBusy) {
				t.Errorf("behind a large one: %v", err)
			}
			s.LeaveAll(1 << 24)
			if st := h.Stats(); st.UndeliveredBytes != 0 || st.Topics != 0 || st.Members != 0 || st.Busy < 2 {
				t.Errorf("%+v", st)
			}
		})
	}
}

func TestStaleRefs(t *testing.T) {
	h, s, k := simpleHub(t)
	key, ref := Key{Name: "t"}, uint64(3)<<56|7<<24|5
	s.Join(ref, key, Want{})
	for _, stale := range []uint64{ref - 1<<24, ref + 1<<24, ref + 1} {
		s.LeaveAll(stale)
		if s.Leave(stale, key) || s.Count(stale) != 0 {
			t.Errorf("%x is a member", stale)
		}
	}
	if j := s.Join(ref-1<<24, Key{Name: "u"}, Want{}); j != (Joined{}) || h.Stats().Topics != 1 {
		t.Errorf("a stale join: %+v", j)
	}
	mustPublish(t, h, "t", "x")
	k.onSend = func(got uint64) {
		if got != ref {
			t.Errorf("sent to %x, want %x", got, ref)
		}
	}
	rest(s)
	if k.sends != 1 || s.Count(ref) != 1 {
		t.Errorf("%d sends, count %d", k.sends, s.Count(ref))
	}
}

// The generation of a slot may wrap: the one after the highest is the newer one. Ref 0 is a connection like any other.
func TestGenerationWraps(t *testing.T) {
	_, s, _ := simpleHub(t)
	key := Key{Name: "t"}
	s.Join(1<<56-1<<24, key, Want{}) // generation 2^32-1, slot 0
	if j := s.Join(0, key, Want{}); j.Already || s.Count(0) != 1 || s.Count(1<<56-1<<24) != 0 {
		t.Errorf("%+v, %d and %d", j, s.Count(0), s.Count(1<<56-1<<24))
	}
	if j := s.Join(0, key, Want{}); !j.Already {
		t.Errorf("%+v", j)
	}
	s.Join(1<<24, key, Want{})
	if s.Count(0) != 0 || s.Count(1<<24) != 1 {
		t.Error("ref 0 is still a member")
	}
}

// more is true as soon as a second send to the same connection may come: another room is dirty, or the batch is not the last.
func TestMore(t *testing.T) {
	h, s, k := simpleHub(t)
	s.Join(1<<24, Key{Name: "a"}, Want{})
	s.Join(1<<24, Key{Name: "b"}, Want{})
	mustPublish(t, h, "a", "x")
	rest(s)
	mustPublish(t, h, "a", "x")
	mustPublish(t, h, "b", "x")
	rest(s)
	for range segmentEvents + 1 {
		mustPublish(t, h, "a", "x")
	}
	rest(s)
	want := []bool{false, true, true, true, false}
	if len(k.more) != len(want) {
		t.Fatalf("more %v", k.more)
	}
	for i := range want {
		if k.more[i] != want[i] {
			t.Errorf("more %v, want %v", k.more, want)
			break
		}
	}
}

// A huge topic costs the others one quantum each time round.
func TestRoundRobin(t *testing.T) {
	h, s, k := simpleHub(t)
	const large = 4 * quantum
	for slot := range uint64(large) {
		s.Join(1<<24|slot, Key{Name: "large"}, Want{})
	}
	s.Join(1<<24|large, Key{Name: "small"}, Want{})
	mustPublish(t, h, "large", "L")
	mustPublish(t, h, "small", "s")
	s.Work(large)
	if at := strings.Index(k.text(), "s"); at != quantum {
		t.Errorf("the small topic comes after %d sends", at)
	}
	k.sends = 0
	for s.Work(10) {
		if k.sends > 10 {
			t.Fatalf("%d sends in a slice of 10", k.sends)
		}
		k.sends = 0
	}
}

// A sink that panics at each send costs those sends and nothing else.
func TestPanicInSend(t *testing.T) {
	h, s, k := simpleHub(t)
	const members = 20
	for slot := range uint64(members) {
		s.Join(1<<24|slot, Key{Name: "t"}, Want{})
	}
	k.onSend = func(ref uint64) {
		if ref%2 == 0 {
			panic("no")
		}
	}
	work := func() (more bool) {
		defer func() {
			if recover() != nil {
				more = true
			}
		}()
		return s.Work(256)
	}
	for range 3 {
		mustPublish(t, h, "t", "x")
		for work() {
		}
	}
	if st := h.Stats(); k.sends != 3*members || st.UndeliveredBytes != 0 || st.Deliveries != 3*members {
		t.Errorf("%d sends, %+v", k.sends, st)
	}
}

// A connection with many topics is found by an index; it must come and go as any other.
func TestLongChain(t *testing.T) {
	h, s, k := simpleHub(t)
	const topics = 10_000
	ref := uint64(1<<24 | 9)
	name := func(i int) Key { return Key{1, strings.Repeat("x", i%7) + string(rune('0'+i))} }
	for i := range topics {
		if j := s.Join(ref, name(i), Want{}); j.Already || !j.First {
			t.Fatalf("join %d: %+v", i, j)
		}
		if i < 100 && s.Count(ref) != i+1 {
			t.Fatalf("count %d, want %d", s.Count(ref), i+1)
		}
	}
	if j := s.Join(ref, name(5), Want{}); !j.Already || s.Count(ref) != topics {
		t.Errorf("%+v, count %d", j, s.Count(ref))
	}
	for i := range topics {
		if _, err := h.Publish(&Event{Key: name(i), Data: []byte("x")}); err != nil {
			t.Fatal(err)
		}
	}
	rest(s)
	if k.sends != topics {
		t.Errorf("%d sends", k.sends)
	}
	for i := range topics / 2 {
		if !s.Leave(ref, name(i)) || s.Leave(ref, name(i)) {
			t.Fatalf("leave %d", i)
		}
	}
	for i := topics / 2; i < topics-1; i++ {
		s.Leave(ref, name(i))
	}
	if s.Count(ref) != 1 || !s.Leave(ref, name(topics-1)) || s.chains.index != nil {
		t.Errorf("%d left, index %v", s.Count(ref), s.chains.index)
	}
	for i := range topics {
		s.Join(ref, name(i), Want{})
	}
	s.LeaveAll(ref)
	if st := h.Stats(); s.Count(ref) != 0 || st.Topics != 0 || st.Members != 0 || s.chains.index != nil {
		t.Errorf("count %d, %+v", s.Count(ref), st)
	}
	s.Join(ref, name(1), Want{})
	if s.Count(ref) != 1 || s.chains.first(9) == indexed {
		t.Error("the connection keeps its index")
	}
}
