package loop

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// inherited gives the descriptor of a listening socket as another process would leave it: blocking.
func inherited(tb testing.TB, network, addr string) int {
	tb.Helper()
	ln, err := net.Listen(network, addr)
	if err != nil {
		tb.Fatal(err)
	}
	if u, ok := ln.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	sock, ok := ln.(interface{ File() (*os.File, error) })
	if !ok {
		tb.Fatal("no file")
	}
	f, err := sock.File()
	if err != nil {
		tb.Fatal(err)
	}
	fd, err := unix.Dup(int(f.Fd()))
	if err != nil {
		tb.Fatal(err)
	}
	_, _ = f.Close(), ln.Close()
	if err := unix.SetNonblock(fd, false); err != nil {
		tb.Fatal(err)
	}
	return fd
}

// TestListenFD: an inherited socket is served like one of ours, by every loop; a unix socket's file stays.
func TestListenFD(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	for network, addr := range map[string]string{"tcp": "127.0.0.1:0", "unix": path} {
		t.Run(network, func(t *testing.T) {
			f := &fake{}
			t.Cleanup(func() { f.check(t) })
			before := descriptors()
			g := group(t, Config{Loops: 2, Handler: f})
			fd := inherited(t, network, addr)
			index, bound, err := g.ListenFD(fd)
			if err != nil || index != 0 || bound.Network() != network || g.HTTP(0).Addr() != bound {
				t.Fatal(index, bound, err)
			}
			begin(t, g, before)
			s := &server{Group: g, fake: f, tb: t, addr: bound}
			loops := make(map[int]bool)
			for range 4 {
				_, ref := s.joinBy(dial(t, bound))
				loops[ref.Loop()] = true
			}
			if len(loops) != 2 {
				t.Errorf("served by loops %v", loops)
			}
			s.echoes(network, bound.String())
			flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
			if err != nil || flags&unix.FD_CLOEXEC == 0 {
				t.Errorf("descriptor flags %x, %v", flags, err)
			}
		})
	}
	if _, err := os.Lstat(path); err != nil {
		t.Error(err)
	}
}

// TestListenFDRefuses what is not a listening socket, and leaves it alone.
func TestListenFDRefuses(t *testing.T) {
	g := group(t, Config{Loops: 1, Handler: echo{}})
	defer discard(g)
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range []int{pair[0], pair[1], -1} {
		if _, _, err := g.ListenFD(fd); err == nil || !has(err.Error(), "not a listening socket") {
			t.Errorf("%d: %v", fd, err)
		}
	}
	if unix.Close(pair[0]) != nil || unix.Close(pair[1]) != nil {
		t.Error("a descriptor that was refused is closed")
	}
}
