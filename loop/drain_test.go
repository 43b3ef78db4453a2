package loop

import (
	"context"
	"errors"
	"net"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// drained begins a Drain and gives what tells its end.
func (s *server) drained(o Drain) (done chan struct{}, cancel context.CancelFunc) {
	s.tb.Helper()
	ctx, cancel := context.WithCancel(s.tb.Context())
	done = make(chan struct{})
	go func() {
		defer close(done)
		s.Drain(ctx, o)
	}()
	s.tb.Cleanup(func() {
		cancel()
		await(s.tb, done, "the end of Drain")
	})
	return done, cancel
}

// deaf waits until the loops listen no more and the close frames have begun to be paced.
func (s *server) deaf() {
	s.tb.Helper()
	for _, l := range s.loops {
		eventually(s.tb, "the end of listening", func() bool { return ask(s.tb, l, func() bool { return l.leaving.frame != nil }) })
	}
}

// TestDrain: every connection gets the close frame and ends for Shutdown; then Drain returns.
func TestDrain(t *testing.T) {
	s := start(t, &fake{}, Config{Loops: 2})
	clients := make([]*client, 20)
	refs := make([]Ref, 20)
	for i := range clients {
		clients[i], refs[i] = s.join()
	}
	done, _ := s.drained(Drain{})
	for _, cl := range clients {
		cl.expectClose(1012)
	}
	if conn, err := net.Dial("tcp", s.addr.String()); err == nil {
		_ = conn.Close()
		t.Error("it still listens")
	}
	select {
	case <-done:
		t.Error("returned while connections are left")
	default:
	}
	for i, cl := range clients {
		cl.put(maskedClose(1012, ""))
		cl.ends()
		s.ended(refs[i], Shutdown)
	}
	await(t, done, "the end of Drain")
	if n := s.Stats().Closed[Shutdown]; n != 20 {
		t.Errorf("%d ended for it", n)
	}
}

// TestDrainPace: as many close frames a tick as make the window, with the code and text asked for.
func TestDrainPace(t *testing.T) {
	for _, conns := range []int{3, 40, 45} {
		t.Run(strconv.Itoa(conns), func(t *testing.T) { drainPace(t, conns) })
	}
}

func drainPace(t *testing.T, conns int) {
	t.Helper()
	const window = 10
	s := start(t, &fake{}, Config{})
	l := s.loop()
	for range conns {
		s.join()
	}
	open := func() (n int) {
		return ask(t, l, func() (n int) {
			for i := range l.slab.chunks[0].conns {
				if l.slab.chunks[0].conns[i].state == open {
					n++
				}
			}
			return n
		})
	}
	on(t, l, func() { l.beginLeaving(text("bye"), window*tick, func() {}) })
	began := ask(t, l, func() uint32 { return l.leaving.until - window })
	for {
		left, now := open(), ask(t, l, func() uint32 { return l.now })
		ticks := int(now - began)
		if want := conns - min(ticks, window)*conns/window; left != want {
			t.Fatalf("%d are left after %d ticks, want %d", left, ticks, want)
		}
		if left == 0 {
			return
		}
		on(t, l, func() {
			l.now++
			l.leaveTick()
			l.Wake()
		})
		on(t, l, func() {})
	}
}

// TestDrainEmptiesTheQueue: who has connected before is accepted, served and closed like the others, whether its request had come
// or comes later; who says nothing is closed when the window is over.
func TestDrainEmptiesTheQueue(t *testing.T) {
	s := start(t, &fake{}, Config{})
	l := s.loop()
	in, out := make(chan struct{}), make(chan struct{})
	s.Post(l.Canary(), func(*Conn) { close(in); <-out })
	await(t, in, "the start")
	early, late, mute := dial(t, s.addr), dial(t, s.addr), dial(t, s.addr)
	early.request("/early")
	done, _ := s.drained(Drain{Window: time.Hour, Code: 4200, Text: "come back"})
	close(out)
	s.deaf()
	early.upgraded()
	late.request("/late")
	late.upgraded()
	if n := s.Stats().Accepted; n != 3 {
		t.Errorf("%d accepted", n)
	}
	advance(t, s.Group, 2*time.Hour)
	mute.ends()
	for _, cl := range []*client{early, late} {
		cl.expectClose(4200)
		cl.put(maskedClose(4200, ""))
		cl.ends()
	}
	await(t, done, "the end of Drain")
}

// TestDrainEnds with its context, whatever is left, at each of its steps; Close does the rest.
func TestDrainEnds(t *testing.T) {
	s := start(t, &fake{}, Config{Loops: 2})
	cl, ref := s.join()
	done, cancel := s.drained(Drain{Wait: time.Hour})
	cancel()
	await(t, done, "the end of Drain while it waits")
	s.join() // nothing has happened yet
	done, cancel = s.drained(Drain{Window: time.Hour})
	s.deaf()
	cancel()
	await(t, done, "the end of Drain")
	cl.say("still here")
	cl.expect(1, "still here")
	if n := len(s.of(ref).ends); n != 0 {
		t.Error("closed before its time")
	}
}

// TestDrainListeners: the sockets are closed, a paused one and an inherited one too, and the port is free.
func TestDrainListeners(t *testing.T) {
	f := &fake{}
	t.Cleanup(func() { f.check(t) })
	before := descriptors()
	g := group(t, Config{Loops: 2, Handler: f})
	_, addr, err := g.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	fd := inherited(t, "tcp", "127.0.0.1:0")
	if _, _, err := g.ListenFD(fd); err != nil {
		t.Fatal(err)
	}
	begin(t, g, before)
	on(t, g.loops[0], func() { g.loops[0].listeners[0].pause() })
	g.Drain(t.Context(), Drain{})
	ln, err := net.Listen("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.Close()
	if _, err := unix.Getsockname(fd); !errors.Is(err, syscall.EBADF) {
		t.Errorf("the inherited socket: %v", err)
	}
	advance(t, g, time.Second)
}
