package loop

import (
	"runtime"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TestSizes are what an idle connection and a queued frame cost.
func TestSizes(t *testing.T) {
	for name, x := range map[string]struct{ got, want uintptr }{
		"Conn":     {unsafe.Sizeof(Conn{}), 160},
		"node":     {unsafe.Sizeof(node{}), 40},
		"ext":      {unsafe.Sizeof(ext{}), 64},
		"due tick": {unsafe.Sizeof(chunk{}.due) / chunkSlots, 4},
		"slot":     {unsafe.Sizeof(chunk{}) / chunkSlots, 164},
	} {
		if x.got > x.want {
			t.Errorf("%s has %d bytes, at most %d", name, x.got, x.want)
		}
	}
}

// quiet runs f on the loop, n times, and gives the allocations of one run. The loop's turn is under way, so nothing else of it runs.
func (s *server) quiet(n int, f func()) (allocs float64) {
	s.tb.Helper()
	return ask(s.tb, s.loop(), func() float64 { return testing.AllocsPerRun(n, f) })
}

// TestNoAllocations per frame that leaves at once, per frame that is queued, per ping, per tick.
func TestNoAllocations(t *testing.T) {
	s := start(t, &fake{}, Config{Limits: Limits{Backlog: 64 << 20}})
	_, ref := s.join()
	for range 50 {
		s.join()
	}
	c, l := s.conn(ref), s.loop()
	frame := [][]byte{numbered(1, 120)}
	check := s.quiet(10, l.own) // in race builds, the goroutine's
	for name, x := range map[string]struct {
		checks float64
		f      func()
	}{
		"Send": {1, func() { l.Send(uint64(ref), 1, Disconnect, false, frame) }},
		"queued frames": {10, func() {
			for i := range uint32(10) {
				l.Send(uint64(ref), i, DropOldest, true, frame)
			}
			l.runFlushes()
		}},
		"ping": {1, func() { c.flags &^= flagPinged; c.Ping(time.Hour, time.Minute) }},
		"tick": {1, func() { _ = l.onTick(nil); l.sweepDue() }},
		"turn": {0, func() {
			l.runPosts()
			l.runResumes()
			l.work()
			l.runFlushes()
			l.release()
			l.runClosed()
			l.publish()
		}},
	} {
		if n := s.quiet(200, x.f); n != x.checks*check {
			t.Errorf("%s: %g allocations", name, n)
		}
	}
	c2, ref2 := s.joinSmall()
	s.stall(ref2, Disconnect, 60000)
	on(t, l, func() { // room in the node slab
		for range 300 {
			l.Send(uint64(ref2), 1, Disconnect, false, frame)
		}
		for range 300 {
			l.cut(l.slab.find(ref2), l.slab.find(ref2).qhead)
		}
	})
	if n := s.quiet(200, func() { l.Send(uint64(ref2), 1, Disconnect, false, frame) }); n != check {
		t.Errorf("a frame behind others: %g allocations", n)
	}
	c2.reset()
}

// TestOneClosurePerSlot: a slot's first connection allocates its callback, 16 bytes; later ones allocate nothing. (Under the race
// detector netpoll keeps a map, which allocates.)
func TestOneClosurePerSlot(t *testing.T) {
	const conns = 300
	s := start(t, &fake{}, Config{})
	s.join() // so that the chunk is there
	l := s.loop()
	adopt := func() (mallocs uint64) {
		var fds [conns][2]int
		for i := range fds {
			pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
			if err != nil {
				t.Fatal(err)
			}
			fds[i] = pair
		}
		on(t, l, func() {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for i := range fds {
				l.group.gate.open.Add(1)
				l.expect()
				l.adopt(fds[i][0], 0, true)
			}
			runtime.ReadMemStats(&after)
			mallocs = after.Mallocs - before.Mallocs
		})
		for i := range fds {
			_ = unix.Close(fds[i][1])
		}
		eventually(t, "an empty slab", func() bool { return s.Stats().Conns == 1 })
		return mallocs
	}
	first, second := adopt(), adopt()
	slack := uint64(10)
	if raced {
		slack += 5 * conns
	}
	if first > conns+slack || second > slack {
		t.Errorf("%d connections: %d allocations, then %d", conns, first, second)
	}
}

// TestHandshakeGarbage: what a handshake allocates is gone soon, but it is what a wave of connects costs.
func TestHandshakeGarbage(t *testing.T) {
	const conns = 400
	g, addr := serve(t, Config{Loops: 1, Handler: echo{}})
	fds := make([]int, 0, conns)
	defer func() {
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
	}()
	request, buf := []byte(upgradeOf("/")), make([]byte, 1024)
	handshakes := func(n int) {
		for range n {
			fd := rawDial(t, addr)
			fds = append(fds, fd)
			if _, err := unix.Write(fd, request); err != nil {
				t.Fatal(err)
			}
			if n, err := rawRead(fd, buf); err != nil || n < 100 {
				t.Fatal(n, err)
			}
		}
	}
	handshakes(conns / 4)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	handshakes(conns / 2)
	runtime.ReadMemStats(&after)
	per := float64(after.TotalAlloc-before.TotalAlloc) / (conns / 2)
	t.Logf("%.0f bytes a handshake, the client's part included", per)
	if most := 256.0; per > most && !raced {
		t.Errorf("%.0f bytes a handshake, at most %.0f", per, most)
	}
	if n := g.Stats().Panics; n != 0 {
		t.Errorf("%d panics", n)
	}
}
