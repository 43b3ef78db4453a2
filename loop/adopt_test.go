package loop

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"sync"
	"testing"

	"fanfare/loop/http1"
	"fanfare/loop/ws"
)

// returning is a server whose net/http gives upgrades back.
func returning(tb testing.TB, f *fake, cfg Config) *server {
	tb.Helper()
	s := start(tb, f, cfg)
	ln := s.HTTP(0)
	var conns sync.WaitGroup
	srv := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Upgrade") == "" {
				_, _ = io.WriteString(w, r.URL.Path)
				return
			}
			head, err := httputil.DumpRequest(r, false)
			if err != nil {
				tb.Error(err)
				return
			}
			nc, brw, err := http.NewResponseController(w).Hijack()
			if err != nil {
				tb.Error(err)
				return
			}
			behind, err := brw.Peek(brw.Reader.Buffered())
			if err != nil {
				tb.Error(err)
			}
			if err := s.Adopt(nc, append(head, behind...), 0); err != nil {
				_, _ = io.WriteString(nc, "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
				_ = nc.Close()
			}
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

// TestAdopt: an upgrade on a connection that has spoken HTTP is a WebSocket like any other, and what came behind it is its first
// message. It counts once.
func TestAdopt(t *testing.T) {
	s := returning(t, &fake{}, Config{Loops: 2})
	for i, path := range []string{"/a", "/b", "/c", "/d"} {
		cl := dial(t, s.addr)
		for range 2 {
			cl.put([]byte("GET /plain HTTP/1.1\r\nHost: x\r\n\r\n"))
			if r := cl.answer(); r.body != "/plain" {
				t.Fatalf("%+v", r)
			}
		}
		if i%2 == 0 {
			cl.put([]byte(upgradeOf(path)), masked(ws.OpText, "first"))
		} else {
			cl.request(path)
		}
		cl.upgraded()
		if i%2 == 0 {
			cl.expect(ws.OpText, "first")
		}
		cl.say("second")
		cl.expect(ws.OpText, "second")
		c := s.conn(s.ref(path))
		on(t, c.loop, func() {
			if !c.Local() || c.Listener() != 0 || c.Remote().String() != cl.LocalAddr().String() {
				t.Errorf("local %t, listener %d, remote %s", c.Local(), c.Listener(), c.Remote())
			}
		})
	}
	eventually(t, "the counts", func() bool {
		n := s.Stats()
		return n.Accepted == 4 && n.Adopted == 4 && n.Upgraded == 4 && n.HTTP == 0 && n.Conns == 4 && s.gate.open.Load() == 4
	})
	if a, b := s.loops[0].load.Load(), s.loops[1].load.Load(); a != 2 || b != 2 {
		t.Errorf("loads %d and %d", a, b)
	}
}

// TestAdoptBadHead: a request that net/http lets pass and we do not is refused as ever.
func TestAdoptBadHead(t *testing.T) {
	s := returning(t, &fake{}, Config{})
	cl := dial(t, s.addr)
	cl.put([]byte("GET /plain HTTP/1.1\r\nHost: x\r\n\r\n"))
	cl.answer()
	cl.put([]byte("GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 12\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"))
	cl.refused(http.StatusUpgradeRequired)
}

// TestAdoptRefuses what is not from its listeners, and everybody while the group drains; the connection stays the caller's.
func TestAdoptRefuses(t *testing.T) {
	s := returning(t, &fake{}, Config{})
	a, b := net.Pipe()
	if err := s.Adopt(a, nil, 0); err == nil {
		t.Error("adopted a pipe")
	}
	if err := s.Adopt(&http1.Conn{Conn: a}, nil, 1); err == nil || !has(err.Error(), "no listener 1") {
		t.Error(err)
	}
	if err := s.Adopt(&http1.Conn{Conn: a}, nil, 0); err == nil {
		t.Error("adopted a pipe within an http1.Conn")
	}
	_, _ = a.Close(), b.Close()
	cl := dial(t, s.addr)
	cl.put([]byte("GET /plain HTTP/1.1\r\nHost: x\r\n\r\n"))
	cl.answer()
	s.Drain(t.Context(), Drain{})
	cl.request("/too-late")
	cl.refused(http.StatusServiceUnavailable)
	if n := s.gate.open.Load(); n != 0 {
		t.Errorf("%d places taken", n)
	}
}

// TestAdoptPipelined: what came in one go with a plain request is not lost, however much of it net/http had not read.
func TestAdoptPipelined(t *testing.T) {
	s := returning(t, &fake{}, Config{})
	cl := dial(t, s.addr)
	long := string(payload(7, 20000)) // more than net/http buffers
	cl.put([]byte("GET /plain HTTP/1.1\r\nHost: x\r\n\r\n"), []byte(upgradeOf("/up")), masked(ws.OpBinary, long), masked(ws.OpText, "last"))
	if r := cl.answer(); r.body != "/plain" {
		t.Fatalf("%+v", r)
	}
	cl.upgraded()
	cl.expect(ws.OpBinary, long)
	cl.expect(ws.OpText, "last")
}
