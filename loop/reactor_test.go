package loop

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"fanfare/loop/http1"
	"fanfare/loop/ws"
)

// witness notes for each callback which goroutine it ran on and whether netpoll's wait loop is at the bottom of its stack.
type witness struct {
	mu    sync.Mutex
	seen  map[string]map[string]int // callback -> goroutine -> calls
	wrong []string
}

func (w *witness) see(callback string) {
	buf := make([]byte, 64<<10)
	stack := string(buf[:runtime.Stack(buf, false)])
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.seen == nil {
		w.seen = make(map[string]map[string]int)
	}
	if w.seen[callback] == nil {
		w.seen[callback] = make(map[string]int)
	}
	w.seen[callback][strings.Fields(stack)[1]]++
	if !strings.Contains(stack, "netpoll.(*defaultPoll).Wait") {
		w.wrong = append(w.wrong, callback+":\n"+stack)
	}
}

func (w *witness) Head(c *Conn, _ *http1.Request) Verdict {
	w.see("Head")
	c.SetDue(time.Millisecond)
	return Verdict{Do: Upgrade}
}

func (w *witness) Message(c *Conn, op byte, p []byte) error {
	w.see("Message")
	c.Reply(ws.AppendFrame(nil, op, p))
	return errors.New("told by Failed")
}
func (w *witness) Failed(*Conn, error)  { w.see("Failed") }
func (w *witness) Due(*Conn)            { w.see("Due") }
func (w *witness) Closed(*Conn, Reason) { w.see("Closed") }
func (w *witness) Work(int) bool        { w.see("Work"); return false }

// TestCallbacksRunInNetpoll: every callback on a connection of ours runs inside netpoll's own wait loop, on as many goroutines as
// there are loops.
func TestCallbacksRunInNetpoll(t *testing.T) {
	const loops, clients = 2, 64
	w := &witness{}
	g, addr := serve(t, Config{Loops: loops, Handler: w})
	posted := make(chan struct{}, loops)
	for i, l := range g.Loops() {
		l.post(0, func(*Conn) { g.Attach(i, w); w.see("post"); posted <- struct{}{} })
	}
	for range loops {
		<-posted
	}
	for i := range clients {
		conn, err := net.Dial("tcp", addr.String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"+
			"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\x81\x81\x00\x00\x00\x00%c", 'a'+byte(i%26))
		want := 129 + 3 // the 101 and the echo
		if n, err := readAtLeast(conn, want); err != nil || n < want {
			t.Fatal(n, err)
		}
		defer func() { _ = conn.Close() }()
		if i%2 == 0 {
			_ = conn.Close()
		}
	}
	deadline := time.Now().Add(10 * time.Second)
	for _, callback := range []string{"Head", "Message", "Failed", "Due", "Closed", "Work", "post"} {
		for {
			w.mu.Lock()
			goroutines := len(w.seen[callback])
			w.mu.Unlock()
			if goroutines == loops {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s ran on %d goroutines, want %d", callback, goroutines, loops)
			}
			time.Sleep(time.Millisecond)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.wrong) > 0 {
		t.Errorf("%d callbacks outside netpoll's wait loop, the first: %s", len(w.wrong), w.wrong[0])
	}
	all := make(map[string]bool)
	for _, goroutines := range w.seen {
		for id := range goroutines {
			all[id] = true
		}
	}
	if len(all) != loops {
		t.Errorf("callbacks ran on %d goroutines, want %d", len(all), loops)
	}
}

func readAtLeast(conn net.Conn, want int) (n int, err error) {
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	buf := make([]byte, 1024)
	for n < want && err == nil {
		var k int
		k, err = conn.Read(buf)
		n += k
	}
	return n, err
}
