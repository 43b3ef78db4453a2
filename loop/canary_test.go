package loop

import (
	"testing"
	"time"
)

// TestCanary: what is sent to it is counted; nothing else knows of it.
func TestCanary(t *testing.T) {
	s := start(t, &fake{}, Config{Loops: 2, Admission: Admission{Conns: 1}})
	for i, l := range s.loops {
		ref := l.Canary()
		if ref == 0 || ref.Loop() != i {
			t.Errorf("canary %x of loop %d", uint64(ref), i)
		}
		on(t, l, func() {
			l.Send(uint64(ref), 7, Disconnect, false, [][]byte{text("a")})
			l.Send(uint64(ref), 7, DropNewest, true, [][]byte{text("b"), text("c")})
		})
		if n := l.CanaryCount(); n != 3 {
			t.Errorf("counted %d of 3", n)
		}
		done := make(chan *Conn, 1)
		s.Post(ref, func(c *Conn) { c.Reply(text("x")); c.Close(1000, ""); c.SetDue(time.Second); done <- c })
		if c := await(t, done, "a post to the canary"); c.Ref() != ref || c.Remote().IsValid() || c.Open() {
			t.Error("not the canary")
		}
	}
	advance(t, s.Group, time.Hour)
	n := s.Stats()
	if n.Conns != 0 || n.Accepted != 0 || n.Queued != 0 || n.QueueNodes != 0 || n.Writes != 0 || n.Closed != ([reasons]int64{}) {
		t.Errorf("%+v", n)
	}
	s.join()
	if n := s.loops[0].CanaryCount(); n != 3 {
		t.Errorf("%d after an hour", n)
	}
}
