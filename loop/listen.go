package loop

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/cloudwego/netpoll"
	"golang.org/x/sys/unix"
)

const (
	acceptsPerEvent = 64
	listenBacklog   = 4096 // the kernel caps it at net.core.somaxconn
)

// listener is one listening socket of one loop.
type listener struct {
	op     netpoll.FDOperator
	loop   *Loop
	where  uint8
	spread bool // a unix socket, which the kernel cannot share out: its connections are posted to all loops in turn
	next   int
	paused bool // out of descriptors; the next tick tries again
}

// start registers the listener; on its loop.
func (ln *listener) start() error {
	fd := ln.op.FD
	ln.op = ln.loop.tmpl
	ln.op.FD, ln.op.OnRead = fd, ln.onReady
	return ln.loop.poll.Control(&ln.op, netpoll.PollReadable)
}

func (ln *listener) onReady(netpoll.Poll) error {
	l := ln.loop
	l.own()
	defer l.caught(nil)
	for range acceptsPerEvent {
		fd, local, e := sysAccept(ln.op.FD)
		switch e {
		case 0:
			ln.take(fd, local)
		case syscall.EINTR, syscall.ECONNABORTED:
		case syscall.EAGAIN:
			return nil
		default: // out of descriptors or memory: without a pause the event would come again at once, for ever
			l.count.acceptErrors++
			ln.paused = true
			return l.poll.Control(&ln.op, netpoll.PollDetach)
		}
	}
	return nil
}

func (ln *listener) take(fd int, local bool) {
	if !ln.spread {
		ln.loop.adopt(fd, ln.where, local)
		return
	}
	loops := ln.loop.group.loops
	to := loops[ln.next%len(loops)]
	ln.next++
	if to == ln.loop {
		to.adopt(fd, ln.where, local)
		return
	}
	to.post(0, func(*Conn) { to.adopt(fd, ln.where, local) })
}

func (ln *listener) resume() {
	if ln.paused {
		ln.paused = ln.loop.poll.Control(&ln.op, netpoll.PollReadable) != nil
	}
}

// bind opens one listening socket per loop, or a single one for a unix socket, and gives the address that was bound.
func bind(addr string, loops int) (fds []int, bound net.Addr, err error) {
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		fd, err := bindUnix(path)
		return []int{fd}, &net.UnixAddr{Name: path, Net: "unix"}, err
	}
	tcp, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return nil, nil, err
	}
	if fds, err = bindAll(tcp, loops); err != nil {
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
		return nil, nil, err
	}
	return fds, tcp, nil
}

// bindAll binds one socket per loop, then lets them all listen. What is open when it fails is given back.
func bindAll(tcp *net.TCPAddr, loops int) (fds []int, err error) {
	for range loops {
		fd, err := bindTCP(tcp, len(fds) > 0)
		if err != nil {
			return fds, err
		}
		fds = append(fds, fd)
		if tcp.Port == 0 { // the first loop's port is everybody's
			if tcp.Port, err = boundPort(fd); err != nil {
				return fds, err
			}
		}
	}
	for _, fd := range fds {
		if err := unix.Listen(fd, listenBacklog); err != nil {
			return fds, fmt.Errorf("listen %s: %w", tcp, err)
		}
	}
	return fds, nil
}

// bindTCP binds one socket. The first one binds alone, so that a second server cannot share the port unnoticed; it allows
// others only afterwards, and those are ours: the kernel lets in sockets of the same user that ask for it.
func bindTCP(a *net.TCPAddr, share bool) (fd int, err error) {
	family, sa := sockaddr(a)
	fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if errors.Is(err, unix.EAFNOSUPPORT) && a.IP == nil {
		a.IP = net.IPv4zero
		return bindTCP(a, share)
	}
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	set := func(level, opt, v int) {
		if err == nil {
			err = unix.SetsockoptInt(fd, level, opt, v)
		}
	}
	set(unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	set(unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) // accepted sockets inherit it
	if family == unix.AF_INET6 {
		only := 1
		if a.IP == nil || a.IP.IsUnspecified() { // [::] is everything, as for any Go program
			only = 0
		}
		set(unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, only)
	}
	if share {
		set(unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	}
	if err == nil {
		err = unix.Bind(fd, sa)
	}
	set(unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	if err != nil {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("bind %s: %w", a, err)
	}
	return fd, nil
}

//nolint:ireturn // what unix.Bind takes
func sockaddr(a *net.TCPAddr) (int, unix.Sockaddr) {
	if ip := a.IP.To4(); ip != nil {
		return unix.AF_INET, &unix.SockaddrInet4{Port: a.Port, Addr: [4]byte(ip)}
	}
	sa := &unix.SockaddrInet6{Port: a.Port}
	copy(sa.Addr[:], a.IP.To16())
	if ifi, err := net.InterfaceByName(a.Zone); err == nil && a.Zone != "" {
		sa.ZoneId = uint32(ifi.Index)
	}
	return unix.AF_INET6, sa
}

func boundPort(fd int) (int, error) {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return 0, err
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return sa.Port, nil
	case *unix.SockaddrInet6:
		return sa.Port, nil
	}
	return 0, errors.New("not an internet socket")
}

// bindUnix binds a unix socket. A file that nobody listens on any more is replaced; one in use is an error.
func bindUnix(path string) (int, error) {
	if path == "" {
		return -1, errors.New("unix: an address needs a path, as in unix:/run/fanfare.sock")
	}
	if err := clearStale(path); err != nil {
		return -1, err
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	if err = unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err == nil {
		err = unix.Listen(fd, listenBacklog)
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("bind unix:%s: %w", path, err)
	}
	return fd, nil
}

func clearStale(path string) error {
	info, err := os.Lstat(path)
	if err != nil || info.Mode()&os.ModeSocket == 0 {
		return nil //nolint:nilerr // no such file: nothing to clear; another kind of file: bind says so
	}
	conn, err := net.Dial("unix", path) //nolint:noctx // answers at once: a local socket
	if err == nil {
		_ = conn.Close()
		return fmt.Errorf("bind unix:%s: %w", path, syscall.EADDRINUSE)
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return os.Remove(path)
	}
	return nil
}
