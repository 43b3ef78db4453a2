package loop

import (
	"testing"
	"time"

	"fanfare/loop/ws"
)

// fragment is the first part of a text message, masked with zeros.
func fragment(payload string) []byte {
	return append([]byte{ws.OpText, 0x80 | byte(len(payload)), 0, 0, 0, 0}, payload...)
}

// TestUnfinished: a message that does not end in time ends its connection, whether a frame or a further fragment is missing; pings in
// between do not help. Who finishes one and begins another has the time anew.
func TestUnfinished(t *testing.T) {
	const limit = time.Hour
	s := start(t, &fake{}, Config{Limits: Limits{Unfinished: limit}})
	l := s.loop()
	one, two := masked(ws.OpText, "one"), masked(ws.OpText, "two")
	frame, first := s.join()
	frame.put(masked(ws.OpText, "hello")[:7])
	parts, second := s.join()
	parts.put(fragment("hel"))
	twice, third := s.join()
	twice.put(one[:4])
	idle, _ := s.join()
	partial := func(want int) {
		t.Helper()
		eventually(t, "incomplete messages", func() bool { return ask(t, l, func() bool { return len(l.partial) == want }) })
	}
	partial(3)
	advance(t, s.Group, limit/2)
	parts.put(masked(ws.OpPing, ""))
	parts.expect(ws.OpPong, "")
	twice.put(one[4:], two[:4])
	twice.expect(ws.OpText, "one")
	advance(t, s.Group, limit/2+time.Minute)
	for cl, ref := range map[*client]Ref{frame: first, parts: second} {
		cl.expectClose(1008)
		cl.put(maskedClose(1008, ""))
		cl.ends()
		s.ended(ref, MessageTimeout)
	}
	partial(1)
	twice.put(two[4:])
	twice.expect(ws.OpText, "two")
	advance(t, s.Group, 2*limit)
	partial(0)
	idle.say("still here")
	idle.expect(ws.OpText, "still here")
	_ = twice.Close()
	s.ended(third, ByClient)
}
