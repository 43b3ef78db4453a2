package loop

import (
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/cloudwego/netpoll"
	"golang.org/x/sys/unix"
)

const (
	acceptsPerEvent = 64
	listenBacklog   = 4096 // the kernel caps it at net.core.somaxconn
	skewFrom        = 64   // connections up to which a loop is not too full
	skewPercent     = 20   // that the fullest loop may have more than the emptiest
	hung            = 2 * time.Second
)

// listener is one listening socket of one loop.
type listener struct {
	op     netpoll.FDOperator
	loop   *Loop
	where  uint8
	spread bool // a socket of its own, which the kernel cannot share out: its connections are posted to all loops in turn
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
	defer l.spent(l.group.clock())
	defer l.caught(nil)
	if ln.op.FD >= 0 { // else it was closed in this batch of events
		ln.accept()
	}
	return nil
}

// accept takes a bounded number of those that wait, and reports whether there may be more.
func (ln *listener) accept() bool {
	l := ln.loop
	for range acceptsPerEvent {
		fd, local, e := sysAccept(ln.op.FD)
		switch e {
		case 0:
			ln.take(fd, local)
		case syscall.EINTR, syscall.ECONNABORTED:
		case syscall.EAGAIN:
			return false
		case syscall.EMFILE, syscall.ENFILE:
			l.count.acceptErrors++
			if more, ok := ln.sacrifice(); ok && more {
				continue
			} else if !ok {
				ln.pause()
			}
			return false
		default:
			l.count.acceptErrors++
			ln.pause()
			return false
		}
	}
	return true
}

// pause: out of descriptors or memory the event would come again at once, for ever.
func (ln *listener) pause() {
	if !ln.paused {
		ln.paused = true
		_ = ln.loop.poll.Control(&ln.op, netpoll.PollDetach)
	}
}

func (ln *listener) take(fd int, local bool) {
	l := ln.loop
	if why, ok := l.group.admit(); !ok {
		l.refuse(fd, why)
		return
	}
	l.count.accepted++
	to := ln.place()
	to.expect()
	if to == l {
		l.adopt(fd, ln.where, local)
		return
	}
	to.post(0, func(*Conn) { to.adopt(fd, ln.where, local) })
}

// place chooses the loop for a new connection: the kernel's choice, or in turn, but the emptiest when they have become uneven.
func (ln *listener) place() *Loop {
	l := ln.loop
	loops, to := l.group.loops, l
	if ln.spread {
		to = loops[ln.next%len(loops)]
		ln.next++
	}
	most := int64(0)
	for _, l := range loops {
		most = max(most, l.load.Load())
	}
	if most <= skewFrom {
		return to
	}
	if least := l.group.emptiest(); least != to && skewed(most, least.load.Load()) {
		l.count.moved++
		return least
	}
	return to
}

func skewed(most, least int64) bool { return most > skewFrom && most*100 > least*(100+skewPercent) }

// emptiest is the loop with the fewest connections, of those that turn: one that hangs would get everybody. When all hang (the
// process was stopped, say) it is the first.
func (g *Group) emptiest() *Loop {
	least, fewest := g.loops[0], int64(math.MaxInt64)
	now := g.clock()
	for _, l := range g.loops {
		if n := l.load.Load(); n < fewest && now-l.pulse.ticked.Load() < int64(hung) {
			least, fewest = l, n
		}
	}
	return least
}

func (ln *listener) resume() {
	if ln.paused && ln.op.FD >= 0 {
		ln.paused = ln.loop.poll.Control(&ln.op, netpoll.PollReadable) != nil
	}
}

// listen adds a listening socket to the loop.
func (l *Loop) listen(fd, index int, spread bool) {
	ln := &listener{loop: l, where: uint8(index), spread: spread}
	ln.op.FD = fd
	l.listeners = append(l.listeners, ln)
}

// inherit makes a listening socket that came from another process like one of ours.
func inherit(fd int) (net.Addr, error) {
	if is, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil || is == 0 {
		return nil, errors.Join(errors.New("not a listening socket"), err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return nil, err
	}
	var bound net.Addr
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		bound = &net.TCPAddr{IP: sa.Addr[:], Port: sa.Port}
	case *unix.SockaddrInet6:
		bound = &net.TCPAddr{IP: sa.Addr[:], Port: sa.Port}
	case *unix.SockaddrUnix:
		bound = &net.UnixAddr{Name: sa.Name, Net: "unix"}
	default:
		return nil, errors.New("neither a TCP nor a unix socket")
	}
	if bound.Network() == "tcp" {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	}
	unix.CloseOnExec(fd)
	return bound, errors.Join(err, unix.SetNonblock(fd, true))
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
