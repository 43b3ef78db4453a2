package http1

import (
	"container/list"
	"errors"
	"net"
	"syscall"
)

// Conn is a connection that a Listener has given to the server. It reads the bytes that came with it, then those of the
// socket.
type Conn struct {
	net.Conn // *net.TCPConn or *net.UnixConn

	// owned by the reader
	read []byte // what came with the connection and has not been read again

	// immutable
	l *Listener

	// guarded by l.mu
	element *list.Element // place among the idle connections
	closed  bool
}

// Read reads what came with the connection, then from the socket.
func (c *Conn) Read(p []byte) (int, error) {
	if len(c.read) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.read)
	if c.read = c.read[n:]; len(c.read) == 0 {
		c.read = nil
	}
	return n, nil
}

// Unread returns what came with the connection and Read has not returned yet. Whoever hijacks the connection from the
// server and takes the socket itself needs it, behind the bytes that the server has buffered. It must not be called while
// another goroutine reads.
func (c *Conn) Unread() []byte {
	return c.read
}

// Close closes the connection and gives its place to another one.
func (c *Conn) Close() error {
	c.l.mu.Lock()
	if !c.closed {
		c.closed = true
		c.l.open--
		c.l.held.Add(-1)
		c.l.busy(c)
	}
	c.l.mu.Unlock()
	return c.Conn.Close()
}

// CloseWrite ends the sending side, so that the server's last answer gets to a client that still sends.
func (c *Conn) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return errors.ErrUnsupported
}

// SyscallConn gives access to the socket. See Unread.
func (c *Conn) SyscallConn() (syscall.RawConn, error) {
	if s, ok := c.Conn.(syscall.Conn); ok {
		return s.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}

// RemoteAddr returns the client's address, which is never nil; that of a unix socket is mostly empty.
func (c *Conn) RemoteAddr() net.Addr {
	if a := c.Conn.RemoteAddr(); a != nil {
		return a
	}
	return &net.UnixAddr{Net: "unix"}
}
