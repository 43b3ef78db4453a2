package loop

import (
	"context"
	"testing"
	"time"

	"fanfare/loop/ws"
)

// TestStats: what is counted, and that loops are summed.
func TestStats(t *testing.T) {
	s := start(t, &fake{}, Config{Loops: 2})
	bytes := 0
	for i := range 20 {
		cl, _ := s.join()
		cl.say("hello")
		cl.expect(ws.OpText, "hello")
		bytes += 7
		if i%2 == 0 {
			cl.put(maskedClose(1000, ""))
			cl.expectClose(1000)
			cl.ends()
			bytes += 4
		}
	}
	eventually(t, "ten ends", func() bool { n := s.Stats(); return n.Conns == 10 && n.Messages == 20 })
	n := s.Stats()
	head := (n.Bytes - int64(bytes)) / 20 // the 101
	if n.Accepted != 20 || n.Upgraded != 20 || n.Messages != 20 || n.Closed[ByClient] != 10 || n.Writes != 50 || head < 100 || head > 200 {
		t.Errorf("%+v", n)
	}
	if n.AcceptErrors != 0 || n.Panics != 0 || n.Dropped != 0 || n.Queued != 0 || n.QueueNodes != 0 {
		t.Errorf("%+v", n)
	}
	cl, ref := s.joinSmall()
	s.stall(ref, Disconnect, 30000)
	on(t, s.loops[ref.Loop()], func() {})
	n = s.Stats()
	if n.QueueNodes != 2 || n.Queued <= 30000 || n.Queued > 60016 {
		t.Errorf("%d bytes in %d nodes", n.Queued, n.QueueNodes)
	}
	cl.reset()
	eventually(t, "an empty queue", func() bool { n := s.Stats(); return n.Queued == 0 && n.QueueNodes == 0 && n.Closed[Reset] == 1 })
}

// TestTrimWorth: memory is returned after a wave of connects, and not again too soon.
func TestTrimWorth(t *testing.T) {
	now := time.Now()
	last := trimmed{at: now, accepted: 1000, conns: 1000}
	for name, x := range map[string]struct {
		after time.Duration
		s     Stats
		want  bool
	}{
		"nobody came":       {time.Hour, Stats{Accepted: 1000, Conns: 1000}, false},
		"few came, soon":    {5 * time.Second, Stats{Accepted: 1040, Conns: 1040}, false},
		"few came, later":   {11 * time.Second, Stats{Accepted: 1040, Conns: 1040}, true},
		"a wave came, soon": {2 * time.Second, Stats{Accepted: 1100, Conns: 1100}, true},
	} {
		if got := last.worth(now.Add(x.after), x.s); got != x.want {
			t.Errorf("%s: %t", name, got)
		}
	}
	if f := slack(); f < 0.5 {
		t.Errorf("the heap is %f of what lives in it", f)
	}
}

// TestTrimEnds with its context.
func TestTrimEnds(t *testing.T) {
	s := start(t, &fake{}, Config{})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Trim(ctx)
	}()
	s.join()
	cancel()
	await(t, done, "the end of Trim")
}
