package proto

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/goccy/go-json"
	"golang.org/x/sys/unix"
)

const (
	adminConns   = 64 // connections of the admin listener
	adminIdle    = 15 * time.Second
	adminWrite   = 2 * time.Minute // a profile takes its time
	statsTop     = 20
	statsTimeout = 500 * time.Millisecond // for what the loops must be asked
	loopAnswers  = time.Second
)

var (
	errForeignPage = &Error{Status: http.StatusForbidden, Code: CodeOrigin, Field: "Origin", Text: "pages of other sites may not come here"}
	errForeignHost = &Error{
		Status: http.StatusForbidden, Code: CodeOrigin, Field: "Host",
		Text: "from this host the URL must name localhost, 127.0.0.0/8 or [::1]; for another name --admin-listen must be the address that the name stands for",
	}
)

// admin is the listener for operators.
type admin struct {
	http *http.Server
	ln   net.Listener
}

// ListenAdmin binds an address, HOST:PORT or unix:/PATH, for operators: health, metrics, /stats and /debug/pprof/ are served there, and no
// more where clients come. Once, before Start.
func (s *Server) ListenAdmin(addr string) (net.Addr, error) {
	if err := checkAddr(addr); err != nil {
		return nil, fmt.Errorf("admin listener: %w", err)
	}
	ln, err := bindAdmin(addr)
	if err != nil {
		return nil, fmt.Errorf("admin listener: %w", err)
	}
	return s.ListenAdminOn(ln)
}

// bindAdmin binds an address that has been checked.
func bindAdmin(addr string) (net.Listener, error) {
	network := "tcp"
	if path, ok := strings.CutPrefix(addr, unixPrefix); ok {
		network, addr = "unix", path
		removeStale(path)
	} else if isIPv4(addr) {
		network = "tcp4"
	}
	var lc net.ListenConfig
	return lc.Listen(context.Background(), network, addr)
}

// isIPv4 reports whether the host is an address of IPv4. Go's "tcp" would take 0.0.0.0 for every address of IPv6, too; who writes it
// means IPv4, and has perhaps no firewall for the other.
func isIPv4(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().Is4()
}

// ListenAdminOn is ListenAdmin with a listener that is bound already.
func (s *Server) ListenAdminOn(ln net.Listener) (net.Addr, error) {
	if s.admin != nil {
		return nil, errors.New("admin listener: there is one already")
	}
	h := &plain{s: s, mux: http.NewServeMux(), routes: make(map[string]map[string]handlerFunc), index: -1, guarded: true}
	h.mux.HandleFunc("/", h.route(func(http.ResponseWriter, *http.Request) error { return errNoRoute }))
	rt := Routes{s: s, h: h}
	for path, f := range s.operators() {
		rt.Handle(http.MethodGet, path, f)
	}
	rt.Handle(http.MethodGet, "/stats", s.serveStats)
	for path, f := range map[string]http.HandlerFunc{
		"/debug/pprof/{$}": pprof.Index, "/debug/pprof/cmdline": pprof.Cmdline, "/debug/pprof/profile": pprof.Profile,
		"/debug/pprof/symbol": pprof.Symbol, "/debug/pprof/trace": pprof.Trace, "/debug/pprof/{name}": pprof.Index,
	} {
		rt.Handle(http.MethodGet, path, func(w http.ResponseWriter, r *http.Request) error {
			f(w, r)
			return nil
		})
	}
	srv := s.httpServer(h)
	srv.IdleTimeout, srv.WriteTimeout = adminIdle, adminWrite
	s.admin = &admin{http: srv, ln: &budget{Listener: ln, slots: make(chan struct{}, adminConns), done: make(chan struct{})}}
	return ln.Addr(), nil
}

// removeStale takes away the socket that a process which is gone has left.
func removeStale(path string) {
	var d net.Dialer
	c, err := d.DialContext(context.Background(), "unix", path)
	if err == nil {
		_ = c.Close()
	} else if errors.Is(err, unix.ECONNREFUSED) {
		_ = os.Remove(path)
	}
}

// operators are the routes that move to the admin listener if there is one.
func (s *Server) operators() map[string]handlerFunc {
	return map[string]handlerFunc{"/livez": s.serveLive, "/healthz": s.serveLive, "/readyz": s.serveReady, "/metrics": s.serveMetrics}
}

// budget is a listener with at most so many connections open; others wait.
type budget struct {
	net.Listener

	slots chan struct{}
	done  chan struct{}
	once  sync.Once
}

// Accept waits for a slot, then for a connection.
func (b *budget) Accept() (net.Conn, error) {
	select {
	case b.slots <- struct{}{}:
	case <-b.done:
		return nil, net.ErrClosed
	}
	c, err := b.Listener.Accept()
	if err != nil {
		<-b.slots
		return nil, err //nolint:wrapcheck // net/http looks at it
	}
	return &slotted{Conn: c, b: b}, nil
}

// Close ends Accept.
func (b *budget) Close() error {
	b.once.Do(func() { close(b.done) })
	return b.Listener.Close()
}

// slotted gives its slot back.
type slotted struct {
	net.Conn

	b    *budget
	once sync.Once
}

// Close ends the connection.
func (c *slotted) Close() error {
	c.once.Do(func() { <-c.b.slots })
	return c.Conn.Close()
}

// report is the answer of /stats.
type report struct {
	Version  string          `json:"version"`
	Uptime   float64         `json:"uptime_seconds"`
	Draining bool            `json:"draining"`
	Loops    []loopReport    `json:"loops"`
	Topics   []topicReport   `json:"topics"`
	Backlogs []backlogReport `json:"backlogs"`
	Complete bool            `json:"complete"` // every loop told its backlogs in time
}

type loopReport struct {
	ID      int     `json:"id"`
	Answers bool    `json:"answers"`
	Conns   int64   `json:"conns"`
	Queued  int64   `json:"queued_bytes"`
	Frames  int64   `json:"queued_frames"`
	Busy    float64 `json:"busy"`
	Lag     float64 `json:"lag_seconds"`
	Ticked  float64 `json:"ticked_seconds_ago"`
}

type topicReport struct {
	Namespace   string `json:"namespace"`
	Topic       string `json:"topic"`
	Subscribers int    `json:"subscribers"`
}

type backlogReport struct {
	Connection string  `json:"connection"`
	Remote     string  `json:"remote"`
	Bytes      int64   `json:"bytes"`
	Frames     int     `json:"frames"`
	Age        float64 `json:"age_seconds"`
}

// serveStats answers what an operator asks first.
func (s *Server) serveStats(w http.ResponseWriter, r *http.Request) error {
	rep := report{
		Version: s.version, Uptime: time.Since(s.began).Seconds(), Draining: s.health.draining.Load(), Complete: true,
		Topics: []topicReport{}, Backlogs: []backlogReport{},
	}
	for _, l := range s.group.LoopStats() {
		age := time.Since(l.Ticked)
		rep.Complete = rep.Complete && age < loopAnswers
		rep.Loops = append(rep.Loops, loopReport{
			ID: l.ID, Answers: age < loopAnswers, Conns: l.Conns, Queued: l.Queued, Frames: l.Nodes, Busy: l.Busy, Lag: l.Lag.Seconds(), Ticked: age.Seconds(),
		})
	}
	for _, t := range s.hub.Top(statsTop) {
		rep.Topics = append(rep.Topics, topicReport{s.namespace(t.Key.Space), t.Key.Name, t.Members})
	}
	ctx, cancel := context.WithTimeout(r.Context(), statsTimeout)
	defer cancel()
	for _, b := range s.group.Largest(ctx, statsTop) {
		remote := "local"
		if b.Remote.IsValid() {
			remote = b.Remote.String()
		}
		rep.Backlogs = append(rep.Backlogs, backlogReport{fmt.Sprintf("%016x", uint64(b.Ref)), remote, b.Bytes, b.Frames, b.Age.Seconds()})
	}
	body, err := json.Marshal(rep)
	if err != nil {
		return fmt.Errorf("stats: %w", err)
	}
	WriteJSON(w, http.StatusOK, append(body, '\n'))
	return nil
}

// namespace is the name of a number that a listener has.
func (s *Server) namespace(space uint32) string {
	for _, l := range s.listeners {
		if l.space == space {
			return l.name
		}
	}
	return ""
}
