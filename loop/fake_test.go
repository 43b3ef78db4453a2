package loop

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"fanfare/loop/http1"
	"fanfare/loop/ws"
)

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// eventually waits until cond holds.
func eventually(tb testing.TB, what string, cond func() bool) {
	tb.Helper()
	for end := time.Now().Add(patience); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			tb.Fatalf("in vain: %s", what)
		}
	}
}

// on runs f on the loop and waits for it.
func on(tb testing.TB, l *Loop, f func()) {
	tb.Helper()
	done := make(chan struct{})
	l.post(0, func(*Conn) {
		defer close(done)
		f()
	})
	await(tb, done, "a posted function")
}

// ask is on with an answer.
//
//nolint:ireturn // the type is the caller's
func ask[T any](tb testing.TB, l *Loop, f func() T) (v T) {
	tb.Helper()
	on(tb, l, func() { v = f() })
	return v
}

// await receives one value.
//
//nolint:ireturn // the type is the caller's
func await[T any](tb testing.TB, ch <-chan T, what string) (v T) {
	tb.Helper()
	select {
	case v = <-ch:
	case <-time.After(patience):
		buf := make([]byte, 1<<20)
		tb.Fatalf("in vain: %s\n%s", what, buf[:runtime.Stack(buf, true)])
	}
	return v
}

// advance makes d pass at once for every loop.
func advance(tb testing.TB, g *Group, d time.Duration) {
	tb.Helper()
	for _, l := range g.loops {
		on(tb, l, func() {
			l.now += ticks(d)
			_ = l.onTick(nil)
		})
		on(tb, l, func() {}) // the turn that swept is over
	}
}

// fake is a Handler made of functions; those that are nil get a default. It checks what Handler promises: callbacks are never
// nested, nothing comes after Closed, Head and Closed come once.
type fake struct {
	head    func(c *Conn, r *http1.Request) Verdict // default: Upgrade, or HTTP
	message func(c *Conn, op byte, p []byte) error  // default: echo
	failed  func(c *Conn, err error)                // default: refuse before the upgrade
	due     func(c *Conn)
	closed  func(c *Conn, why Reason)

	mu     sync.Mutex
	inside map[*Loop]string
	lives  map[Ref]*life
	paths  map[string]Ref
	faults []string
}

// life is what happened to one connection.
type life struct {
	heads, messages, dues int
	errs                  []error
	ends                  []Reason
}

func (f *fake) enter(c *Conn, callback string) (leave func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lives == nil {
		f.inside, f.lives, f.paths = make(map[*Loop]string), make(map[Ref]*life), make(map[string]Ref)
	}
	if outer := f.inside[c.loop]; outer != "" {
		f.faults = append(f.faults, callback+" inside "+outer)
	}
	f.inside[c.loop] = callback
	l := f.lives[c.ref]
	if l == nil {
		l = new(life)
		f.lives[c.ref] = l
	}
	if len(l.ends) > 0 {
		f.faults = append(f.faults, callback+" after Closed")
	}
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.inside[c.loop] = ""
	}
}

// within runs f as something that no callback may be nested in.
func (f *fake) within(l *Loop, what string, do func()) {
	f.mu.Lock()
	if f.inside == nil {
		f.inside, f.lives, f.paths = make(map[*Loop]string), make(map[Ref]*life), make(map[string]Ref)
	}
	f.inside[l] = what
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.inside[l] = ""
	}()
	do()
}

func (f *fake) note(c *Conn, do func(*life)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do(f.lives[c.ref])
}

func (f *fake) Head(c *Conn, r *http1.Request) Verdict {
	defer f.enter(c, "Head")()
	f.note(c, func(l *life) {
		l.heads++
		f.paths[strings.Clone(r.Path)] = c.ref
	})
	if f.head != nil {
		return f.head(c, r)
	}
	return echo{}.Head(c, r)
}

func (f *fake) Message(c *Conn, op byte, p []byte) error {
	defer f.enter(c, "Message")()
	f.note(c, func(l *life) { l.messages++ })
	if f.message != nil {
		return f.message(c, op, p)
	}
	return echo{}.Message(c, op, p)
}

func (f *fake) Failed(c *Conn, err error) {
	defer f.enter(c, "Failed")()
	f.note(c, func(l *life) { l.errs = append(l.errs, err) })
	if f.failed != nil {
		f.failed(c, err)
		return
	}
	if e, ok := errors.AsType[*http1.Error](err); ok {
		c.Refuse(e.Status, e.Header, "text/plain", []byte(e.Field))
	}
}

func (f *fake) Due(c *Conn) {
	defer f.enter(c, "Due")()
	f.note(c, func(l *life) { l.dues++ })
	if f.due != nil {
		f.due(c)
	}
}

func (f *fake) Closed(c *Conn, why Reason) {
	defer f.enter(c, "Closed")()
	f.note(c, func(l *life) { l.ends = append(l.ends, why) })
	if f.closed != nil {
		f.closed(c, why)
	}
}

// of gives what happened so far to a connection.
func (f *fake) of(ref Ref) life {
	f.mu.Lock()
	defer f.mu.Unlock()
	if l := f.lives[ref]; l != nil {
		return life{l.heads, l.messages, l.dues, slices.Clone(l.errs), slices.Clone(l.ends)}
	}
	return life{}
}

func (f *fake) ref(path string) Ref {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.paths[path]
}

// check reports broken promises. at the end every connection seen must have been closed once.
func (f *fake) check(tb testing.TB) {
	tb.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.faults {
		tb.Error(s)
	}
	for ref, l := range f.lives {
		if l.heads > 1 || len(l.ends) != 1 {
			tb.Errorf("%x: Head %d times, Closed %d times", uint64(ref), l.heads, len(l.ends))
		}
	}
}

// server is a group with a fake, for one test.
type server struct {
	*Group
	*fake
	tb    testing.TB
	addr  net.Addr
	paths int
}

// start serves f on a port of its own, on one loop unless cfg says otherwise.
func start(tb testing.TB, f *fake, cfg Config) *server {
	tb.Helper()
	if cfg.Loops == 0 {
		cfg.Loops = 1
	}
	cfg.Handler = f
	tb.Cleanup(func() { f.check(tb) }) // after the group's end
	g, addr := serve(tb, cfg)
	return &server{Group: g, fake: f, tb: tb, addr: addr}
}

// loop is the only loop.
func (s *server) loop() *Loop { return s.loops[0] }

// join connects a client and upgrades it.
func (s *server) join() (*client, Ref) {
	s.tb.Helper()
	return s.joinBy(dial(s.tb, s.addr))
}

// joinSmall is join with a client whose socket takes little.
func (s *server) joinSmall() (*client, Ref) {
	s.tb.Helper()
	cl, ref := s.joinBy(dialSmall(s.tb, s.addr))
	small(s.tb, s.Group, ref)
	return cl, ref
}

func (s *server) joinBy(cl *client) (*client, Ref) {
	s.tb.Helper()
	s.paths++
	path := fmt.Sprintf("/%d", s.paths)
	cl.request(path)
	cl.upgraded()
	return cl, s.ref(path)
}

// conn gives a connection's record. It may be used on its loop only.
func (s *server) conn(ref Ref) *Conn {
	s.tb.Helper()
	l := s.loops[ref.Loop()]
	c := ask(s.tb, l, func() *Conn { return l.slab.find(ref) })
	if c == nil {
		s.tb.Fatal("no such connection")
	}
	return c
}

// send sends frames to a connection, on its loop.
func (s *server) send(ref Ref, class uint8, more bool, frames ...[]byte) {
	s.tb.Helper()
	l := s.loops[ref.Loop()]
	on(s.tb, l, func() { s.within(l, "Send", func() { l.Send(uint64(ref), 1, class, more, frames) }) })
}

// ended waits for the end of a connection and checks its reason.
func (s *server) ended(ref Ref, want Reason) {
	s.tb.Helper()
	eventually(s.tb, "Closed of a connection", func() bool { return len(s.of(ref).ends) > 0 })
	if got := s.of(ref).ends[0]; got != want {
		s.tb.Errorf("ended for reason %s, want %s", got, want)
	}
}

func text(s string) []byte { return ws.AppendFrame(nil, ws.OpText, []byte(s)) }

// numbered is a binary frame of n bytes of payload that begins with its number and is filled with what follows from it.
func numbered(number, n int) []byte { return ws.AppendFrame(nil, ws.OpBinary, payload(number, n)) }

func payload(number, n int) []byte {
	p := make([]byte, max(n, 4))
	for i := range p {
		p[i] = byte(number*31 + i)
	}
	p[0], p[1], p[2], p[3] = byte(number>>24), byte(number>>16), byte(number>>8), byte(number)
	return p
}

func numberOf(p []byte) int {
	return int(p[0])<<24 | int(p[1])<<16 | int(p[2])<<8 | int(p[3])
}
