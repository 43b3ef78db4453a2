package http1

import (
	"container/list"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

const (
	refuseReads = 16 // reads from a connection that is refused
	refuseRead  = 4 << 10
)

// Listener hands connections that arrived elsewhere to an http.Server. It is safe for concurrent use.
//
//	l := http1.NewListener(addr, 1024)
//	srv := &http.Server{Handler: h, ConnState: l.ConnState}
//	go srv.Serve(l)
//	l.Push(fd, read)
type Listener struct {
	addr  net.Addr
	max   int
	queue chan handed // sent to under mu only
	done  chan struct{}
	held  atomic.Int64 // those in queue and those open

	mu     sync.Mutex // never held during a system call
	closed bool
	open   int       // connections given to the server and not closed
	idle   list.List // of *Conn; idle longest first
}

// handed is a connection on its way to the server.
type handed struct {
	fd   int
	read []byte
}

// NewListener returns a Listener that says it listens at addr and keeps at most max connections open; as many again may
// wait for Accept.
func NewListener(addr net.Addr, maximum int) *Listener {
	return &Listener{addr: addr, max: maximum, queue: make(chan handed, maximum), done: make(chan struct{})}
}

// Push hands over a connected stream socket, TCP or unix, non-blocking and close-on-exec, together with the bytes that have
// been read from it; the server reads these first. It never blocks. The Listener owns fd and read from then on, unless Push
// returns false because too many connections wait or the Listener is closed: then the caller keeps both.
func (l *Listener) Push(fd int, read []byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.held.Add(1)
	select {
	case l.queue <- handed{fd, read}:
		return true
	default:
		l.held.Add(-1)
		return false
	}
}

// Accept waits for the next connection, which is a *Conn. When max connections are open, the one that has been idle longest
// is closed; when none is idle, the new one is refused with 503. The error is net.ErrClosed after Close, and there is no
// other.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		select {
		case <-l.done:
			return nil, net.ErrClosed
		case h := <-l.queue:
			if c := l.accept(h); c != nil {
				return c, nil
			}
		}
	}
}

// Addr returns the address given to NewListener.
func (l *Listener) Addr() net.Addr {
	return l.addr
}

// Open returns the number of connections that the server has and has not closed.
func (l *Listener) Open() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open
}

// Held returns the number of connections that are open in this sense, and of those that wait for Accept.
func (l *Listener) Held() int64 {
	return l.held.Load()
}

// Close ends Accept and closes the connections that wait for it; those that the server has stay open. It returns nil.
func (l *Listener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	close(l.done)
	for {
		select {
		case h := <-l.queue:
			l.held.Add(-1)
			_ = unix.Close(h.fd)
		default:
			return nil
		}
	}
}

// ConnState keeps the list of idle connections. It must be, or be called by, the ConnState hook of the http.Server; without
// it no connection counts as idle.
func (l *Listener) ConnState(nc net.Conn, st http.ConnState) {
	if t, ok := nc.(interface{ NetConn() net.Conn }); ok { // TLS over a Conn
		nc = t.NetConn()
	}
	c, ok := nc.(*Conn)
	if !ok || c.l != l {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case st != http.StateIdle:
		l.busy(c)
	case !c.closed && c.element == nil:
		c.element = l.idle.PushBack(c)
	}
}

// busy takes c off the idle list. mu must be held.
func (l *Listener) busy(c *Conn) {
	if c.element != nil {
		l.idle.Remove(c.element)
		c.element = nil
	}
}

// accept makes a Conn of what was handed over, or returns nil after refusing it.
func (l *Listener) accept(h handed) *Conn {
	f := os.NewFile(uintptr(h.fd), "")
	if f == nil { // a negative descriptor
		l.held.Add(-1)
		return nil
	}
	defer func() { _ = f.Close() }()
	if !l.admit() {
		l.held.Add(-1)
		refuse(h.fd)
		return nil
	}
	nc, err := net.FileConn(f) // duplicates the descriptor
	if err != nil {
		l.mu.Lock()
		l.open--
		l.mu.Unlock()
		l.held.Add(-1)
		refuse(h.fd)
		return nil
	}
	return &Conn{Conn: nc, l: l, read: h.read}
}

// admit takes a place for one more connection, at the cost of the one idle longest if need be.
func (l *Listener) admit() bool {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return false
	}
	var victim *Conn
	if l.open >= l.max {
		front := l.idle.Front()
		if front == nil {
			l.mu.Unlock()
			return false
		}
		victim, _ = front.Value.(*Conn)
		l.busy(victim)
	}
	l.open++
	l.mu.Unlock()
	if victim != nil {
		_ = victim.Close()
	}
	return true
}

// refuse answers 503 as far as that is possible without waiting. What the client has sent is read, because closing a
// socket with unread bytes can take the answer away from the client (RFC 9112, section 9.6).
func refuse(fd int) {
	_ = unix.SetNonblock(fd, true) // an attempt to duplicate it can have changed that
	answer := AppendResponse(nil, http.StatusServiceUnavailable, "Retry-After: 1\r\n", "application/json",
		[]byte(`{"error":{"code":"busy","message":"too many HTTP connections at once"}}`+"\n"))
	_, _ = unix.Write(fd, answer)
	_ = unix.Shutdown(fd, unix.SHUT_WR)
	sink := make([]byte, refuseRead)
	for range refuseReads {
		if n, err := unix.Read(fd, sink); n <= 0 || err != nil {
			return
		}
	}
}
