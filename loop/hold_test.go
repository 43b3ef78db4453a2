package loop

import (
	"strconv"
	"strings"
	"testing"

	"fanfare/loop/ws"
)

// holder holds a connection at each message that says so.
func holder(c *Conn, op byte, p []byte) error {
	if strings.HasPrefix(string(p), "hold") {
		c.Hold()
	}
	return echo{}.Message(c, op, p)
}

// held gives how many messages of a connection wait.
func (s *server) held(ref Ref) int {
	s.tb.Helper()
	l := s.loop()
	return ask(s.tb, l, func() int {
		if c := l.slab.find(ref); c != nil && c.ext != nil && c.ext.held != nil {
			return len(c.ext.held.msgs)
		}
		return 0
	})
}

// TestHold: while a connection is held its messages wait in order, pings are answered, deliveries leave; a message that holds again
// stops the release.
func TestHold(t *testing.T) {
	s := start(t, &fake{message: holder}, Config{})
	cl, ref := s.join()
	cl.put(masked(ws.OpText, "hold"), masked(ws.OpText, "1"), masked(ws.OpPing, "p"), masked(ws.OpText, "2"))
	cl.put(masked(ws.OpText, "hold again"), masked(ws.OpText, "3"))
	cl.expect(ws.OpText, "hold")
	cl.expect(ws.OpPong, "p")
	eventually(t, "messages that wait", func() bool { return s.held(ref) == 4 })
	s.send(ref, Disconnect, false, text("a delivery"))
	cl.expect(ws.OpText, "a delivery")
	if n := s.of(ref).messages; n != 1 {
		t.Errorf("%d messages while held", n)
	}
	release := func(c *Conn) { s.within(s.loop(), "Post", func() {}); c.Release() }
	s.Post(ref, release)
	cl.expect(ws.OpText, "1")
	cl.expect(ws.OpText, "2")
	cl.expect(ws.OpText, "hold again")
	if n := s.held(ref); n != 1 {
		t.Errorf("%d messages wait, want 1", n)
	}
	cl.say("4")
	eventually(t, "another one", func() bool { return s.held(ref) == 2 })
	s.Post(ref, release)
	cl.expect(ws.OpText, "3")
	cl.expect(ws.OpText, "4")
	c := s.conn(ref)
	if ask(t, s.loop(), func() bool { return c.ext != nil }) {
		t.Error("ext stays when nothing waits")
	}
	s.Post(ref, release)
	cl.say("5")
	cl.expect(ws.OpText, "5")
}

// TestReleasedRepliesLeaveTogether in one call.
func TestReleasedRepliesLeaveTogether(t *testing.T) {
	s := start(t, &fake{message: holder}, Config{})
	cl, ref := s.join()
	cl.say("hold")
	cl.expect(ws.OpText, "hold")
	for i := range 10 {
		cl.say(strconv.Itoa(i))
	}
	eventually(t, "messages that wait", func() bool { return s.held(ref) == 10 })
	before := s.writes()
	s.Post(ref, (*Conn).Release)
	for i := range 10 {
		cl.expect(ws.OpText, strconv.Itoa(i))
	}
	if n := s.writes() - before; n != 1 {
		t.Errorf("%d writes", n)
	}
}

// TestHoldLimits: the 17th message, or more than 64 KiB, is too much: 1008.
func TestHoldLimits(t *testing.T) {
	for name, x := range map[string]struct{ fits, size int }{"messages": {16, 10}, "bytes": {4, 16 << 10}, "one byte": {1, 64 << 10}} {
		t.Run(name, func(t *testing.T) {
			s := start(t, &fake{message: holder}, Config{})
			cl, ref := s.join()
			cl.say("hold")
			cl.expect(ws.OpText, "hold")
			for range x.fits {
				cl.say(strings.Repeat("x", x.size))
			}
			eventually(t, "messages that wait", func() bool { return s.held(ref) == x.fits })
			if len(s.of(ref).errs) > 0 {
				t.Error("failed too early")
			}
			cl.say("x")
			cl.expectClose(1008)
			cl.put(maskedClose(1008, ""))
			cl.ends()
			s.ended(ref, BadInput)
			if l := s.of(ref); len(l.errs) != 1 || l.messages != 1 {
				t.Errorf("%+v", l)
			}
		})
	}
}

// TestHeldAndGone: what waits for a connection that ends goes with it.
func TestHeldAndGone(t *testing.T) {
	s := start(t, &fake{message: holder}, Config{})
	cl, ref := s.join()
	cl.put(masked(ws.OpText, "hold"), masked(ws.OpText, "1"))
	cl.expect(ws.OpText, "hold")
	_ = cl.Close()
	s.ended(ref, ByClient)
	s.Post(ref, (*Conn).Release)
	if n := s.of(ref).messages; n != 1 {
		t.Errorf("%d messages", n)
	}
	cl, ref = s.join()
	cl.put(masked(ws.OpText, "hold"), masked(ws.OpText, "1"), masked(ws.OpText, "2"))
	eventually(t, "messages that wait", func() bool { return s.held(ref) == 2 })
	on(t, s.loop(), func() {
		c := s.loop().slab.find(ref)
		c.Close(4000, "")
		c.Release()
	})
	cl.expect(ws.OpText, "hold")
	cl.expectClose(4000)
	cl.put(maskedClose(4000, ""))
	cl.ends()
	s.ended(ref, ByServer)
	if n := s.of(ref).messages; n != 1 {
		t.Errorf("%d messages after our close", n)
	}
}
