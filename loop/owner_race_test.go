//go:build race

package loop

import (
	"strings"
	"testing"
	"time"
)

const raced = true

// TestOwnership: in race builds every method of Conn that changes something, and Send, panics off the loop.
func TestOwnership(t *testing.T) {
	s := start(t, &fake{}, Config{})
	_, ref := s.join()
	c := s.conn(ref)
	for name, f := range map[string]func(){
		"Reply":    func() { c.Reply(text("x")) },
		"Close":    func() { c.Close(1000, "") },
		"Refuse":   func() { c.Refuse(400, "", "", nil) },
		"Accept":   func() { c.Accept("", nil) },
		"SetDue":   func() { c.SetDue(time.Second) },
		"SetState": func() { c.SetState(1) },
		"Ping":     func() { c.Ping(time.Second, time.Second) },
		"Hold":     c.Hold,
		"Release":  c.Release,
		"Send":     func() { s.loop().Send(uint64(ref), 1, Disconnect, false, [][]byte{text("x")}) },
	} {
		if v := panicOf(f); !strings.HasPrefix(v, "loop: used on goroutine ") {
			t.Errorf("%s off the loop: %q", name, v)
		}
	}
	if st := ask(t, s.loop(), func() state { return c.state }); st != open {
		t.Errorf("state %d afterwards", st)
	}
}

func panicOf(f func()) (v string) {
	defer func() { v, _ = recover().(string) }()
	f()
	return ""
}
