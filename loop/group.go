package loop

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/cloudwego/netpoll"
	"golang.org/x/sys/unix"

	"fanfare/loop/http1"
	"fanfare/loop/ws"
)

// Group is all the loops of a server. Its methods may be called from any goroutine unless they say otherwise.
type Group struct {
	loops  []*Loop
	http   []*http1.Listener // by listener
	exit   func(code int)    // os.Exit, but in tests
	paths  []string          // unix sockets to remove
	conns  int               // that net/http may hold, of each listener
	failed chan error
	gate   gate
	gauge  gauge

	backlog  atomic.Int64 // what the queues of all loops hold, as of their last turns
	draining atomic.Bool
	began    time.Time
	clock    func() int64 // ns since began, monotonic; tests have their own
}

// New makes a group that does not run yet. In one process, groups share netpoll's polls.
func New(cfg Config) (*Group, error) {
	if cfg.Handler == nil {
		return nil, errors.New("loop: a group needs a Handler")
	}
	if cfg.Loops <= 0 {
		cfg.Loops = runtime.GOMAXPROCS(0)
	}
	if cfg.Loops >= maxLoops {
		return nil, fmt.Errorf("loop: %d loops: at most %d", cfg.Loops, maxLoops-1)
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	cfg.Limits = cfg.Limits.withDefaults()
	infos, err := polls(cfg.Loops)
	if err != nil {
		return nil, err
	}
	g := &Group{exit: exitProcess, conns: cfg.Limits.HTTPConns, began: time.Now()}
	g.clock = func() int64 { return int64(time.Since(g.began)) }
	g.Admit(cfg.Admission)
	for i := range cfg.Loops {
		l, err := newLoop(g, i, infos[i], &cfg)
		if err != nil {
			for _, l := range g.loops {
				_, _, _ = unix.Close(l.door.FD), unix.Close(l.ticker.FD), unix.Close(l.spare)
			}
			return nil, err
		}
		g.loops = append(g.loops, l)
	}
	return g, nil
}

// Loops gives the loops, in the order of their IDs.
func (g *Group) Loops() []*Loop { return g.loops }

// Attach gives loop i its worker. Before Start only.
func (g *Group) Attach(i int, w Worker) { g.loops[i].worker = w }

// Limit changes the limits, zero fields to the defaults; Request and HTTPConns stay, since net/http was told the same. Each loop
// takes them in its next turn; a time that runs already ends as it was set. Any goroutine, between Start and Close.
func (g *Group) Limit(lim Limits) {
	lim = lim.withDefaults()
	for _, l := range g.loops {
		l.post(0, func(*Conn) {
			request := l.lim.Request
			l.lim = lim
			l.lim.Request = request
		})
	}
}

// HTTP is where connections of listener i come out that the handler gave the verdict HTTP: serve it with a net/http server whose
// ConnState is the listener's.
func (g *Group) HTTP(i int) *http1.Listener { return g.http[i] }

// Listen binds addr and gives the listener's index, which Conn.Listener tells, and the address bound. addr is host:port, with
// port 0 for any and an empty host for every IPv4 and IPv6 address, or unix:/path. Before Start only; at most 256 listeners.
// The error names the address; a port that another process listens on is an error, also when that is one of ours.
func (g *Group) Listen(addr string) (index int, bound net.Addr, err error) {
	if index = len(g.http); index > 255 {
		return 0, nil, errors.New("loop: at most 256 listeners")
	}
	fds, bound, err := bind(addr, len(g.loops))
	if err != nil {
		return 0, nil, err
	}
	g.http = append(g.http, http1.NewListener(bound, g.conns))
	unixSocket := bound.Network() == "unix"
	if unixSocket {
		g.paths = append(g.paths, bound.String())
	}
	for i, fd := range fds {
		g.loops[i].listen(fd, index, unixSocket)
	}
	return index, bound, nil
}

// ListenFD is Listen for a listening socket that another process has bound, as in socket activation: a TCP or a unix socket. It
// belongs to the group then, unless there is an error. One loop accepts for all. A unix socket's file stays at the end.
func (g *Group) ListenFD(fd int) (index int, bound net.Addr, err error) {
	if index = len(g.http); index > 255 {
		return 0, nil, errors.New("loop: at most 256 listeners")
	}
	if bound, err = inherit(fd); err != nil {
		return 0, nil, fmt.Errorf("descriptor %d: %w", fd, err)
	}
	g.http = append(g.http, http1.NewListener(bound, g.conns))
	g.loops[index%len(g.loops)].listen(fd, index, true)
	return index, bound, nil
}

// Start begins to serve.
func (g *Group) Start() error {
	g.failed = make(chan error, len(g.loops))
	for _, l := range g.loops {
		l.post(0, func(*Conn) { g.failed <- l.start() })
		if err := l.poll.Control(&l.door, netpoll.PollReadable); err != nil {
			return fmt.Errorf("epoll: %w", err)
		}
	}
	var err error
	for range g.loops {
		err = errors.Join(err, <-g.failed)
	}
	return err
}

func (l *Loop) start() error {
	err := errors.Join(l.armTicker(), l.poll.Control(&l.ticker, netpoll.PollReadable))
	for _, ln := range l.listeners {
		err = errors.Join(err, ln.start())
	}
	return err
}

// Post runs f on the loop of the connection that ref names, unless it has ended by then. It is the one door from outside: every
// method of Conn belongs to its loop.
func (g *Group) Post(ref Ref, f func(c *Conn)) {
	if i := ref.Loop(); ref != 0 && i < len(g.loops) {
		g.loops[i].post(ref, f)
	}
}

// Close ends every connection with 1001 and gives everything back; once, after a Start that succeeded. Nothing may be posted
// afterwards. It returns when the last Closed has been called.
func (g *Group) Close() {
	g.draining.Store(true)
	for _, l := range g.loops {
		l.post(0, func(*Conn) { l.stopping = 1 })
	}
	for _, l := range g.loops {
		<-l.done
	}
	for _, l := range g.loops {
		l.runPosts() // connections that another loop accepted for this one too late: adopt closes them
		for _, ln := range l.listeners {
			if ln.op.FD >= 0 {
				_ = unix.Close(ln.op.FD)
			}
		}
		if l.spare >= 0 {
			_ = unix.Close(l.spare)
		}
		_ = unix.Close(l.ticker.FD)
		_ = unix.Close(l.door.FD)
	}
	for _, p := range g.paths {
		_ = os.Remove(p)
	}
	for _, ln := range g.http {
		_ = ln.Close()
	}
}

// stop is one step of the end, taken at the end of a turn. Each step but the last asks for one more turn: what is detached in
// one batch of events may still be met in it, but no more in the next.
func (l *Loop) stop() {
	switch {
	case l.stopping == 1:
		for _, ln := range l.listeners {
			if ln.op.FD >= 0 {
				_ = ln.op.Control(netpoll.PollDetach)
			}
		}
		l.killAll()
		l.stopping = 2
	case l.stopping == 2 && l.slab.used == 0:
		_ = l.ticker.Control(netpoll.PollDetach)
		l.stopping = 3
	case l.stopping == 3:
		l.farewells(len(l.lingering))
		_ = l.door.Control(netpoll.PollDetach)
		l.stopping = 4
		l.woken.Store(true) // for ever: nobody writes to a descriptor that is about to close
		l.publish()
		close(l.done)
		return
	}
	if l.stopping < 4 {
		l.Wake()
	}
}

func (l *Loop) killAll() {
	goodbye := ws.AppendClose(nil, 1001, "shutdown: the server is going away")
	for _, ch := range l.slab.chunks {
		if ch == nil {
			continue
		}
		for i := range ch.conns {
			c := &ch.conns[i]
			if c.state == open && c.qhead == 0 {
				_, _ = sysSend(c.op.FD, goodbye)
			}
			l.kill(c, Shutdown)
		}
	}
}
