package loop

import (
	"errors"
	"net"
	"testing"

	"golang.org/x/sys/unix"

	"fanfare/loop/ws"
)

// storm is this many descriptors that are ready at once.
const storm = 9000

// TestStorm: when thousands of descriptors are ready at once, netpoll takes 128 events at a time as before, says nothing, and
// everybody is served.
func TestStorm(t *testing.T) {
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err != nil {
		t.Fatal(err)
	}
	if need := uint64(2*storm + 200); lim.Max < need {
		t.Fatalf("at most %d descriptors, this test needs %d", lim.Max, need)
	}
	s := start(t, &fake{}, Config{})
	fds := make([]int, 0, storm)
	t.Cleanup(func() {
		for _, fd := range fds {
			_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
			_ = unix.Close(fd)
		}
		eventually(t, "an empty slab", func() bool { return s.Stats().Conns == 0 })
	})
	request := []byte(upgradeOf("/"))
	for range storm {
		fd := rawDial(t, s.addr)
		fds = append(fds, fd)
		if _, err := unix.Write(fd, request); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all upgrades", func() bool { return s.Stats().Upgraded == storm })
	buf := make([]byte, 4096)
	for _, fd := range fds {
		if n, err := rawRead(fd, buf); err != nil || n < 100 {
			t.Fatal(n, err)
		}
	}
	frame, echoed := masked(ws.OpText, "storm"), text("storm")
	for range 3 {
		release := hold(t, s.loop())
		for _, fd := range fds {
			if _, err := unix.Write(fd, frame); err != nil {
				t.Fatal(err)
			}
		}
		release()
		for _, fd := range fds {
			n, err := rawRead(fd, buf)
			if err != nil || string(buf[:n]) != string(echoed) {
				t.Fatalf("%q %v", buf[:max(n, 0)], err)
			}
		}
	}
	if n := batch(t, s.loop()); n != 128 {
		t.Errorf("netpoll takes %d events at once", n)
	}
	if words := netpollWords.String(); words != "" {
		t.Errorf("netpoll says %q", words)
	}
	release := hold(t, s.loop()) // half of them go at once
	for _, fd := range fds[:storm/2] {
		_ = unix.Shutdown(fd, unix.SHUT_RDWR)
	}
	release()
	eventually(t, "half of them", func() bool { return s.Stats().Conns == storm/2 })
	if n := batch(t, s.loop()); n != 128 {
		t.Errorf("netpoll takes %d events at once", n)
	}
}

// rawDial connects a socket that the Go runtime knows nothing of; reads give up after a while.
func rawDial(tb testing.TB, addr net.Addr) int {
	tb.Helper()
	a, ok := addr.(*net.TCPAddr)
	if !ok {
		tb.Fatal("not TCP")
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		tb.Fatal(err)
	}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: int64(patience.Seconds())}); err != nil {
		tb.Fatal(err)
	}
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: a.Port, Addr: [4]byte(a.IP.To4())}); err != nil {
		_ = unix.Close(fd)
		tb.Fatal(err)
	}
	return fd
}

// rawRead is read(2), which a signal does not end.
func rawRead(fd int, p []byte) (n int, err error) {
	for n, err = unix.Read(fd, p); errors.Is(err, unix.EINTR); {
		n, err = unix.Read(fd, p)
	}
	return n, err
}
