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
	"time"

	"github.com/VictoriaMetrics/metrics"

	"fanfare/fanout"
	"fanfare/loop"
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
}

// Server is the loop's Handler: it knows which dialect and which namespace a listener has, and it serves plain HTTP.
type Server struct {
	// immutable after Start
	hub         *fanout.Hub
	group       *loop.Group
	dialects    []*registered
	shards      []*fanout.Shard // by loop
	listeners   []*listener     // by index in the group
	version     string
	maxHead     int
	bodyTimeout time.Duration
	log         *slog.Logger

	// safe for any goroutine
	metrics  *metrics.Set
	refusals refusals
	slow     slow
	serving  sync.WaitGroup // http servers
}

// registered is a dialect with its forms, which the hub gets when the first listener names it.
type registered struct {
	dialect Dialect
	forms   []fanout.Form
}

// listener is what an address serves.
type listener struct {
	dialect Dialect
	space   uint32
	forms   []fanout.Form
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
		hub: cfg.Hub, version: cfg.Version, log: cfg.Log, metrics: metrics.NewSet(),
		maxHead: cmp.Or(cfg.MaxHead, defaultMaxHead), bodyTimeout: cmp.Or(cfg.BodyTimeout, defaultBodyTimeout),
	}
	s.refusals.log = cfg.Log
	s.slow.init(cfg.SlowWorks, cfg.SlowDeadline)
	for _, d := range cfg.Dialects {
		s.dialects = append(s.dialects, &registered{dialect: d})
	}
	s.metrics.RegisterMetricsWriter(s.writeStats)
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
	s.slow.attach(g)
}

// Listen binds an address for a dialect and a namespace and returns the address bound. After Attach, before Start.
func (s *Server) Listen(l Listen) (net.Addr, error) {
	d, err := s.dialect(l.Dialect)
	if err != nil {
		return nil, err
	}
	index, addr, err := s.group.Listen(l.Addr)
	if err != nil {
		return nil, fmt.Errorf("listen %s: %w", l, err)
	}
	if index != len(s.listeners) {
		return nil, fmt.Errorf("listen %s: the group has listeners of others", l)
	}
	ln := &listener{dialect: d.dialect, space: s.hub.Space(l.Namespace), forms: d.forms}
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
	for i, l := range s.listeners {
		s.serving.Go(func() {
			if err := l.http.Serve(s.group.HTTP(i)); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
				s.log.Error("plain HTTP ended", "error", err)
			}
		})
	}
	return nil
}

// Close ends slow work, HTTP connections and the group. Once, after a Start that succeeded.
func (s *Server) Close() {
	s.slow.close()
	for _, l := range s.listeners {
		_ = l.http.Close()
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
	greeting, err := d.Open(p, r)
	if err == nil {
		return loop.Verdict{Do: loop.Upgrade, Greeting: greeting}
	}
	p.shard().LeaveAll(uint64(c.Ref()))
	if errors.Is(err, ErrPending) {
		return loop.Verdict{Do: loop.Wait}
	}
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
	defer p.shard().LeaveAll(uint64(c.Ref())) // deferred, so that a dialect that panics leaves no member behind
	s.slow.forget(c)
	p.listener().dialect.Closed(p)
}
