package proto

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"fanfare/fanout"
	"fanfare/loop"
	"fanfare/proto/limit"
)

// Config is what a Server is made of. Zero fields other than Hub and Dialects take the defaults.
type Config struct {
	Hub          *fanout.Hub
	Dialects     []Dialect     // those that Listen may name
	Version      string        // label of fanfare_build_info
	MaxHead      int           // bytes of a request head on kept connections; the loop bounds the first one; default 8 KiB
	BodyTimeout  time.Duration // for the body of a request; default 10 s
	SlowWorks    int           // calls of Peer.Slow under way at once; default 256
	SlowDeadline time.Duration // default 5 s
	Log          *slog.Logger  // default slog.Default()

	// Reloadable is in force until Reload. Its Auth is left alone: dialects have one of their own at the start.
	Reloadable
}

// Server is the loop's Handler: it knows which dialect and which namespace a listener has, and it serves plain HTTP.
type Server struct {
	// immutable after Start
	hub         *fanout.Hub
	group       *loop.Group
	dialects    []*registered
	shards      []*fanout.Shard // by loop
	listeners   []*listener     // by index in the group
	admin       *admin          // nil if there is none
	ids         []string        // by loop, which owns it: of the refusal that is being answered
	began       time.Time
	done        chan struct{} // closed by Close
	version     string
	maxHead     int
	bodyTimeout time.Duration
	log         *slog.Logger

	// safe for any goroutine
	counts    counts
	refusals  refusals
	health    health
	live      atomic.Pointer[Reloadable]
	addresses limit.Addresses
	reloading sync.Mutex
	slow      slow
	serving   sync.WaitGroup // http servers
}

// registered is a dialect with its forms, which the hub gets when the first listener names it.
type registered struct {
	dialect Dialect
	forms   []fanout.Form
	open    atomic.Int64 // its sockets
}

// listener is what an address serves.
type listener struct {
	dialect Dialect
	open    *atomic.Int64 // sockets of the dialect
	space   uint32
	name    string // of the namespace
	forms   []fanout.Form
	class   uint8 // policy for slow consumers
	classed bool  // which was given
	http    *http.Server
}

const (
	defaultMaxHead     = 8 << 10
	defaultBodyTimeout = 10 * time.Second
)

// New makes a server without listeners.
func New(cfg Config) (*Server, error) {
	if cfg.Hub == nil || len(cfg.Dialects) == 0 {
		return nil, errors.New("proto: a server needs a hub and a dialect")
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	s := &Server{
		hub: cfg.Hub, version: cfg.Version, log: cfg.Log, began: time.Now(), done: make(chan struct{}),
		maxHead: cmp.Or(cfg.MaxHead, defaultMaxHead), bodyTimeout: cmp.Or(cfg.BodyTimeout, defaultBodyTimeout),
	}
	s.refusals.log = cfg.Log
	s.counts.init()
	s.addresses.Init()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	s.live.Store(&cfg.Reloadable)
	if err := s.health.init(cfg.Hub); err != nil {
		return nil, fmt.Errorf("proto: %w", err)
	}
	s.slow.init(cfg.SlowWorks, cfg.SlowDeadline)
	for _, d := range cfg.Dialects {
		s.dialects = append(s.dialects, &registered{dialect: d})
	}
	return s, nil
}

// Attach gives each loop of the group, whose Handler must be s, its shard of the hub. Once, before Listen.
func (s *Server) Attach(g *loop.Group) {
	s.group = g
	for i, l := range g.Loops() {
		sh := s.hub.Shard(l)
		s.shards = append(s.shards, sh)
		g.Attach(i, sh)
	}
	s.ids = make([]string, len(s.shards))
	s.health.bases = make([]atomic.Uint64, len(s.shards))
	if a := s.live.Load().Admission; a != (loop.Admission{}) {
		g.Admit(a)
	}
	s.slow.attach(g)
}

// Listen binds an address for a dialect and a namespace and returns the address bound. After Attach, before Start.
func (s *Server) Listen(l Listen) (net.Addr, error) {
	return s.listen(l, func() (int, net.Addr, error) { return s.group.Listen(l.Addr) })
}

// ListenFD is Listen with a socket that is bound and listens already; l.Addr is only its name in errors.
func (s *Server) ListenFD(l Listen, fd int) (net.Addr, error) {
	return s.listen(l, func() (int, net.Addr, error) { return s.group.ListenFD(fd) })
}

func (s *Server) listen(l Listen, bind func() (index int, bound net.Addr, err error)) (net.Addr, error) {
	d, err := s.dialect(l.Dialect)
	if err != nil {
		return nil, err
	}
	index, addr, err := bind()
	if err != nil {
		return nil, fmt.Errorf("listen %s: %w", l, err)
	}
	if index != len(s.listeners) {
		return nil, fmt.Errorf("listen %s: the group has listeners of others", l)
	}
	ln := &listener{dialect: d.dialect, open: &d.open, space: s.hub.Space(l.Namespace), name: l.Namespace, forms: d.forms}
	if l.Slow != "" {
		if ln.class, err = ParsePolicy(l.Slow); err != nil {
			return nil, fmt.Errorf("listen %s: %w", l, err)
		}
		ln.classed = true
	}
	ln.http = s.control(index, ln)
	s.listeners = append(s.listeners, ln)
	return addr, nil
}

// dialect finds a dialect by name and makes sure that the hub has its forms.
func (s *Server) dialect(name string) (*registered, error) {
	names := make([]string, 0, len(s.dialects))
	for _, d := range s.dialects {
		if d.dialect.Name() != name {
			names = append(names, d.dialect.Name())
			continue
		}
		if d.forms != nil {
			return d, nil
		}
		for _, enc := range d.dialect.Forms() {
			f, err := s.hub.Form(enc)
			if err != nil {
				return nil, fmt.Errorf("dialect %s: %w", name, err)
			}
			d.forms = append(d.forms, f)
		}
		return d, nil
	}
	return nil, fmt.Errorf("listen: unknown dialect %q%s (known: %s)", name, meant(name, names), strings.Join(names, ", "))
}

// Start begins to serve. When it fails nothing is served, and Close must not be called.
func (s *Server) Start() error {
	if err := s.group.Start(); err != nil {
		return err
	}
	s.hatch()
	s.serving.Go(s.watchLoops)
	for i, l := range s.listeners {
		s.serve(l.http, s.group.HTTP(i))
	}
	if s.admin != nil {
		s.serve(s.admin.http, s.admin.ln)
	}
	return nil
}

func (s *Server) serve(srv *http.Server, ln net.Listener) {
	s.serving.Go(func() {
		if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			s.log.Error("plain HTTP ended", "error", err)
		}
	})
}

// Close ends slow work, HTTP connections and the group. Once, after a Start that succeeded.
func (s *Server) Close() {
	s.slow.close()
	close(s.done)
	for _, l := range s.listeners {
		_ = l.http.Close()
	}
	if s.admin != nil {
		_ = s.admin.http.Close()
		_ = s.admin.ln.Close()
	}
	s.serving.Wait()
	s.group.Close()
}

func (s *Server) peer(c *loop.Conn) Peer { return Peer{c, s} }

// Head sends plain HTTP to net/http and asks the dialect about upgrades.
func (s *Server) Head(c *loop.Conn, r *Request) loop.Verdict {
	if !r.WantsUpgrade() {
		return loop.Verdict{Do: loop.HTTP}
	}
	p := s.peer(c)
	d := p.listener().dialect
	var greeting []byte
	err := s.enter(p, r)
	if err == nil {
		greeting, err = d.Open(p, r)
	}
	if err == nil {
		p.counted()
		return loop.Verdict{Do: loop.Upgrade, Greeting: greeting}
	}
	p.shard().LeaveAll(uint64(c.Ref()))
	if errors.Is(err, ErrPending) {
		return loop.Verdict{Do: loop.Wait}
	}
	s.leave(p)
	s.refused(refusal{err: err, kind: handshake, peer: p, path: r.Path, origin: r.Header("Origin")})
	d.Fail(p, err)
	return loop.Verdict{Do: loop.Refuse, Err: err} // which nobody sees when Fail has answered
}

// Message hands a message to the dialect.
func (s *Server) Message(c *loop.Conn, op byte, data []byte) error {
	p := s.peer(c)
	return p.listener().dialect.Message(p, op, data)
}

// Failed hands an error to the dialect, with or without a Head before it.
func (s *Server) Failed(c *loop.Conn, err error) {
	p := s.peer(c)
	kind := handshake
	if c.Upgraded() {
		kind = message
	}
	s.refused(refusal{err: err, kind: kind, peer: p})
	p.listener().dialect.Fail(p, err)
}

// Due hands the connection's due time to the dialect.
func (s *Server) Due(c *loop.Conn) {
	p := s.peer(c)
	p.listener().dialect.Due(p)
}

// Closed tells the dialect and ends the memberships.
func (s *Server) Closed(c *loop.Conn, why loop.Reason) {
	if why == loop.HandedOver { // plain HTTP, of which no dialect knows
		return
	}
	p := s.peer(c)
	s.leave(p)
	defer p.shard().LeaveAll(uint64(c.Ref())) // deferred, so that a dialect that panics leaves no member behind
	s.slow.forget(c)
	p.listener().dialect.Closed(p)
}
