package loop

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fanfare/loop/ws"
)

// listening serves addr with two loops.
func listening(tb testing.TB, addr string) *server {
	tb.Helper()
	f := &fake{}
	tb.Cleanup(func() { f.check(tb) })
	before := descriptors()
	g := group(tb, Config{Loops: 2, Handler: f})
	_, bound, err := g.Listen(addr)
	if err != nil {
		discard(g)
		tb.Fatal(err)
	}
	begin(tb, g, before)
	return &server{Group: g, fake: f, tb: tb, addr: bound}
}

// discard gives back what a group that was never started holds.
func discard(g *Group) {
	for _, l := range g.loops {
		for _, ln := range l.listeners {
			_ = unix.Close(ln.op.FD)
		}
		_ = errors.Join(unix.Close(l.door.FD), unix.Close(l.ticker.FD), unix.Close(l.spare))
	}
}

func (s *server) echoes(network, addr string) {
	s.tb.Helper()
	conn, err := net.DialTimeout(network, addr, patience)
	if err != nil {
		s.tb.Fatal(err)
	}
	_ = conn.Close()
	cl := dial(s.tb, bound{network, addr})
	cl, ref := s.joinBy(cl)
	cl.say("hello")
	cl.expect(ws.OpText, "hello")
	if !ask(s.tb, s.loops[ref.Loop()], func() bool { return s.loops[ref.Loop()].slab.find(ref).Local() }) {
		s.tb.Error("a peer on this machine is not local")
	}
}

// bound is an address in words.
type bound struct{ network, addr string }

func (b bound) Network() string { return b.network }
func (b bound) String() string  { return b.addr }

func port(a net.Addr) string { s := a.String(); return s[strings.LastIndexByte(s, ':')+1:] }

func TestListen(t *testing.T) {
	v6 := false
	if ln, err := net.Listen("tcp6", "[::1]:0"); err == nil {
		v6 = true
		_ = ln.Close()
	}
	t.Run("IPv4", func(t *testing.T) {
		s := listening(t, "127.0.0.1:0")
		s.echoes("tcp4", "127.0.0.1:"+port(s.addr))
	})
	t.Run("IPv6", func(t *testing.T) {
		if !v6 {
			return // this machine has none
		}
		s := listening(t, "[::1]:0")
		s.echoes("tcp6", "[::1]:"+port(s.addr))
		if conn, err := net.Dial("tcp4", "127.0.0.1:"+port(s.addr)); err == nil {
			t.Error("an IPv6 address is served on IPv4 too")
			_ = conn.Close()
		}
	})
	t.Run("both", func(t *testing.T) {
		s := listening(t, ":0")
		s.echoes("tcp4", "127.0.0.1:"+port(s.addr))
		if v6 {
			s.echoes("tcp6", "[::1]:"+port(s.addr))
		}
	})
	t.Run("both, written in IPv6", func(t *testing.T) {
		if !v6 {
			return
		}
		s := listening(t, "[::]:0")
		s.echoes("tcp4", "127.0.0.1:"+port(s.addr))
		s.echoes("tcp6", "[::1]:"+port(s.addr))
	})
	t.Run("every IPv4", func(t *testing.T) {
		s := listening(t, "0.0.0.0:0")
		s.echoes("tcp4", "127.0.0.2:"+port(s.addr))
	})
	t.Run("unix", func(t *testing.T) {
		s := listening(t, "unix:"+filepath.Join(t.TempDir(), "s"))
		for range 4 { // so that each loop gets some
			s.echoes("unix", s.addr.String())
		}
	})
}

// TestListenRefuses says which address it is that cannot be bound, and leaves nothing open.
func TestListenRefuses(t *testing.T) {
	s := listening(t, "127.0.0.1:0")
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	before := descriptors()
	g := group(t, Config{Loops: 2, Handler: echo{}})
	for addr, want := range map[string]error{
		s.addr.String():         syscall.EADDRINUSE, // also when the port is one of ours
		"192.0.2.1:0":           syscall.EADDRNOTAVAIL,
		"unix:" + dir + "/no/s": syscall.ENOENT,
		"unix:" + file:          syscall.EADDRINUSE,
		"unix:":                 nil,
		"no port":               nil,
		"127.0.0.1:99999":       nil,
		"unix:" + fmt.Sprint(dir, strings.Repeat("x", 200)): nil,
	} {
		_, _, err := g.Listen(addr)
		if err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", addr, err, want)
			continue
		}
		if want != nil && !has(err.Error(), strings.TrimPrefix(strings.TrimSuffix(addr, ":0"), "unix:")) {
			t.Errorf("%q does not name %s", err, addr)
		}
	}
	if _, err := os.Stat(file); err != nil {
		t.Error("a file that is no socket was removed")
	}
	if len(g.http) != 0 {
		t.Errorf("%d listeners", len(g.http))
	}
	discard(g)
	if after := descriptors(); len(after) > len(before) {
		t.Errorf("left open: %v", news(before, after))
	}
	s.echoes("tcp4", s.addr.String())
}

// TestUnixSocketFile: a stale one is replaced, a live one is refused, ours is removed at the end.
func TestUnixSocketFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	stale, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(unix.Bind(stale, &unix.SockaddrUnix{Name: path}), unix.Close(stale)); err != nil {
		t.Fatal(err)
	}
	t.Run("stale", func(t *testing.T) {
		s := listening(t, "unix:"+path)
		s.echoes("unix", path)
		g := group(t, Config{Loops: 1, Handler: echo{}})
		if _, _, err := g.Listen("unix:" + path); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("a live socket: %v", err)
		}
		discard(g)
		s.echoes("unix", path)
	})
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after the end: %v", err)
	}
}

// TestListeners: each has its index, which its connections tell, on every loop.
func TestListeners(t *testing.T) {
	f := &fake{}
	t.Cleanup(func() { f.check(t) })
	before := descriptors()
	g := group(t, Config{Loops: 2, Handler: f})
	addrs := make([]net.Addr, 0, 3)
	for i := range 3 {
		index, addr, err := g.Listen("127.0.0.1:0")
		if err != nil || index != i {
			t.Fatal(index, err)
		}
		addrs = append(addrs, addr)
	}
	begin(t, g, before)
	s := &server{Group: g, fake: f, tb: t}
	for i, addr := range addrs {
		loops := make(map[int]bool)
		for n := 0; len(loops) < 2; n++ {
			if n == 200 {
				t.Fatalf("200 connections, all on loops %v", loops)
			}
			_, ref := s.joinBy(dial(t, addr))
			loops[ref.Loop()] = true
			if where := ask(t, g.loops[ref.Loop()], func() int { return g.loops[ref.Loop()].slab.find(ref).Listener() }); where != i {
				t.Errorf("listener %d, want %d", where, i)
			}
		}
	}
}

// TestAcceptedSockets do not delay small frames, do not block and do not leak into child processes.
func TestAcceptedSockets(t *testing.T) {
	s := listening(t, "127.0.0.1:0")
	_, ref := s.join()
	l := s.loops[ref.Loop()]
	on(t, l, func() {
		fd := l.slab.find(ref).op.FD
		nodelay, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY)
		if err != nil || nodelay == 0 {
			t.Errorf("TCP_NODELAY %d, %v", nodelay, err)
		}
		for _, fd := range []int{fd, l.door.FD, l.ticker.FD, l.listeners[0].op.FD} {
			fdFlags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
			if err != nil || fdFlags&unix.FD_CLOEXEC == 0 {
				t.Errorf("descriptor flags %x, %v", fdFlags, err)
			}
			status, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
			if err != nil || status&unix.O_NONBLOCK == 0 {
				t.Errorf("status flags %x, %v", status, err)
			}
		}
	})
}

// TestOutOfDescriptors: without a descriptor to spare accepting pauses instead of spinning, who is connected is served, and it
// resumes by itself.
func TestOutOfDescriptors(t *testing.T) {
	s := start(t, &fake{}, Config{})
	cl, _ := s.join()
	addr, ok := s.addr.(*net.TCPAddr)
	if !ok {
		t.Fatal("not TCP")
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	on(t, s.loop(), func() {
		_ = unix.Close(s.loop().spare)
		s.loop().spare = -1
	})
	restore := exhaust(t)
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: addr.Port, Addr: [4]byte(addr.IP.To4())}); err != nil {
		restore()
		t.Fatal(err)
	}
	eventually(t, "a failed accept", func() bool { return s.Stats().AcceptErrors > 0 })
	began := time.Now()
	for i := range 100 { // the loop turns
		cl.say(strconv.Itoa(i))
		cl.expect(ws.OpText, strconv.Itoa(i))
	}
	eventually(t, "further attempts", func() bool { return s.Stats().AcceptErrors > 3 })
	if n, most := s.Stats().AcceptErrors, int64(time.Since(began)/tick)+4; n > most {
		t.Errorf("%d failed accepts in %s", n, time.Since(began))
	}
	if n := s.Stats().Accepted; n != 1 {
		t.Errorf("%d accepted", n)
	}
	restore()
	eventually(t, "an accept", func() bool { return s.Stats().Accepted == 2 })
	if _, err := unix.Write(fd, []byte(upgradeOf("/late"))); err != nil {
		t.Fatal(err)
	}
	eventually(t, "an upgrade", func() bool { return s.Stats().Upgraded == 2 })
}

// exhaust makes the process's next descriptor one too many.
func exhaust(tb testing.TB) (restore func()) {
	tb.Helper()
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err != nil {
		tb.Fatal(err)
	}
	lowest, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		tb.Fatal(err)
	}
	_ = unix.Close(lowest)
	few := unix.Rlimit{Cur: uint64(lowest), Max: lim.Max}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &few); err != nil {
		tb.Fatal(err)
	}
	restore = func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &lim); err != nil {
			tb.Error(err)
		}
	}
	tb.Cleanup(restore)
	return restore
}

// TestNew: what a group cannot be made of.
func TestNew(t *testing.T) {
	if _, err := New(Config{}); err == nil {
		t.Error("a group without a handler")
	}
	if _, err := New(Config{Handler: echo{}, Loops: maxLoops}); err == nil {
		t.Error("a group of too many loops")
	}
	g := group(t, Config{Handler: echo{}, Loops: 1})
	defer discard(g)
	l := g.loops[0].lim
	want := Limits{Backlog: 256 << 10, BacklogAge: 15 * time.Second, Handshake: 10 * time.Second, Unfinished: 30 * time.Second, Close: 5 * time.Second, HTTPConns: 1024}
	want.Request.Head, want.Request.Headers = 8<<10, 100
	want.Message.Message, want.Message.Frames = 64<<10, 1024
	if l != want {
		t.Errorf("limits %+v", l)
	}
	for range 256 {
		g.http = append(g.http, nil)
	}
	if _, _, err := g.Listen("127.0.0.1:0"); err == nil {
		t.Error("a 257th listener")
	}
}
