package loop

import (
	"math"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fanfare/loop/http1"
	"fanfare/loop/ws"
)

// TestTimerTicks: the clock moves by itself, about four times a second.
func TestTimerTicks(t *testing.T) {
	s := start(t, &fake{}, Config{})
	l := s.loop()
	began := time.Now()
	first := ask(t, l, func() uint32 { return l.now })
	eventually(t, "three ticks", func() bool { return ask(t, l, func() uint32 { return l.now }) >= first+3 })
	if d := time.Since(began); d < 2*tick {
		t.Errorf("three ticks in %s", d)
	}
}

// TestGap: after more than eight ticks at once the clock moves by one: the process was stopped, which is no fault of the clients.
func TestGap(t *testing.T) {
	s := start(t, &fake{}, Config{Limits: Limits{Handshake: 10 * time.Second}})
	l := s.loop()
	for _, x := range []struct{ expired, moved uint32 }{{1, 1}, {2, 2}, {8, 8}, {9, 1}, {120, 1}, {math.MaxUint32, 1}} {
		fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := unix.Write(fd, []byte{byte(x.expired), byte(x.expired >> 8), byte(x.expired >> 16), byte(x.expired >> 24), 0, 0, 0, 0}); err != nil {
			t.Fatal(err)
		}
		on(t, l, func() {
			timer, before := l.ticker.FD, l.now
			l.ticker.FD = fd
			_ = l.onTick(nil)
			l.ticker.FD = timer
			if moved := l.now - before; moved != x.moved {
				t.Errorf("%d expirations move the clock by %d, want %d", x.expired, moved, x.moved)
			}
		})
		_ = unix.Close(fd)
	}
}

// TestHandshakeDeadline: who sends nothing is closed silently, who sends part of a head gets 408; who is quick is served.
func TestHandshakeDeadline(t *testing.T) {
	s := start(t, &fake{}, Config{Limits: Limits{Handshake: time.Hour}})
	mute, half := dial(t, s.addr), dial(t, s.addr)
	half.put([]byte("GET / HTTP/1.1\r\nHost"))
	quick, ref := s.join()
	l := s.loop()
	eventually(t, "half a head", func() bool {
		return ask(t, l, func() bool { return l.slab.used == 3 && (l.slab.at(1).ext != nil || l.slab.at(2).ext != nil) })
	})
	advance(t, s.Group, time.Hour-time.Minute)
	if n := s.Stats().Conns; n != 3 {
		t.Errorf("%d connections before the deadline", n)
	}
	advance(t, s.Group, 2*time.Minute)
	mute.ends()
	if body := half.refused(http.StatusRequestTimeout); body != "head" {
		t.Errorf("body %q", body)
	}
	eventually(t, "two ends", func() bool { return s.Stats().Conns == 1 })
	if n := s.Stats().Closed; n[HeadTimeout] != 1 || n[ByServer] != 1 {
		t.Errorf("ends by reason: %v", n)
	}
	quick.say("hello")
	quick.expect(ws.OpText, "hello")
	if l := s.of(ref); l.dues != 0 {
		t.Error("the handshake's deadline has become a Due")
	}
}

// TestDecisionDeadline: a handler that does not decide is not waited for.
func TestDecisionDeadline(t *testing.T) {
	s := start(t, &fake{head: func(*Conn, *http1.Request) Verdict { return Verdict{Do: Wait} }}, Config{Limits: Limits{Handshake: time.Hour}})
	cl := dial(t, s.addr)
	cl.request("/w")
	eventually(t, "a head", func() bool { return s.ref("/w") != 0 })
	advance(t, s.Group, time.Hour+time.Minute)
	cl.refused(http.StatusServiceUnavailable)
	s.ended(s.ref("/w"), ByServer)
}

// TestSetDue: one time a connection, a quarter of a second exact, replaced and ended at will.
func TestSetDue(t *testing.T) {
	s := start(t, &fake{head: func(c *Conn, _ *http1.Request) Verdict {
		c.SetDue(time.Hour)
		return Verdict{Do: Upgrade}
	}}, Config{})
	_, ref := s.join()
	c := s.conn(ref)
	dues := func(want int) {
		t.Helper()
		on(t, s.loop(), func() {})
		if n := s.of(ref).dues; n != want {
			t.Errorf("%d times due, want %d", n, want)
		}
	}
	advance(t, s.Group, 30*time.Minute)
	dues(0)
	advance(t, s.Group, 40*time.Minute)
	dues(1)
	advance(t, s.Group, 2*time.Hour)
	dues(1)
	on(t, s.loop(), func() { c.SetDue(time.Minute); c.SetDue(time.Hour) })
	advance(t, s.Group, 2*time.Minute)
	dues(1)
	on(t, s.loop(), func() { c.SetDue(0) })
	advance(t, s.Group, 2*time.Hour)
	dues(1)
	on(t, s.loop(), func() { c.SetDue(time.Minute); c.SetDue(-time.Minute) })
	advance(t, s.Group, 2*time.Hour)
	dues(1)
	on(t, s.loop(), func() {
		c.SetDue(time.Nanosecond)
		if at := *s.loop().slab.due(ref.Slot()); at != s.loop().now+1 {
			t.Errorf("due at tick %d, now is %d", at, s.loop().now)
		}
	})
	eventually(t, "a Due by the timer itself", func() bool { return s.of(ref).dues == 2 })
}

// TestPing: a client that answers stays, one that does not is gone when the grace is over; any byte is an answer.
func TestPing(t *testing.T) {
	const interval, grace = time.Hour, 10 * time.Minute
	s := start(t, &fake{
		head: func(c *Conn, _ *http1.Request) Verdict { c.SetDue(interval); return Verdict{Do: Upgrade} },
		due:  func(c *Conn) { c.Ping(interval, grace) },
	}, Config{})
	ponging, pongRef := s.join()
	talking, talkRef := s.join()
	mute, muteRef := s.join()
	for round := range 3 {
		advance(t, s.Group, interval)
		for _, cl := range []*client{ponging, talking} {
			cl.expect(ws.OpPing, "")
		}
		ponging.put(masked(ws.OpPong, ""))
		talking.say(strconv.Itoa(round))
		talking.expect(ws.OpText, strconv.Itoa(round))
		eventually(t, "a pong", func() bool {
			return ask(t, s.loop(), func() bool { return s.loop().slab.find(pongRef).flags&flagHeard != 0 })
		})
		if n := len(s.of(muteRef).ends); round == 0 && n > 0 {
			t.Error("ended within the grace")
		}
		advance(t, s.Group, grace+time.Minute) // late, as a busy loop is: who answered at once stays
	}
	s.ended(muteRef, Silent)
	mute.expect(ws.OpPing, "")
	mute.ends()
	for _, ref := range []Ref{pongRef, talkRef} {
		if l := s.of(ref); len(l.ends) > 0 {
			t.Errorf("%+v", l)
		}
	}
}

// TestPingWantsAnAnswer: what came before the ping is none, also when it came within the same tick.
func TestPingWantsAnAnswer(t *testing.T) {
	s := start(t, &fake{due: func(c *Conn) { c.Ping(time.Hour, time.Minute) }}, Config{})
	cl, ref := s.join()
	c := s.conn(ref)
	cl.say("before")
	cl.expect(ws.OpText, "before")
	on(t, s.loop(), func() { c.Ping(time.Hour, time.Minute) })
	cl.expect(ws.OpPing, "")
	advance(t, s.Group, time.Minute)
	s.ended(ref, Silent)
}

// TestManyDue: what is due at once is spread over turns, and nobody is forgotten.
func TestManyDue(t *testing.T) {
	const conns = 2*duePerTurn + 100
	var dues atomic.Int64
	f := &counter{dues: &dues}
	g, _ := serve(t, Config{Loops: 1, Handler: f})
	l := g.Loops()[0]
	on(t, l, func() {
		for range conns {
			c := l.slab.take()
			c.loop, c.state, c.op.FD = l, open, -1
			*l.slab.due(c.ref.Slot()) = l.now
		}
		l.sweep = 0
		for turn, want := range []struct {
			dues int64
			more bool
		}{{duePerTurn, true}, {2 * duePerTurn, true}, {conns, false}, {conns, false}} {
			if more := l.sweepDue(); more != want.more || dues.Load() != want.dues {
				t.Errorf("turn %d: %d calls, more %t; want %d, %t", turn, dues.Load(), more, want.dues, want.more)
			}
		}
		for _, ch := range l.slab.chunks {
			for i := range ch.conns {
				if c := &ch.conns[i]; c.state == open {
					c.state = free
					l.slab.give(c, l.now)
				}
			}
		}
	})
}

// counter counts Due and does nothing else.
type counter struct {
	echo
	dues *atomic.Int64
}

func (c *counter) Due(*Conn) { c.dues.Add(1) }

// TestChunksGoAndComeBack: on the running loop a chunk that has been free for a minute goes; refs into it stay stale.
func TestChunksGoAndComeBack(t *testing.T) {
	s := start(t, &fake{}, Config{})
	l := s.loop()
	on(t, l, func() { l.slab.low = 1 }) // as if the first chunk, which has the canary, were full
	cl, ref := s.join()
	_ = cl.Close()
	s.ended(ref, ByClient)
	eventually(t, "a free slot", func() bool { return s.Stats().Conns == 0 })
	advance(t, s.Group, 2*time.Minute)
	if ask(t, l, func() bool { return l.slab.chunks[1] != nil }) {
		t.Fatal("the chunk stays")
	}
	s.send(ref, Disconnect, false, text("to a stale ref"))
	s.Post(ref, func(*Conn) { t.Error("posted to a chunk that is gone") })
	next, nextRef := s.join()
	if nextRef.Slot() != ref.Slot() || nextRef.gen() <= ref.gen() {
		t.Errorf("%x after %x", uint64(nextRef), uint64(ref))
	}
	s.send(ref, Disconnect, false, text("to a stale ref"))
	s.Post(ref, func(*Conn) { t.Error("posted to a stale ref") })
	next.say("mine")
	next.expect(ws.OpText, "mine")
	on(t, l, func() { l.slab.low = 0 })
}
