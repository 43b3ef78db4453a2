package loop

import (
	"reflect"
	"testing"

	"github.com/cloudwego/netpoll"

	"fanfare/loop/ws"
)

// hangUp does what netpoll does for a hang-up without a readable event: it detaches the operator, then calls OnHup on another
// goroutine. What the peer does in between has no event.
func (s *server) hangUp(ref Ref, between func()) {
	s.tb.Helper()
	l := s.loop()
	onHup := ask(s.tb, l, func() func(netpoll.Poll) error {
		c := l.slab.find(ref)
		if err := c.op.Control(netpoll.PollDetach); err != nil {
			s.tb.Error(err)
		}
		return c.op.OnHup
	})
	between()
	if err := onHup(nil); err != nil {
		s.tb.Error(err)
	}
}

// TestLostHangup: a connection that netpoll has detached by itself is found at the next tick, also when its peer has said something
// before, and nobody else is touched.
func TestLostHangup(t *testing.T) {
	s := start(t, &fake{}, Config{Loops: 1})
	other, _ := s.join()
	gone, ref := s.join()
	s.hangUp(ref, gone.reset)
	s.ended(ref, Reset)

	talker, ref := s.join()
	s.hangUp(ref, func() { talker.say("the last word") })
	talker.expect(ws.OpText, "the last word")
	s.ended(ref, Reset)
	talker.ends()

	other.say("still here")
	other.expect(ws.OpText, "still here")
}

// TestHungUpRecordsAtRest: a late OnHup of a connection that is gone finds nothing, whoever has its slot now.
func TestHungUpRecordsAtRest(t *testing.T) {
	s := start(t, &fake{}, Config{Loops: 1})
	l := s.loop()
	cl, ref := s.join()
	onHup := ask(t, l, func() func(netpoll.Poll) error { return l.slab.find(ref).op.OnHup })
	_ = cl.Close()
	s.ended(ref, ByClient)
	next, nextRef := s.join()
	if nextRef.Slot() != ref.Slot() {
		t.Fatalf("slot %d after %d", nextRef.Slot(), ref.Slot())
	}
	if err := onHup(nil); err != nil {
		t.Error(err)
	}
	eventually(t, "a tick", func() bool { return !l.hungUp.Load() })
	next.say("works")
	next.expect(ws.OpText, "works")
}

// TestDetachedChanged: a netpoll whose operator looks different inside is an error.
func TestDetachedChanged(t *testing.T) {
	for _, operator := range []any{struct{}{}, struct{ detached int64 }{}, struct{ Detached int32 }{}} {
		if at, err := findDetached(reflect.TypeOf(operator)); err == nil {
			t.Errorf("%T: at %d, no error", operator, at)
		}
	}
}
