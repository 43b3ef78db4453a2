package loop

import (
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"fanfare/loop/http1"
	"fanfare/loop/ws"
)

// TestPanics: a panic in a callback costs that connection, 1011 or HTTP 500, and nothing else.
func TestPanics(t *testing.T) {
	for where, end := range map[string]func(s *server, cl *client){
		"Head":          func(_ *server, cl *client) { cl.request("/panic"); cl.refused(http.StatusInternalServerError) },
		"Failed before": func(_ *server, cl *client) { cl.put([]byte("bad\r\n\r\n")); cl.refused(http.StatusInternalServerError) },
		"Message":       func(s *server, cl *client) { s.joinBy(cl); cl.say("panic"); cl.expectClose(1011); cl.ends() },
		"a later Message": func(s *server, cl *client) {
			s.joinBy(cl)
			cl.put(masked(ws.OpText, "one"), masked(ws.OpText, "panic"), masked(ws.OpText, "three"))
			cl.expect(ws.OpText, "one")
			cl.expectClose(1011)
			cl.ends()
		},
		"Failed": func(s *server, cl *client) { s.joinBy(cl); cl.say("\xff"); cl.expectClose(1011); cl.ends() },
		"Failed in fragments": func(s *server, cl *client) {
			s.joinBy(cl)
			cl.put([]byte("\x01\x81\x00\x00\x00\x00a\x81\x01a"))
			cl.expectClose(1011)
			cl.ends()
		},
		"Failed by Message": func(s *server, cl *client) { s.joinBy(cl); cl.say("error"); cl.expectClose(1011); cl.ends() },
		"Due": func(s *server, cl *client) {
			_, ref := s.joinBy(cl)
			s.Post(ref, func(c *Conn) { c.SetDue(time.Minute) })
			advance(t, s.Group, 2*time.Minute)
			cl.expectClose(1011)
			cl.ends()
		},
		"Post": func(s *server, cl *client) {
			_, ref := s.joinBy(cl)
			s.Post(ref, func(*Conn) { panic("on purpose") })
			cl.expectClose(1011)
			cl.ends()
		},
		"Release": func(s *server, cl *client) {
			_, ref := s.joinBy(cl)
			s.Post(ref, (*Conn).Hold)
			on(t, s.loop(), func() {})
			cl.put(masked(ws.OpText, "panic"), masked(ws.OpText, "more"))
			eventually(t, "messages that wait", func() bool { return s.held(ref) == 2 })
			s.Post(ref, (*Conn).Release)
			cl.expectClose(1011)
			cl.ends()
		},
	} {
		t.Run(where, func(t *testing.T) {
			s := start(t, panicker(), Config{})
			other, otherRef := s.join()
			end(s, dial(t, s.addr))
			eventually(t, "the end", func() bool { return s.Stats().Closed[Panicked] == 1 })
			if n := s.Stats(); n.Panics != 1 || n.Conns > 2 {
				t.Errorf("%+v", n)
			}
			other.say("unharmed")
			other.expect(ws.OpText, "unharmed")
			before := s.writes()
			s.Post(otherRef, func(c *Conn) { c.Reply(text("and direct")) })
			other.expect(ws.OpText, "and direct")
			if n := s.writes() - before; n != 1 {
				t.Errorf("%d writes", n)
			}
			fresh, _ := s.join()
			m := masked(ws.OpText, "also unharmed")
			fresh.put(m[:3])
			fresh.put(m[3:])
			fresh.expect(ws.OpText, "also unharmed")
		})
	}
}

// panicker panics where it is told to.
func panicker() *fake {
	return &fake{
		head: func(c *Conn, r *http1.Request) Verdict {
			if r.Path == "/panic" {
				panic("on purpose")
			}
			return echo{}.Head(c, r)
		},
		message: func(c *Conn, op byte, p []byte) error {
			switch string(p) {
			case "panic":
				panic("on purpose")
			case "error":
				return errors.New("an error")
			}
			return echo{}.Message(c, op, p)
		},
		failed: func(*Conn, error) { panic("on purpose") },
		due:    func(*Conn) { panic("on purpose") },
	}
}

// TestPanicInClosed: the slot is free all the same.
func TestPanicInClosed(t *testing.T) {
	s := start(t, &fake{closed: func(*Conn, Reason) { panic("on purpose") }}, Config{})
	cl, ref := s.join()
	_ = cl.Close()
	s.ended(ref, ByClient)
	eventually(t, "a free slot", func() bool { return s.Stats().Conns == 0 && s.Stats().Panics == 1 })
	_, next := s.join()
	if next.Slot() != ref.Slot() {
		t.Errorf("slot %d after %d", next.Slot(), ref.Slot())
	}
}

// panicWorker panics some times, then works.
type panicWorker struct {
	mu     sync.Mutex
	panics int
	works  int
}

func (w *panicWorker) Work(int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.panics > 0 {
		w.panics--
		panic("on purpose")
	}
	w.works++
	return false
}

// TestPanicInWork: the slice is lost, the next one comes by itself.
func TestPanicInWork(t *testing.T) {
	s := start(t, &fake{}, Config{})
	w := &panicWorker{panics: 3}
	on(t, s.loop(), func() { s.Attach(0, w) })
	cl, _ := s.join()
	eventually(t, "work after panics", func() bool { w.mu.Lock(); defer w.mu.Unlock(); return w.works > 0 })
	if n := s.Stats().Panics; n != 3 {
		t.Errorf("%d panics counted", n)
	}
	cl.say("unharmed")
	cl.expect(ws.OpText, "unharmed")
}

// TestTenPanicsEndTheProcess when they come within a minute, and not when they take longer.
func TestTenPanicsEndTheProcess(t *testing.T) {
	s := start(t, &fake{}, Config{})
	exits := make(chan int, 100)
	on(t, s.loop(), func() { s.exit = func(code int) { exits <- code } })
	fault := func() {
		s.loop().post(0, func(*Conn) { panic("on purpose") })
		on(t, s.loop(), func() {})
	}
	for range 9 {
		fault()
	}
	advance(t, s.Group, 2*time.Minute)
	for range 9 {
		fault()
	}
	if len(exits) > 0 {
		t.Fatal("ended too early")
	}
	fault()
	if code := await(t, exits, "the end of the process"); code != 1 {
		t.Errorf("exit code %d", code)
	}
	if n := ask(t, s.loop(), func() int64 { return s.loop().count.panics }); n != 19 {
		t.Errorf("%d panics counted", n)
	}
}
