package loop

import (
	"testing"
	"time"
)

// TestPulse: a loop that hangs is known by its last tick, from outside and without waiting; afterwards it tells how late it was.
func TestPulse(t *testing.T) {
	s := start(t, &fake{}, Config{Loops: 2})
	s.join()
	eventually(t, "ticks", func() bool {
		all := s.LoopStats()
		return len(all) == 2 && all[0].Conns+all[1].Conns == 1 && time.Since(all[0].Ticked) < time.Second && time.Since(all[1].Ticked) < time.Second
	})
	stuck := s.loops[1]
	in, out := make(chan struct{}), make(chan struct{})
	s.Post(stuck.Canary(), func(*Conn) { close(in); <-out })
	await(t, in, "the start")
	before := s.LoopStats()[1]
	eventually(t, "a tick overdue", func() bool { return time.Since(s.LoopStats()[1].Ticked) > 3*tick })
	during := s.LoopStats()
	if !during[1].Ticked.Equal(before.Ticked) || during[1].ID != 1 {
		t.Errorf("%+v, then %+v", before, during[1])
	}
	eventually(t, "a tick of the other loop", func() bool { return s.LoopStats()[0].Ticked.After(during[0].Ticked) })
	close(out)
	eventually(t, "a tick", func() bool { n := s.LoopStats()[1]; return n.Ticked.After(before.Ticked) })
	if n := s.LoopStats()[1]; n.BusyTime < before.BusyTime+2*tick || n.Busy > 1 {
		t.Errorf("%+v, then %+v", before, n)
	}
}

// TestBeat: lag and share of a loop with a clock of the test's.
func TestBeat(t *testing.T) {
	now := int64(0)
	g := &Group{clock: func() int64 { return now }}
	l := &Loop{group: g}
	for _, x := range []struct {
		at, busy   time.Duration
		ticks      uint64
		lag        time.Duration
		thousandth int64
	}{
		{250 * time.Millisecond, 25 * time.Millisecond, 1, 0, 100},
		{510 * time.Millisecond, 26 * time.Millisecond, 1, 10 * time.Millisecond, 100},
		{750 * time.Millisecond, 0, 1, 0, 0},
		{4 * time.Second, 3250 * time.Millisecond, 13, 3 * time.Second, 1000}, // it hung
		{4250 * time.Millisecond, 125 * time.Millisecond, 1, 0, 500},
	} {
		l.beats.busy += int64(x.busy)
		now = int64(x.at)
		l.beat(x.ticks)
		if lag, share := time.Duration(l.pulse.lag.Load()), l.pulse.share.Load(); lag != x.lag || share != x.thousandth {
			t.Errorf("at %s: lag %s, share %d; want %s, %d", x.at, lag, share, x.lag, x.thousandth)
		}
		if at := l.pulse.ticked.Load(); at != now {
			t.Errorf("ticked at %d", at)
		}
	}
}
