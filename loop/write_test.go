package loop

import (
	"bytes"
	"io"
	"strconv"
	"testing"

	"fanfare/loop/http1"
	"fanfare/loop/ws"
)

// writes gives the number of system calls that wrote to clients so far.
func (s *server) writes() int64 {
	s.tb.Helper()
	l := s.loop()
	return ask(s.tb, l, func() int64 { return l.count.writes })
}

// TestDirect: a frame leaves inside Send when nothing waits before it and nothing follows.
func TestDirect(t *testing.T) {
	s := start(t, &fake{}, Config{})
	cl, ref := s.join()
	l := s.loop()
	on(t, l, func() {
		before := l.count.writes
		for i := range 3 {
			l.Send(uint64(ref), 1, Disconnect, false, [][]byte{text(strconv.Itoa(i))})
			if l.count.writes != before+int64(i)+1 || l.nodes.used != 0 {
				t.Errorf("frame %d: %d writes, %d nodes", i, l.count.writes-before, l.nodes.used)
			}
		}
		l.Send(uint64(ref), 1, Disconnect, false, [][]byte{text("3"), text("4")})
		if l.count.writes != before+4 || l.nodes.used != 0 {
			t.Errorf("two frames: %d writes, %d nodes", l.count.writes-before, l.nodes.used)
		}
	})
	for i := range 5 {
		cl.expect(ws.OpText, strconv.Itoa(i))
	}
}

// TestCoalescing: what is sent with more set leaves in one call at the end of the turn, 64 frames at most, and a frame that is
// sent behind it does not overtake it.
func TestCoalescing(t *testing.T) {
	for _, x := range []struct{ frames, writes int }{{1, 1}, {2, 1}, {64, 1}, {65, 2}, {200, 4}} {
		t.Run(strconv.Itoa(x.frames), func(t *testing.T) {
			s := start(t, &fake{}, Config{})
			cl, ref := s.join()
			l := s.loop()
			before := s.writes()
			on(t, l, func() {
				for i := range x.frames {
					more := i < x.frames-1 || x.frames == 1
					l.Send(uint64(ref), uint32(i%3), Disconnect, more, [][]byte{text(strconv.Itoa(i))})
				}
				if l.count.writes != before || l.nodes.used != x.frames {
					t.Errorf("in the turn: %d writes, %d nodes", l.count.writes-before, l.nodes.used)
				}
			})
			for i := range x.frames {
				cl.expect(ws.OpText, strconv.Itoa(i))
			}
			if n := s.writes() - before; n != int64(x.writes) {
				t.Errorf("%d writes, want %d", n, x.writes)
			}
		})
	}
}

// TestPipelinedReplies: the replies to messages that came together leave together.
func TestPipelinedReplies(t *testing.T) {
	s := start(t, &fake{}, Config{})
	cl, ref := s.join()
	var in []byte
	for i := range 50 {
		in = append(in, masked(ws.OpText, strconv.Itoa(i))...)
		if i%10 == 0 {
			in = append(in, masked(ws.OpPing, strconv.Itoa(i))...)
		}
	}
	before := s.writes()
	cl.put(in)
	for i := range 50 {
		cl.expect(ws.OpText, strconv.Itoa(i))
		if i%10 == 0 {
			cl.expect(ws.OpPong, strconv.Itoa(i))
		}
	}
	if n := s.writes() - before; n != 1 {
		t.Errorf("%d writes for 55 replies to one packet", n)
	}
	if n := s.of(ref).messages; n != 50 {
		t.Errorf("%d messages", n)
	}
}

// TestPanicEndsCollecting: a panic between pipelined messages must not leave the loop collecting replies.
func TestPanicEndsCollecting(t *testing.T) {
	s := start(t, &fake{message: func(c *Conn, op byte, p []byte) error {
		if string(p) == "panic" {
			panic("on purpose")
		}
		return echo{}.Message(c, op, p)
	}}, Config{})
	bad, badRef := s.join()
	cl, ref := s.join()
	bad.put(masked(ws.OpText, "panic"), masked(ws.OpText, "more"))
	bad.expectClose(1011)
	bad.put(maskedClose(1011, ""))
	bad.ends()
	s.ended(badRef, Panicked)
	l := s.loop()
	on(t, l, func() {
		before := l.count.writes
		l.slab.find(ref).Reply(text("direct"))
		if l.count.writes != before+1 {
			t.Error("a reply was collected, though nothing is unread")
		}
	})
	cl.expect(ws.OpText, "direct")
}

// TestGreeting: the 101 and the greeting leave in one call, and replies to frames that came with the head follow.
func TestGreeting(t *testing.T) {
	greeting := append(text("hello"), text("again")...)
	s := start(t, &fake{head: func(*Conn, *http1.Request) Verdict { return Verdict{Do: Upgrade, Greeting: greeting} }}, Config{})
	cl := dial(t, s.addr)
	before := s.writes()
	cl.request("/")
	cl.upgraded()
	cl.expect(ws.OpText, "hello")
	cl.expect(ws.OpText, "again")
	if n := s.writes() - before; n != 1 {
		t.Errorf("%d writes for a handshake", n)
	}
}

// TestSlowReader: the exact bytes get to a client that reads in small sips, whatever the sizes of frames and of its window: no
// frame is lost, doubled, reordered or torn, replies and pongs between them included.
func TestSlowReader(t *testing.T) {
	const frames = 300
	s := start(t, &fake{}, Config{Limits: Limits{Backlog: 64 << 20}})
	cl, ref := s.joinSmall()
	l := s.loop()
	sizes := []int{4, 130, 60000, 70000, 5, 1000, 9000, 126, 16000, 200000}
	var want []byte
	for i := range frames {
		f := numbered(i, sizes[i%len(sizes)])
		want = append(want, f...)
		on(t, l, func() {
			if i%7 == 3 {
				l.slab.find(ref).Reply(f)
			} else {
				l.Send(uint64(ref), uint32(1+i%2), Disconnect, i%3 == 0, [][]byte{f})
			}
		})
	}
	blocked := ask(t, l, func() bool { c := l.slab.find(ref); return c.flags&flagBlocked != 0 && c.qhead != 0 })
	if !blocked {
		t.Error("the socket took it all: this test tests nothing")
	}
	checkSlabs(t, s.Group)
	got := make([]byte, len(want))
	for n, sip := 0, 1; n < len(got); sip = sip*5%8191 + 1 {
		k, err := cl.br.Read(got[n:min(n+sip, len(got))])
		if err != nil {
			t.Fatalf("after %d of %d bytes: %v", n, len(got), err)
		}
		n += k
	}
	if !bytes.Equal(got, want) {
		i := 0
		for got[i] == want[i] {
			i++
		}
		t.Errorf("the streams differ at byte %d of %d", i, len(want))
	}
	eventually(t, "an empty queue", func() bool {
		return ask(t, l, func() bool { c := l.slab.find(ref); return c.qhead == 0 && c.flags&(flagBlocked|flagPinned) == 0 })
	})
	cl.say("still here")
	cl.expect(ws.OpText, "still here")
}

// TestPongWhileBlocked: a ping of a client that does not read is answered in its place, at a frame's boundary.
func TestPongWhileBlocked(t *testing.T) {
	s := start(t, &fake{}, Config{Limits: Limits{Backlog: 64 << 20}})
	cl, ref := s.joinSmall()
	const frames, size = 10, 100000
	for i := range frames {
		s.send(ref, Disconnect, false, numbered(i, size))
	}
	cl.put(masked(ws.OpPing, "are you there"))
	l := s.loop()
	eventually(t, "a pong in the queue", func() bool { return ask(t, l, func() bool { return l.nodes.used > frames-1 }) })
	on(t, l, func() { l.slab.find(ref).Ping(tick, tick) })
	for i := range frames {
		cl.expect(ws.OpBinary, string(payload(i, size)))
	}
	cl.expect(ws.OpPong, "are you there")
	cl.expect(ws.OpPing, "")
}

// TestNothingAfterTheEnd: on a connection that closes, Send and Reply do nothing; the close frame is the last one.
func TestNothingAfterTheEnd(t *testing.T) {
	s := start(t, &fake{}, Config{})
	cl, ref := s.join()
	l := s.loop()
	on(t, l, func() {
		c := l.slab.find(ref)
		l.Send(uint64(ref), 1, Disconnect, true, [][]byte{text("before")})
		c.Close(4000, "bye")
		l.Send(uint64(ref), 1, Disconnect, false, [][]byte{text("after")})
		c.Reply(text("after"))
		c.Close(4001, "again")
		c.Refuse(400, "", "", nil)
		c.Accept("", nil)
		c.Ping(tick, tick)
	})
	cl.expect(ws.OpText, "before")
	cl.expectClose(4000)
	cl.put(maskedClose(4000, ""))
	cl.ends()
	s.ended(ref, ByServer)
	s.send(ref, Disconnect, false, text("to a stale ref"))
}

// TestGreetingLargerThanTheSocket: the stream begins with it, whatever policy applies to what follows.
func TestGreetingLargerThanTheSocket(t *testing.T) {
	greeting := numbered(0, 1<<20)
	s := start(t, &fake{head: func(c *Conn, _ *http1.Request) Verdict {
		setSndbuf(t, c, 4096)
		return Verdict{Do: Upgrade, Greeting: greeting}
	}}, Config{Limits: Limits{Backlog: 4096}})
	cl := dialSmall(t, s.addr)
	cl.request("/")
	eventually(t, "an upgrade", func() bool { return s.Stats().Upgraded == 1 })
	ref := s.ref("/")
	for i := 1; i < 20; i++ {
		s.send(ref, DropOldest, false, numbered(i, 2000))
	}
	cl.upgraded()
	cl.expect(ws.OpBinary, string(payload(0, 1<<20)))
	for _, i := range []int{18, 19} {
		cl.expect(ws.OpBinary, string(payload(i, 2000)))
	}
	cl.closeWrite()
	if rest, err := io.ReadAll(cl.br); err != nil || len(rest) > 0 {
		t.Errorf("%d bytes more, %v", len(rest), err)
	}
}
