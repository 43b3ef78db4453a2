package loop

import (
	"errors"
	"io"
	"syscall"
	"testing"
	"time"

	"fanfare/loop/ws"
)

// stall sends frames of the given class until some wait behind the head, and tells how many it sent.
func (s *server) stall(ref Ref, class uint8, size int) (sent int) {
	s.tb.Helper()
	l := s.loops[ref.Loop()]
	waiting := func() bool { c := l.slab.find(ref); return c == nil || c.qsize > 0 }
	for ; !ask(s.tb, l, waiting); sent++ {
		s.send(ref, class, false, numbered(sent, size))
	}
	return sent
}

// numbers reads whole frames up to the close frame, whose code it gives, and checks their bytes.
func (c *client) numbers(size int) (got []int, code uint16) {
	c.tb.Helper()
	for {
		op, p, err := c.hear()
		if err != nil {
			c.tb.Fatalf("after %d frames: %v", len(got), err)
		}
		if op == ws.OpClose {
			code, _ = ws.ParseClose(p)
			return got, code
		}
		n := numberOf(p)
		if op != ws.OpBinary || string(p) != string(payload(n, size)) {
			c.tb.Fatalf("frame %x of %d bytes is not number %d", op, len(p), n)
		}
		got = append(got, n)
	}
}

// TestDisconnectByBytes: a backlog over its limit closes with 1008 and gives its memory back at once; the frame that is partly
// out is finished, and the close frame is the last thing.
func TestDisconnectByBytes(t *testing.T) {
	const size = 20000
	s := start(t, &fake{}, Config{Limits: Limits{Backlog: 100000}})
	cl, ref := s.joinSmall()
	l := s.loop()
	c := s.conn(ref)
	sent := 0
	for ; ask(t, l, func() bool { return c.state == open }); sent++ {
		s.send(ref, Disconnect, false, numbered(sent, size))
		if q := ask(t, l, func() uint32 { return c.qsize }); q > 100000 {
			t.Fatalf("%d bytes wait", q)
		}
	}
	if n := ask(t, l, func() int { return l.nodes.used }); n > 2 {
		t.Errorf("%d frames kept for a connection that closes", n)
	}
	if c := s.of(ref); len(c.ends) > 0 {
		t.Error("ended before the client could answer")
	}
	got, code := cl.numbers(size)
	if code != 1008 {
		t.Errorf("close code %d", code)
	}
	for i, n := range got {
		if i != n {
			t.Fatalf("frame %d came in place %d", n, i)
		}
	}
	if len(got) >= sent || len(got) == 0 {
		t.Errorf("%d of %d frames came", len(got), sent)
	}
	cl.put(maskedClose(1008, ""))
	cl.ends()
	s.ended(ref, Slow)
}

// TestDisconnectDeadline: a slow client that never reads is gone when the time for the closing handshake is over, and by a reset, so
// that the kernel keeps nothing for it.
func TestDisconnectDeadline(t *testing.T) {
	s := start(t, &fake{}, Config{Limits: Limits{Backlog: 50000, Close: time.Hour}})
	cl, ref := s.joinSmall()
	c := s.conn(ref)
	for i := 0; ask(t, s.loop(), func() bool { return c.state == open }); i++ {
		s.send(ref, Disconnect, false, numbered(i, 20000))
	}
	advance(t, s.Group, time.Hour-2*time.Minute)
	if len(s.of(ref).ends) > 0 {
		t.Error("ended before its time")
	}
	advance(t, s.Group, 3*time.Minute)
	s.ended(ref, Slow)
	eventually(t, "the reset", func() bool { return ask(t, s.loop(), func() int { return s.loop().slab.used }) == 0 })
	if _, err := io.Copy(io.Discard, cl.br); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%v, want a reset", err)
	}
}

// TestDisconnectByAge: the oldest frame may wait so long and no longer, however few bytes wait.
func TestDisconnectByAge(t *testing.T) {
	s := start(t, &fake{}, Config{Limits: Limits{Backlog: 1 << 20, BacklogAge: time.Hour}})
	cl, ref := s.joinSmall()
	other, _ := s.join()
	s.stall(ref, Disconnect, 20000)
	advance(t, s.Group, time.Hour-time.Minute)
	c := s.conn(ref)
	if st := ask(t, s.loop(), func() state { return c.state }); st != open {
		t.Fatal("closed before its time")
	}
	advance(t, s.Group, 2*time.Minute)
	if st := ask(t, s.loop(), func() state { return c.state }); st != closing {
		t.Fatal("not closed in time")
	}
	if _, code := cl.numbers(20000); code != 1008 {
		t.Errorf("close code %d", code)
	}
	cl.put(maskedClose(1008, ""))
	cl.ends()
	s.ended(ref, Slow)
	other.say("unharmed")
	other.expect(ws.OpText, "unharmed")
}

// TestAgeOfOneFrame: a single frame, partly out, breaks no limit of bytes, but its age counts. Whoever reads starts anew.
func TestAgeOfOneFrame(t *testing.T) {
	s := start(t, &fake{}, Config{Limits: Limits{Backlog: 1000, BacklogAge: time.Hour}})
	cl, ref := s.joinSmall()
	c := s.conn(ref)
	for range 2 {
		s.send(ref, Disconnect, false, numbered(0, 1<<20))
		if n := ask(t, s.loop(), func() uint32 { return c.qhead }); n == 0 {
			t.Fatal("the socket took it all: this test tests nothing")
		}
		advance(t, s.Group, time.Hour-time.Minute)
		cl.expect(ws.OpBinary, string(payload(0, 1<<20)))
		eventually(t, "an empty queue", func() bool { return ask(t, s.loop(), func() bool { return c.qhead == 0 }) })
		advance(t, s.Group, time.Hour)
	}
	s.send(ref, Disconnect, false, numbered(0, 1<<20))
	advance(t, s.Group, time.Hour+time.Minute)
	if st := ask(t, s.loop(), func() state { return c.state }); st != closing {
		t.Error("a frame older than the limit waits on")
	}
}

// TestDropOldest: of a class that allows it whole frames are dropped, the oldest first, and nothing else: not the one that is
// partly out, not replies, not the order.
func TestDropOldest(t *testing.T) {
	const size, frames = 20000, 400
	s := start(t, &fake{}, Config{Limits: Limits{Backlog: 10 * size}})
	cl, ref := s.joinSmall()
	l := s.loop()
	replies := 0
	for i := range frames {
		if i%100 == 50 {
			on(t, l, func() { l.slab.find(ref).Reply(numbered(1000+replies, size)) })
			replies++
		}
		s.send(ref, DropOldest, false, numbered(i, size))
	}
	dropped := int(ask(t, l, func() int64 { return l.count.dropped[DropOldest] }))
	on(t, l, func() { l.slab.find(ref).Reply(ws.AppendClose(nil, 4000, "")) }) // a mark
	got, _ := cl.numbers(size)
	last, lastReply := -1, 999
	for _, n := range got {
		switch {
		case n >= 1000:
			if n != lastReply+1 {
				t.Errorf("reply %d after %d", n, lastReply)
			}
			lastReply = n
		case n <= last:
			t.Errorf("frame %d after %d", n, last)
		default:
			last = n
		}
	}
	if lastReply != 999+replies || last != frames-1 {
		t.Errorf("last reply %d, last frame %d", lastReply, last)
	}
	if dropped == 0 || len(got)+dropped != frames+replies {
		t.Errorf("%d frames came, %d dropped, %d sent", len(got), dropped, frames+replies)
	}
	if n := s.Stats().Dropped; int(n) != dropped {
		t.Errorf("Stats tells of %d dropped, want %d", n, dropped)
	}
	if life := s.of(ref); len(life.ends) > 0 {
		t.Error("a connection that may lose frames was closed")
	}
}

// TestReplyToFullBacklog: what may be dropped makes room for replies and pings; they do not end a connection whose backlog is
// full of frames that may be dropped.
func TestReplyToFullBacklog(t *testing.T) {
	const size = 20000
	s := start(t, &fake{}, Config{Limits: Limits{Backlog: 3 * size}})
	cl, ref := s.joinSmall()
	l := s.loop()
	sent := s.stall(ref, DropOldest, size)
	for range 10 {
		s.send(ref, DropOldest, false, numbered(sent, size))
		sent++
	}
	on(t, l, func() {
		c := l.slab.find(ref)
		c.Reply(numbered(5000, size))
		c.Ping(time.Hour, time.Minute)
		if c.state != open {
			t.Error("a reply has ended the connection")
		}
		if int(c.qsize) > 3*size {
			t.Errorf("%d bytes wait", c.qsize)
		}
	})
	reply := false
	for {
		op, p, err := cl.hear()
		if err != nil {
			t.Fatal(err)
		}
		if op == ws.OpPing {
			break
		}
		reply = reply || numberOf(p) == 5000
	}
	if !reply {
		t.Error("the reply was dropped")
	}
}

// TestRepliesAreLimited: a client that asks and does not read is a slow consumer too: replies are never dropped, so it is closed.
func TestRepliesAreLimited(t *testing.T) {
	s := start(t, &fake{}, Config{Limits: Limits{Backlog: 50000}})
	cl, ref := s.joinSmall()
	go func() { // until the server has had enough
		b := masked(ws.OpBinary, string(make([]byte, 30000)))
		for _, err := cl.Write(b); err == nil; _, err = cl.Write(b) {
		}
	}()
	c := s.conn(ref)
	eventually(t, "a close", func() bool { return ask(t, s.loop(), func() bool { return c.state >= closing }) })
	if q := ask(t, s.loop(), func() uint32 { return c.qsize }); q > 50000 {
		t.Errorf("%d bytes wait", q)
	}
	_ = cl.Close()
	s.ended(ref, Slow)
}

// TestDropOldestByAge: what is too old goes, what is not stays.
func TestDropOldestByAge(t *testing.T) {
	const size = 20000
	s := start(t, &fake{}, Config{Limits: Limits{Backlog: 1 << 20, BacklogAge: time.Hour}})
	cl, ref := s.joinSmall()
	l := s.loop()
	old := s.stall(ref, DropOldest, size)
	for range 5 {
		s.send(ref, DropOldest, false, numbered(old, size))
		old++
	}
	on(t, l, func() { l.slab.find(ref).Reply(numbered(5000, size)) })
	advance(t, s.Group, 50*time.Minute)
	for i := range 3 {
		s.send(ref, DropOldest, false, numbered(old+i, size))
	}
	advance(t, s.Group, 20*time.Minute)
	dropped := int(ask(t, l, func() int64 { return l.count.dropped[DropOldest] }))
	on(t, l, func() { l.slab.find(ref).Reply(ws.AppendClose(nil, 4000, "")) })
	got, _ := cl.numbers(size)
	if dropped < 5 || len(got) != old-dropped+4 {
		t.Fatalf("%d came, %d dropped, %d sent", len(got), dropped, old+4)
	}
	for i, want := range []int{5000, old, old + 1, old + 2} {
		if n := got[len(got)-4+i]; n != want {
			t.Errorf("frame %d, want %d", n, want)
		}
	}
}

// TestLargeFrameToIdleReader: one frame of any size passes, whatever the backlog's limit is.
func TestLargeFrameToIdleReader(t *testing.T) {
	for _, class := range []uint8{Disconnect, DropOldest} {
		s := start(t, &fake{}, Config{Limits: Limits{Backlog: 1000}})
		cl, ref := s.join()
		for i := range 5 {
			s.send(ref, class, i%2 == 0, numbered(i, 2<<20))
			cl.expect(ws.OpBinary, string(payload(i, 2<<20)))
		}
	}
}

// TestBatchToHealthyReader: a batch larger than the backlog is no sign of a slow reader, whether its frames come in one Send or in
// many.
func TestBatchToHealthyReader(t *testing.T) {
	const frames, size = 64, 16 << 10
	s := start(t, &fake{}, Config{})
	cl, ref := s.join()
	l := s.loop()
	batch := make([][]byte, frames)
	for i := range batch {
		batch[i] = numbered(i, size)
	}
	for round := range 4 {
		on(t, l, func() {
			if round%2 == 0 {
				l.Send(uint64(ref), 1, Disconnect, true, batch)
				return
			}
			for _, f := range batch {
				l.Send(uint64(ref), 1, Disconnect, true, [][]byte{f})
			}
		})
		for i := range batch {
			cl.expect(ws.OpBinary, string(payload(i, size)))
		}
	}
	if n := len(s.of(ref).ends); n > 0 {
		t.Error("closed")
	}
}

// TestStalledReadersDisturbNobody: stalled readers share the frame's bytes, and everybody else is served.
func TestStalledReadersDisturbNobody(t *testing.T) {
	const stalled = 50
	s := start(t, &fake{}, Config{Loops: 2, Limits: Limits{Backlog: 1 << 20}})
	frame := numbered(7, 1<<20)
	refs := make([]Ref, 0, stalled+1)
	for range stalled {
		_, ref := s.joinSmall()
		refs = append(refs, ref)
	}
	healthy, href := s.join()
	for _, ref := range append(refs, href) {
		s.send(ref, Disconnect, false, frame)
	}
	healthy.expect(ws.OpBinary, string(payload(7, 1<<20)))
	same := 0
	for _, l := range s.loops {
		same += ask(t, l, func() (n int) {
			for _, ref := range refs {
				if c := l.slab.find(ref); c != nil && c.qhead != 0 {
					if b := l.nodes.at(c.qhead).bytes; &b[len(b)-1] == &frame[len(frame)-1] {
						n++
					}
				}
			}
			return n
		})
	}
	if same != stalled {
		t.Errorf("%d of %d queues share the frame", same, stalled)
	}
	healthy.say("and the loop turns")
	healthy.expect(ws.OpText, "and the loop turns")
}

// TestCloseBehindPartOfAFrame: our close frame comes behind the rest of the frame that is partly out, and behind nothing else.
func TestCloseBehindPartOfAFrame(t *testing.T) {
	const size = 1 << 20
	s := start(t, &fake{}, Config{Limits: Limits{Backlog: 64 << 20}})
	cl, ref := s.joinSmall()
	l := s.loop()
	for i := range 6 {
		s.send(ref, Disconnect, false, numbered(i, size))
	}
	on(t, l, func() {
		c := l.slab.find(ref)
		if c.flags&flagPinned == 0 {
			t.Error("no frame is partly out: this test tests nothing")
		}
		c.Close(4001, "kicked")
		if l.nodes.used != 2 {
			t.Errorf("%d frames wait, want the rest of one and the close frame", l.nodes.used)
		}
	})
	got, code := cl.numbers(size)
	if code != 4001 || len(got) == 0 || len(got) > 5 {
		t.Errorf("close code %d after %d frames", code, len(got))
	}
	cl.put(maskedClose(4001, ""))
	cl.ends()
	s.ended(ref, ByServer)
}
