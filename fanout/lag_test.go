package fanout

import (
	"slices"
	"strconv"
	"testing"
	"time"
)

// The lag is that of the slowest loop, and is gone with it.
func TestLag(t *testing.T) {
	h, slow, _ := simpleHub(t)
	if h.Lag() != (Lag{}) {
		t.Error(h.Lag())
	}
	fast := h.Shard(nullSink{})
	slow.Join(1<<24|1, Key{Name: "t"}, Want{})
	fast.Join(1<<56|1<<24|1, Key{Name: "t"}, Want{})
	fast.Join(1<<56|1<<24|1, Key{Name: "other"}, Want{})
	for range 100 {
		mustPublish(t, h, "t", "abc")
	}
	mustPublish(t, h, "other", "0123456789")
	time.Sleep(20 * time.Millisecond)
	rest(fast)
	lag := h.Lag()
	if lag.Events != 100 || lag.Bytes != 100*(3+eventOverhead) || lag.Age < 20*time.Millisecond || lag.Age > 10*time.Second {
		t.Errorf("%+v", lag)
	}
	if l := h.Latency(); sum(l.Counts) != 1 || l.Sum < 20*time.Millisecond {
		t.Errorf("%+v", l) // only other has been passed by all
	}
	rest(slow)
	l := h.Latency()
	if h.Lag() != (Lag{}) || sum(l.Counts) != 101 || l.Sum < 101*20*time.Millisecond || len(l.Counts) != len(l.Bounds)+1 || !slices.IsSorted(l.Bounds) {
		t.Errorf("%+v %+v", h.Lag(), l)
	}
	for i, n := range l.Counts {
		if n > 0 && i < len(l.Bounds) && l.Bounds[i] < 20*time.Millisecond {
			t.Errorf("%d events within %v", n, l.Bounds[i])
		}
	}
}

func sum(counts []uint64) (n uint64) {
	for _, c := range counts {
		n += c
	}
	return n
}

func TestLatencyBounds(t *testing.T) {
	h := NewHub(Config{})
	for i, b := range latencyBounds {
		h.latency.observe(b)
		h.latency.observe(b + 1)
		if l := h.Latency(); l.Counts[i] == 0 || l.Counts[i+1] != 1 {
			t.Errorf("%v: %v", b, l.Counts)
		}
	}
}

func TestTop(t *testing.T) {
	h, s, _ := simpleHub(t)
	for topic := range 100 {
		for slot := range topic%50 + 1 {
			s.Join(1<<24|uint64(slot), Key{Space: uint32(topic/50 + 1), Name: strconv.Itoa(topic)}, Want{})
		}
	}
	top := h.Top(5)
	for i, want := range []int{50, 50, 49, 49, 48} {
		if len(top) != 5 || top[i].Members != want || !slices.Contains([]string{strconv.Itoa(want - 1), strconv.Itoa(want + 49)}, top[i].Key.Name) {
			t.Fatal(top)
		}
	}
	if top[0].Key == top[1].Key || len(h.Top(0)) != 0 || len(h.Top(1000)) != 100 {
		t.Error(top)
	}
}

// A hidden namespace works and is counted nowhere.
func TestHidden(t *testing.T) {
	h, s, sink := simpleHub(t)
	space := h.Hidden("probe")
	if space == h.Space("probe") || space != h.Hidden("probe") || space == h.Hidden("other") {
		t.Error(space)
	}
	before := h.Stats()
	k := Key{Space: space, Name: "x"}
	s.Join(1<<24|1, k, Want{})
	rc, err := h.Publish(&Event{Key: k, Data: []byte("x")})
	if err != nil || rc.Receivers != 1 || h.Lag() != (Lag{}) || len(h.Top(5)) != 0 {
		t.Error(rc, err, h.Lag(), h.Top(5))
	}
	if got := h.Stats(); got != before {
		t.Errorf("%+v", got)
	}
	rest(s)
	if h.Stats() != before || sum(h.Latency().Counts) != 0 || sink.frames != 1 {
		t.Errorf("%+v %d", h.Stats(), sink.frames)
	}
	s.LeaveAll(1<<24 | 1)
	if h.Stats() != before {
		t.Errorf("%+v", h.Stats())
	}
}
