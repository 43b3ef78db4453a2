package loop

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"fanfare/loop/ws"
)

// plane is a server with a real http.Server behind it.
func plane(tb testing.TB, f *fake, cfg Config) *server {
	tb.Helper()
	s := start(tb, f, cfg)
	ln := s.HTTP(0)
	var conns sync.WaitGroup
	srv := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				tb.Error(err)
			}
			_, _ = fmt.Fprintf(w, "%s %s %d %x", r.Method, r.URL.Path, len(body), sum(body))
		}),
		ConnState: func(c net.Conn, st http.ConnState) {
			switch st {
			case http.StateNew:
				conns.Add(1)
			case http.StateClosed, http.StateHijacked:
				defer conns.Done()
			default:
			}
			ln.ConnState(c, st)
		},
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	tb.Cleanup(func() {
		if err := srv.Close(); err != nil {
			tb.Error(err)
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			tb.Error(err)
		}
		conns.Wait()
	})
	return s
}

func sum(b []byte) (n uint32) {
	for _, x := range b {
		n = n*31 + uint32(x)
	}
	return n
}

func (c *client) http(method, path string, body []byte) {
	c.tb.Helper()
	c.put(fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", method, path, len(body)), body)
	r := c.answer()
	if want := fmt.Sprintf("%s %s %d %x", method, path, len(body), sum(body)); r.status != http.StatusOK || r.body != want {
		c.tb.Fatalf("%d %q, want %q", r.status, r.body, want)
	}
}

// TestHandOver: plain HTTP on the same port is net/http's affair, whatever of the request was read before it was known.
func TestHandOver(t *testing.T) {
	s := plane(t, &fake{}, Config{Loops: 2})
	big := bytes.Repeat([]byte("0123456789"), 30000)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			cl := dial(t, s.addr)
			for i := range 3 { // on one connection
				cl.http("GET", fmt.Sprintf("/get/%d", i), nil)
				cl.http("POST", fmt.Sprintf("/post/%d", i), big)
			}
			_ = cl.Close()
		})
	}
	wg.Wait()
	cl := dial(t, s.addr)
	for _, b := range []byte("POST /slowly HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhel") {
		cl.put([]byte{b})
	}
	cl.put([]byte("lo"))
	if r := cl.answer(); !strings.HasPrefix(r.body, "POST /slowly 5 ") {
		t.Errorf("body %q", r.body)
	}
	eventually(t, "empty slabs", func() bool { n := s.Stats(); return n.Conns == 0 && n.Closed[HandedOver] == 9 })
	sock, _ := s.join()
	sock.say("on the same port")
	sock.expect(ws.OpText, "on the same port")
}

// TestHandOverEnds: the client sees the end when net/http closes, though our number of the socket rests for a while.
func TestHandOverEnds(t *testing.T) {
	s := plane(t, &fake{}, Config{})
	for i := range 20 {
		cl := dial(t, s.addr)
		cl.put([]byte("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
		cl.answer()
		cl.ends()
		if i%4 == 0 {
			sock, _ := s.join() // takes numbers that come free
			sock.say("x")
			sock.expect(ws.OpText, "x")
		}
	}
	eventually(t, "empty slots", func() bool { return s.Stats().Conns == 5 })
}

// TestHandOverIsBounded: who comes when too many wait for net/http is told to come again.
func TestHandOverIsBounded(t *testing.T) {
	const most = 4
	s := start(t, &fake{}, Config{Limits: Limits{HTTPConns: most}}) // and nobody accepts
	waiting := make([]*client, most)
	for i := range waiting {
		waiting[i] = dial(t, s.addr)
		waiting[i].put([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
	}
	eventually(t, "a full queue", func() bool { return s.Stats().Closed[HandedOver] == most })
	cl := dial(t, s.addr)
	cl.put([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
	r := cl.answer()
	if r.status != http.StatusServiceUnavailable || r.header.Get("Retry-After") == "" || !has(r.body, "busy") {
		t.Errorf("%+v", r)
	}
	cl.ends()
	sock, _ := s.join()
	sock.say("not affected")
	sock.expect(ws.OpText, "not affected")
}
