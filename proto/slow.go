package proto

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"fanfare/loop"
)

const (
	defaultSlowWorks    = 256
	defaultSlowDeadline = 5 * time.Second
)

var (
	errSlowFull = &Error{
		Status: http.StatusServiceUnavailable, Code: CodeBusy, Close: closeTryLater,
		Text: "too much is being worked on: try again later", Retry: true,
	}
	errSlowDeadline = &Error{
		Status: http.StatusServiceUnavailable, Code: CodeTimeout, Close: closeTryLater,
		Text: "an answer that is needed did not come in time", Retry: true,
	}
)

// slow is the pool of work that must not run on a loop.
type slow struct {
	// immutable after attach
	deadline time.Duration
	ctx      context.Context //nolint:containedctx // ends all work when the server closes; each call derives its own
	cancel   context.CancelFunc
	group    *loop.Group
	slots    chan struct{}
	pending  []map[loop.Ref]int // by loop, which owns it: calls under way for a connection

	mu     sync.RWMutex // held while posting: nothing may be posted to a group that has closed
	closed bool
}

func (s *slow) init(works int, deadline time.Duration) {
	s.deadline = cmp.Or(deadline, defaultSlowDeadline)
	s.slots = make(chan struct{}, max(cmp.Or(works, defaultSlowWorks), 1))
	s.ctx, s.cancel = context.WithCancel(context.Background())
}

func (s *slow) attach(g *loop.Group) {
	s.group = g
	for range g.Loops() {
		s.pending = append(s.pending, make(map[loop.Ref]int))
	}
}

func (s *slow) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
}

func (s *slow) forget(c *loop.Conn) { delete(s.pending[c.Loop().ID()], c.Ref()) }

// Slow runs work on a goroutine of its own and then, on the loop, then with its error. Until then has returned, further messages of the
// connection wait in order, while control frames are answered and deliveries leave. ctx ends after the deadline, 5 seconds unless
// configured; then runs at that moment even if work has not returned. When too much is under way, work does not run and then gets an
// error that says so. Neither error is fatal. then does not run when the connection has ended meanwhile. work must not touch p.
func (p Peer) Slow(work func(ctx context.Context) error, then func(p Peer, err error)) {
	s, ref := &p.s.slow, p.c.Ref()
	p.c.Hold()
	s.pending[p.c.Loop().ID()][ref]++
	var once sync.Once
	finish := func(err error) {
		once.Do(func() { s.post(ref, func(c *loop.Conn) { p.s.worked(c, then, err) }) })
	}
	select {
	case s.slots <- struct{}{}:
	default:
		finish(errSlowFull)
		return
	}
	go func() {
		defer func() { <-s.slots }()
		ctx, cancel := context.WithTimeout(s.ctx, s.deadline)
		defer cancel()
		stop := context.AfterFunc(ctx, func() { finish(errSlowDeadline) })
		defer stop()
		err := p.s.work(ctx, work)
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil {
			err = errSlowDeadline
		}
		finish(err)
	}()
}

// work calls f; a panic is an error.
func (s *Server) work(ctx context.Context, f func(context.Context) error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			s.panicked(v)
			err = fmt.Errorf("panic in slow work: %v", v)
		}
	}()
	return f(ctx)
}

func (s *Server) panicked(v any) {
	s.counts.panics.Add(1)
	s.log.Error("panic", "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
}

func (s *slow) post(ref loop.Ref, f func(c *loop.Conn)) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if !s.closed {
		s.group.Post(ref, f)
	}
}

// worked ends one call of Slow, on the loop.
func (s *Server) worked(c *loop.Conn, then func(Peer, error), err error) {
	pending, ref := s.slow.pending[c.Loop().ID()], c.Ref()
	if pending[ref]--; pending[ref] <= 0 {
		delete(pending, ref)
	}
	then(s.peer(c), err)
	if pending[ref] == 0 {
		c.Release()
	}
}
