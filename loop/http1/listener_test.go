package http1

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// descriptors counts the open descriptors of the process.
func descriptors(t *testing.T) int {
	t.Helper()
	d, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	return len(d)
}

// plane is an http.Server behind a Listener, and a socket that clients connect to.
type plane struct {
	*Listener
	server *http.Server
	socket net.Listener
	served chan error
	hook   chan http.ConnState
	conns  sync.WaitGroup // those that the server has not closed or given away
}

func newPlane(t *testing.T, network string, maximum int, h http.HandlerFunc) *plane {
	t.Helper()
	before := descriptors(t)
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "s")
	}
	socket, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	p := &plane{Listener: NewListener(socket.Addr(), maximum), socket: socket, served: make(chan error, 1), hook: make(chan http.ConnState, 8*maximum+64)}
	p.server = &http.Server{Handler: h, ConnState: func(c net.Conn, st http.ConnState) {
		switch st {
		case http.StateNew:
			p.conns.Add(1)
		case http.StateClosed, http.StateHijacked:
			defer p.conns.Done()
		default:
		}
		p.ConnState(c, st)
		p.hook <- st
	}}
	go func() { p.served <- p.server.Serve(p.Listener) }()
	t.Cleanup(func() {
		_ = socket.Close()
		if err := p.server.Close(); err != nil {
			t.Error(err)
		}
		if err := <-p.served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
		p.conns.Wait()
		if p.Open() != 0 {
			t.Errorf("%d open after the server", p.Open())
		}
		if after := descriptors(t); after > before {
			t.Errorf("%d descriptors before, %d after", before, after)
		}
	})
	return p
}

// await waits for a connection to get into the state.
func (p *plane) await(t *testing.T, want http.ConnState) {
	t.Helper()
	for st := range p.hook {
		if st == want {
			return
		}
	}
}

// dial opens a connection to the server: the client's end, and a descriptor of the server's end as a loop would have it.
func (p *plane) dial(t *testing.T) (client net.Conn, fd int) {
	t.Helper()
	client, err := net.Dial(p.socket.Addr().Network(), p.socket.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	c, err := p.socket.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	f, ok := c.(interface{ File() (*os.File, error) })
	if !ok {
		t.Fatalf("%T", c)
	}
	raw, err := f.File()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = raw.Close() }()
	if fd, err = unix.FcntlInt(raw.Fd(), unix.F_DUPFD_CLOEXEC, 0); err != nil {
		t.Fatal(err)
	}
	if err = unix.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	return client, fd
}

// hand dials and pushes, with the bytes that the loop is to have read.
func (p *plane) hand(t *testing.T, read string) net.Conn {
	t.Helper()
	client, fd := p.dial(t)
	if !p.Push(fd, []byte(read)) {
		t.Fatal("not taken")
	}
	return client
}

// answer reads one response.
func answer(t *testing.T, r *bufio.Reader) (status int, body string) {
	t.Helper()
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

func echo(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	_, _ = fmt.Fprintf(w, "%s %s %d %t", r.Method, r.RequestURI, len(b), r.RemoteAddr != "")
}

func TestHandOver(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			p := newPlane(t, network, 8, echo)
			if p.Addr() != p.socket.Addr() {
				t.Error(p.Addr())
			}
			// The head and a part of the body have been read by the loop; the rest of 300 KB is in the socket.
			body := strings.Repeat("x", 300<<10)
			c := p.hand(t, fmt.Sprintf("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", len(body), body[:5000]))
			if _, err := io.WriteString(c, body[5000:]); err != nil {
				t.Fatal(err)
			}
			r := bufio.NewReader(c)
			if status, got := answer(t, r); status != 200 || got != fmt.Sprintf("POST /a %d true", len(body)) {
				t.Errorf("%d %q", status, got)
			}
			// The connection is kept, for requests that come one by one and for those that come together.
			for range 3 {
				_, _ = io.WriteString(c, get())
				if status, got := answer(t, r); status != 200 || got != "GET / 0 true" {
					t.Errorf("%d %q", status, got)
				}
			}
			_, _ = io.WriteString(c, get()+lines("GET /b HTTP/1.1", "Host: h"))
			_, _ = answer(t, r)
			if status, got := answer(t, r); status != 200 || got != "GET /b 0 true" {
				t.Errorf("%d %q", status, got)
			}
			if p.Open() != 1 {
				t.Errorf("%d open", p.Open())
			}
			_ = c.Close()
			p.await(t, http.StateClosed)
		})
	}
}

// All requests were read by the loop before it handed over, and nothing more comes.
func TestReplayOfSeveral(t *testing.T) {
	p := newPlane(t, "tcp", 8, echo)
	r := bufio.NewReader(p.hand(t, get()+lines("GET /b HTTP/1.1", "Host: h")+lines("GET /c HTTP/1.1", "Host: h")))
	for _, path := range []string{"/", "/b", "/c"} {
		if status, got := answer(t, r); status != 200 || got != "GET "+path+" 0 true" {
			t.Errorf("%d %q", status, got)
		}
	}
}

func TestReplayInPieces(t *testing.T) {
	a, b := net.Pipe()
	l := NewListener(nil, 1)
	l.open = 1
	c := &Conn{Conn: a, l: l, read: []byte("hello")}
	go func() {
		_, _ = io.WriteString(b, " world")
		_ = b.Close()
	}()
	one := make([]byte, 1)
	if n, err := c.Read(one); n != 1 || err != nil || string(c.Unread()) != "ello" {
		t.Errorf("%d %v %q", n, err, c.Unread())
	}
	if got, err := io.ReadAll(c); err != nil || string(got) != "ello world" || c.Unread() != nil {
		t.Errorf("%q %v", got, err)
	}
	if c.RemoteAddr() == nil || !errors.Is(c.CloseWrite(), errors.ErrUnsupported) {
		t.Error("not a socket")
	}
	if _, err := c.SyscallConn(); !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
	if _ = c.Close(); c.Close() != nil || l.Open() != 0 {
		t.Error("closed twice")
	}
}

// An upgrade on a connection that net/http has: whoever hijacks it finds the socket and all bytes.
func TestHijack(t *testing.T) {
	type result struct {
		unread int
		err    error
	}
	got := make(chan result, 1)
	extra := strings.Repeat("x", 10000) // more than the server buffers
	p := newPlane(t, "tcp", 8, func(w http.ResponseWriter, _ *http.Request) {
		nc, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			got <- result{err: err}
			return
		}
		c, ok := nc.(*Conn)
		if !ok {
			got <- result{err: fmt.Errorf("hijacked a %T", nc)}
			return
		}
		_, err = c.SyscallConn()
		got <- result{rw.Reader.Buffered() + len(c.Unread()), err}
		_ = nc.Close()
	})
	c := p.hand(t, get("Connection: Upgrade", "Upgrade: websocket")+extra)
	if r := <-got; r.err != nil || r.unread != len(extra) {
		t.Errorf("%+v", r)
	}
	if _, err := io.ReadAll(c); err != nil && !errors.Is(err, unix.ECONNRESET) {
		t.Error(err)
	}
	if p.Open() != 0 {
		t.Errorf("%d open", p.Open())
	}
}

// Idle connections cannot keep others out: each new one takes the place of the one idle longest.
func TestEviction(t *testing.T) {
	const maximum = 64
	p := newPlane(t, "tcp", maximum, echo)
	var clients []*bufio.Reader
	var conns []net.Conn
	open := func() {
		c := p.hand(t, get())
		r := bufio.NewReader(c)
		clients, conns = append(clients, r), append(conns, c)
		if status, _ := answer(t, r); status != 200 {
			t.Fatalf("connection %d: status %d", len(clients), status)
		}
		p.await(t, http.StateIdle)
	}
	for range maximum {
		open()
	}
	// The first becomes the one idle shortest.
	_, _ = io.WriteString(conns[0], get())
	_, _ = answer(t, clients[0])
	p.await(t, http.StateIdle)
	for range maximum / 2 {
		open()
		if p.Open() != maximum {
			t.Fatalf("%d open", p.Open())
		}
	}
	for i, r := range clients {
		evicted := i > 0 && i <= maximum/2
		if evicted {
			if _, err := r.ReadByte(); !errors.Is(err, io.EOF) {
				t.Errorf("connection %d is open: %v", i, err)
			}
			continue
		}
		_, _ = io.WriteString(conns[i], get())
		if status, _ := answer(t, r); status != 200 {
			t.Errorf("connection %d: status %d", i, status)
		}
	}
}

// Over a thousand idle connections at the default bound.
func TestEvictionAtScale(t *testing.T) {
	const maximum = 1024
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err != nil || lim.Cur < 4*maximum {
		t.Skip("too few descriptors")
	}
	p := newPlane(t, "unix", maximum, echo)
	for range maximum + 100 {
		c := p.hand(t, get())
		if status, _ := answer(t, bufio.NewReader(c)); status != 200 {
			t.Fatal(status)
		}
		p.await(t, http.StateIdle)
	}
	if p.Open() != maximum {
		t.Errorf("%d open", p.Open())
	}
}

// When all connections are at work a new one is told so.
func TestRefusal(t *testing.T) {
	enter, leave := make(chan bool), make(chan bool)
	p := newPlane(t, "tcp", 2, func(http.ResponseWriter, *http.Request) {
		enter <- true
		<-leave
	})
	for range 2 {
		p.hand(t, get())
		<-enter
	}
	c := p.hand(t, get())
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusServiceUnavailable || !res.Close || res.Header.Get("Retry-After") == "" {
		t.Errorf("%d %v", res.StatusCode, res.Header)
	}
	if p.Open() != 2 {
		t.Errorf("%d open", p.Open())
	}
	close(leave)
}

func TestBacklog(t *testing.T) {
	before := descriptors(t)
	l := NewListener(&net.UnixAddr{}, 2)
	var ours []int
	for i := range 3 {
		p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		ours = append(ours, p[1])
		if taken := l.Push(p[0], nil); taken != (i < 2) {
			t.Errorf("%d: %v", i, taken)
		}
		if i == 2 {
			ours = append(ours, p[0])
		}
	}
	// One of the waiting ones is accepted, a pair of sockets without any name.
	c, err := l.Accept()
	if err != nil || c.RemoteAddr() == nil || c.RemoteAddr().Network() != "unix" || l.Open() != 1 {
		t.Fatal(err, l.Open())
	}
	_ = c.RemoteAddr().String()
	if s, ok := c.(*Conn); !ok || s.CloseWrite() != nil {
		t.Error("CloseWrite")
	}
	_ = c.Close()
	// The other one is closed with the Listener.
	for range 2 {
		if err = l.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err = l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	if l.Push(ours[0], nil) {
		t.Error("taken after Close")
	}
	for _, fd := range ours {
		_ = unix.Close(fd)
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

// What is not a socket is closed and does not end Accept.
func TestNotASocket(t *testing.T) {
	before := descriptors(t)
	l := NewListener(&net.UnixAddr{}, 2)
	fd, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	if !l.Push(fd, nil) || !l.Push(-1, nil) {
		t.Fatal("not taken")
	}
	accepted := make(chan error)
	go func() {
		_, err := l.Accept()
		accepted <- err
	}()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	for !l.Push(pair[0], nil) { // until Accept has taken one of the others
	}
	if err := <-accepted; err != nil || l.Open() != 1 {
		t.Error(err, l.Open())
	}
	_ = l.Close()
	_ = unix.Close(pair[1])
	if after := descriptors(t); after > before+1 { // the accepted one is garbage
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

// Push, Accept and Close at once: whatever the order, each descriptor is closed and each client sees the end.
func TestCloseRace(t *testing.T) {
	before := descriptors(t)
	for range 50 {
		l := NewListener(&net.UnixAddr{}, 4)
		var wg sync.WaitGroup
		wg.Go(func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				_ = c.Close()
			}
		})
		for range 3 {
			wg.Go(func() {
				for range 5 {
					pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
					if err != nil {
						t.Error(err)
						return
					}
					if !l.Push(pair[0], nil) {
						_ = unix.Close(pair[0])
					}
					_ = unix.Close(pair[1])
				}
			})
		}
		wg.Go(func() { _ = l.Close() })
		wg.Wait()
		if l.Open() != 0 {
			t.Fatalf("%d open", l.Open())
		}
	}
	if after := descriptors(t); after > before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

// tlsLike stands for a connection wrapped by TLS.
type tlsLike struct{ net.Conn }

func (c tlsLike) NetConn() net.Conn { return c.Conn }

func TestConnState(t *testing.T) {
	l, other := NewListener(nil, 1), NewListener(nil, 1)
	c := &Conn{l: l}
	l.open = 1
	for _, st := range []http.ConnState{http.StateNew, http.StateActive, http.StateIdle, http.StateIdle, http.StateActive, http.StateIdle} {
		l.ConnState(tlsLike{c}, st)
		other.ConnState(c, st)
		want := 0
		if st == http.StateIdle {
			want = 1
		}
		if l.idle.Len() != want || other.idle.Len() != 0 {
			t.Errorf("%v: %d idle", st, l.idle.Len())
		}
	}
	l.ConnState(c, http.StateHijacked)
	l.ConnState(&net.TCPConn{}, http.StateIdle)
	c.closed = true
	l.ConnState(c, http.StateIdle)
	if l.idle.Len() != 0 {
		t.Errorf("%d idle", l.idle.Len())
	}
}

func BenchmarkPush(b *testing.B) {
	l := NewListener(nil, 1)
	read := bytes.Repeat([]byte("x"), 10)
	b.ReportAllocs()
	for b.Loop() {
		if !l.Push(0, read) {
			b.Fatal("full")
		}
		<-l.queue
	}
}

// TestHeld: those that wait and those that the server has, each until it ends.
func TestHeld(t *testing.T) {
	l := NewListener(&net.TCPAddr{}, 2)
	held := func(want int64) {
		t.Helper()
		if n := l.Held(); n != want {
			t.Errorf("%d held, want %d", n, want)
		}
	}
	fds := make([]int, 0, 8)
	fd := func() int {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		fds = append(fds, pair[1])
		return pair[0]
	}
	defer func() {
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
	}()
	held(0)
	for range 2 {
		if !l.Push(fd(), nil) {
			t.Fatal("not taken")
		}
	}
	held(2)
	third := fd()
	if l.Push(third, nil) {
		t.Error("a third one waits")
	}
	held(2)
	first, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	second, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	held(2)
	if !l.Push(third, nil) {
		t.Fatal("not taken")
	}
	held(3)
	ended := make(chan struct{})
	go func() { // it is refused, since none is idle
		defer close(ended)
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	}()
	for l.Held() != 2 {
		runtime.Gosched()
	}
	if first.Close() != nil || second.Close() != nil {
		t.Error("not closed")
	}
	held(0)
	_ = l.Close()
	<-ended
	last := fd()
	if l.Push(last, nil) {
		t.Error("taken after the end")
	}
	_ = unix.Close(last)
	held(0)
}
