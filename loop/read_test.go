package loop

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"fanfare/loop/ws"
)

// silent takes messages and answers nothing.
func silent(*Conn, byte, []byte) error { return nil }

// shrinkReads makes the loop read n bytes at a time, so that little input takes many reads.
func shrinkReads(tb testing.TB, l *Loop, n int) {
	tb.Helper()
	on(tb, l, func() { l.buf = l.buf[:n] })
	tb.Cleanup(func() { on(tb, l, func() { l.buf = l.buf[:bufferSize] }) })
}

// hold keeps the loop busy until release is called, so that events gather.
func hold(tb testing.TB, l *Loop) (release func()) {
	tb.Helper()
	in, out := make(chan struct{}), make(chan struct{})
	l.post(0, func(*Conn) {
		close(in)
		<-out
	})
	await(tb, in, "the loop")
	var once sync.Once
	release = func() { once.Do(func() { close(out) }) }
	tb.Cleanup(release)
	return release
}

// TestDrainedToTheEnd: of a peer that writes megabytes and closes at once every message is seen before Closed, though netpoll
// detaches a connection that has hung up after its first callback.
func TestDrainedToTheEnd(t *testing.T) {
	const messages, size = 600, 10000
	var bytes int
	s := start(t, &fake{message: func(_ *Conn, _ byte, p []byte) error { bytes += len(p); return nil }}, Config{})
	cl, ref := s.join()
	shrinkReads(t, s.loop(), 1000)
	cl.put([]byte(strings.Repeat(string(masked(ws.OpBinary, strings.Repeat("x", size))), messages)))
	if err := cl.Close(); err != nil {
		t.Fatal(err)
	}
	s.ended(ref, ByClient)
	if n := s.of(ref).messages; n != messages || bytes != messages*size {
		t.Errorf("%d of %d messages, %d bytes", n, messages, bytes)
	}
}

// TestDrainedBehindABusyLoop: the same when all of it, the end included, waits in the socket before the loop looks.
func TestDrainedBehindABusyLoop(t *testing.T) {
	const messages = 100
	s := start(t, &fake{message: silent}, Config{})
	cl, ref := s.join()
	shrinkReads(t, s.loop(), 200)
	release := hold(t, s.loop())
	for i := range messages {
		cl.say(fmt.Sprintf("%0200d", i))
	}
	_ = cl.Close()
	release()
	s.ended(ref, ByClient)
	if n := s.of(ref).messages; n != messages {
		t.Errorf("%d of %d messages", n, messages)
	}
}

// TestTurnsAreShared: 16 reads of one connection, then others have their turn.
func TestTurnsAreShared(t *testing.T) {
	const size, messages = 100, 400
	var mu sync.Mutex
	var order []Ref
	s := start(t, &fake{message: func(c *Conn, _ byte, _ []byte) error {
		mu.Lock()
		defer mu.Unlock()
		order = append(order, c.ref)
		return nil
	}}, Config{})
	busy, busyRef := s.join()
	other, otherRef := s.join()
	frame := masked(ws.OpText, strings.Repeat("x", size-6))
	shrinkReads(t, s.loop(), size)
	release := hold(t, s.loop())
	busy.put([]byte(strings.Repeat(string(frame), messages)))
	other.put(frame)
	release()
	eventually(t, "all messages", func() bool { return s.of(busyRef).messages == messages && s.of(otherRef).messages == 1 })
	mu.Lock()
	defer mu.Unlock()
	for i, ref := range order {
		if ref == otherRef {
			if i > 3*16 {
				t.Errorf("the other's message came after %d of the busy one", i)
			}
			return
		}
	}
}

// TestFloodHasOnePlace: a client that sends without end has one place among those to be read on, so that its share of a turn does
// not grow.
func TestFloodHasOnePlace(t *testing.T) {
	s := start(t, &fake{message: silent}, Config{})
	cl, ref := s.join()
	other, _ := s.join()
	l := s.loop()
	shrinkReads(t, l, 64)
	stop := make(chan struct{})
	var flood sync.WaitGroup
	flood.Go(func() {
		b := []byte(strings.Repeat(string(masked(ws.OpText, strings.Repeat("x", 58))), 1000))
		for {
			select {
			case <-stop:
				return
			default:
				if _, err := cl.Write(b); err != nil {
					t.Error(err)
					return
				}
			}
		}
	})
	eventually(t, "a flood", func() bool { return ask(t, l, func() bool { return len(l.resume) > 0 }) })
	for range 50 {
		most := ask(t, l, func() int { return len(l.resume) })
		if most > 1 {
			t.Errorf("%d places for one connection", most)
			break
		}
		other.put(masked(ws.OpPing, ""))
		other.expect(ws.OpPong, "")
	}
	close(stop)
	flood.Wait()
	_ = cl.Close()
	s.ended(ref, ByClient)
}

// TestOperatorRules: OnHup is the loop's and gone when the connection is dead, OnWrite once set stays until the slot is free.
func TestOperatorRules(t *testing.T) {
	s := start(t, &fake{}, Config{Limits: Limits{Backlog: 64 << 20}})
	cl, ref := s.joinSmall()
	l := s.loop()
	c := s.conn(ref)
	check := func(when string, write bool) {
		t.Helper()
		on(t, l, func() {
			if (c.op.OnHup != nil) != (c.state == open) || c.op.OnRead == nil || (c.op.OnWrite != nil) != write {
				t.Errorf("%s: OnHup %t, OnRead %t, OnWrite %t", when, c.op.OnHup != nil, c.op.OnRead != nil, c.op.OnWrite != nil)
			}
		})
	}
	check("idle", false)
	s.stall(ref, Disconnect, 50000)
	check("blocked", true)
	on(t, l, func() { l.slab.find(ref).Reply(ws.AppendClose(nil, 4000, "")) })
	cl.numbers(50000)
	eventually(t, "an empty queue", func() bool { return ask(t, l, func() bool { return c.qhead == 0 && c.flags&flagBlocked == 0 }) })
	check("drained", true)
	_ = cl.Close()
	s.ended(ref, ByClient)
	check("the rest of a dead one", true)
	next, nextRef := s.join()
	if nextRef.Slot() != ref.Slot() {
		t.Fatalf("slot %d after %d", nextRef.Slot(), ref.Slot())
	}
	check("the slot's next life", false)
	next.say("works")
	next.expect(ws.OpText, "works")
}

// TestQuarantine: a connection that is killed is detached and shut down at once and does nothing more; its slot and its descriptor's
// number rest for two wakes; then the slot has a new generation and the old ref names nobody.
func TestQuarantine(t *testing.T) {
	s := start(t, &fake{}, Config{})
	cl, ref := s.join()
	l := s.loop()
	type moment struct {
		state     state
		open      bool // the descriptor
		shut      bool
		used      int
		ran, sent bool
	}
	var moments []moment
	var c *Conn
	fd := 0
	ran := false
	look := func() {
		_, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		before := l.count.writes
		l.Send(uint64(ref), 1, Disconnect, false, [][]byte{text("to nobody")})
		shut := false
		if err == nil {
			_, e := sysSend(fd, []byte("x"))
			shut = e == unix.EPIPE
		}
		moments = append(moments, moment{c.state, err == nil, shut, l.slab.used, ran, l.count.writes != before})
		l.post(ref, func(*Conn) { ran = true })
	}
	done := make(chan struct{})
	l.post(0, func(*Conn) {
		c = l.slab.find(ref)
		fd = c.op.FD
		l.kill(c, ByServer)
		l.kill(c, Reset) // does nothing
		look()
		l.post(0, func(*Conn) { // the next turn
			look()
			l.post(0, func(*Conn) { // the one after it
				look()
				close(done)
			})
		})
	})
	await(t, done, "three turns")
	want := []moment{{dead, true, true, 1, false, false}, {dead, true, true, 1, false, false}, {state: free}}
	for i, m := range moments {
		if m != want[i] {
			t.Errorf("turn %d: %+v, want %+v", i, m, want[i])
		}
	}
	cl.ends()
	s.ended(ref, ByServer)
	next, nextRef := s.join()
	if nextRef.Slot() != ref.Slot() || nextRef.gen() != ref.gen()+1 {
		t.Errorf("%x after %x", uint64(nextRef), uint64(ref))
	}
	s.send(ref, Disconnect, false, text("to a stale ref"))
	s.Post(ref, func(*Conn) { t.Error("posted to a stale ref") })
	s.Post(0, func(*Conn) { t.Error("posted to nobody") })
	s.Post(makeRef(200, 1, 0), func(*Conn) { t.Error("posted to no loop") })
	next.say("mine")
	next.expect(ws.OpText, "mine")
}

// TestHalfClose: a client that ends its side gets what was queued for it, as far as its socket takes it, and the end.
func TestHalfClose(t *testing.T) {
	s := start(t, &fake{}, Config{})
	cl, ref := s.join()
	release := hold(t, s.loop())
	for i := range 20 {
		cl.say(strconv.Itoa(i))
	}
	cl.closeWrite()
	release()
	for i := range 20 {
		cl.expect(ws.OpText, strconv.Itoa(i))
	}
	cl.ends()
	s.ended(ref, ByClient)
}

// TestHalfCloseOfASlowReader: it is not served further.
func TestHalfCloseOfASlowReader(t *testing.T) {
	s := start(t, &fake{}, Config{Limits: Limits{Backlog: 64 << 20}})
	cl, ref := s.joinSmall()
	for i := range 10 {
		s.send(ref, Disconnect, false, numbered(i, 500000))
	}
	cl.closeWrite()
	s.ended(ref, ByClient)
	n, err := io.Copy(io.Discard, cl.br)
	if err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Error(err)
	}
	if n == 0 || n >= 10*500000 {
		t.Errorf("%d bytes came", n)
	}
}

// TestReset: a client that resets, before and after what it sent was read.
func TestReset(t *testing.T) {
	s := start(t, &fake{}, Config{})
	cl, ref := s.join()
	cl.say("hello")
	cl.expect(ws.OpText, "hello")
	cl.reset()
	s.ended(ref, Reset)
	cl, ref = s.joinSmall()
	s.stall(ref, Disconnect, 50000)
	cl.reset()
	s.ended(ref, Reset)
	cl = dial(t, s.addr)
	cl.put([]byte("GET / HT"))
	eventually(t, "half a head", func() bool { return s.Stats().Conns == 1 })
	cl.reset()
	eventually(t, "an empty slab", func() bool { return s.Stats().Conns == 0 })
}

// TestIdleConnectionHoldsNothing: after messages of any shape a connection is what it was before.
func TestIdleConnectionHoldsNothing(t *testing.T) {
	s := start(t, &fake{}, Config{})
	cl, ref := s.join()
	c := s.conn(ref)
	m := masked(ws.OpText, strings.Repeat("y", 5000))
	for i := 1; i < len(m); i += 701 {
		cl.put(m[:i])
		eventually(t, "half a frame", func() bool { return ask(t, s.loop(), func() bool { return c.ext != nil && c.ext.dec != nil }) })
		cl.put(m[i:])
		cl.expect(ws.OpText, strings.Repeat("y", 5000))
		if ask(t, s.loop(), func() bool { return c.ext != nil || c.qhead != 0 || !s.loop().dec.Idle() }) {
			t.Fatal("something is left")
		}
	}
}
