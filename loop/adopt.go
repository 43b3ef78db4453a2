package loop

import (
	"errors"
	"fmt"
	"net"
	"slices"

	"golang.org/x/sys/unix"

	"fanfare/loop/http1"
)

// ErrDraining is Adopt's answer while the group is being emptied.
var ErrDraining = errors.New("loop: the group is draining")

// Adopt takes a connection back from net/http: an upgrade request that came on a connection which had been handed over, and was
// hijacked. nc is the *http1.Conn. buffered is the request's head, as it came or written anew, and whatever net/http has read
// behind it; what nc itself has not given out yet is added here. index is the listener's. A loop takes the connection as a fresh
// one with these bytes as its first input, so that Head is called and the usual handshake runs. After an error nc is still the
// caller's; else it is closed and must not be used any more.
func (g *Group) Adopt(nc net.Conn, buffered []byte, index int) error {
	c, ok := nc.(*http1.Conn)
	if !ok {
		return fmt.Errorf("loop: adopt a %T: only an *http1.Conn", nc)
	}
	if index < 0 || index >= len(g.http) {
		return fmt.Errorf("loop: no listener %d", index)
	}
	if g.draining.Load() {
		return ErrDraining
	}
	fd, local, err := double(c)
	if err != nil {
		return err
	}
	input := append(slices.Clip(buffered), c.Unread()...)
	l := g.emptiest()
	g.gate.open.Add(1) // without asking: it was counted as net/http's
	l.expect()
	_ = c.Close() // our own number stays
	l.post(0, func(*Conn) { l.takeBack(fd, uint8(index), local, input) })
	return nil
}

// double gives a further descriptor of the socket.
func double(c *http1.Conn) (fd int, local bool, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return -1, false, err
	}
	e := raw.Control(func(f uintptr) {
		local = localPeer(int(f))
		fd, err = unix.FcntlInt(f, unix.F_DUPFD_CLOEXEC, 0)
	})
	if err = errors.Join(e, err); err != nil {
		return -1, false, fmt.Errorf("loop: adopt: %w", err)
	}
	return fd, local, nil
}

func localPeer(fd int) bool {
	sa, err := unix.Getpeername(fd)
	if err != nil {
		return false
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return sa.Addr[0] == 127
	case *unix.SockaddrInet6:
		ip := net.IP(sa.Addr[:])
		return ip.IsLoopback()
	case *unix.SockaddrUnix:
		return true
	}
	return false
}

// takeBack goes on where net/http has left off.
func (l *Loop) takeBack(fd int, where uint8, local bool, input []byte) {
	c := l.adopt(fd, where, local)
	if c == nil {
		return
	}
	l.count.adopted++
	if c.state == head && len(input) > 0 {
		defer l.caught(c)
		l.input(c, input)
	}
}
