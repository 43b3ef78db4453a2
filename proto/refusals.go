package proto

import (
	"log/slog"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"
)

// What was refused; each has a counter of its own.
const (
	handshake = "handshake"
	message   = "message"
	request   = "request"
)

// refusal is a request, an upgrade or a message that gets an error for an answer.
type refusal struct {
	err    error
	kind   string
	id     string // of a request
	peer   Peer   // of a handshake or a message
	remote string // of a request
	path   string // without its query, which may hold secrets
	origin string
}

// refusals is the log of what was refused: for each kind and code one line a second at most, which tells how many were left out.
type refusals struct {
	log *slog.Logger

	mu   sync.Mutex
	seen map[[2]string]*seen // by kind and code, both of which are ours
}

type seen struct {
	last time.Time
	left int
}

const refusalPause = time.Second

// refused counts a refusal and logs it, unless there was one for the same reason just now.
func (s *Server) refused(r refusal) {
	e := AsError(r.err)
	s.counts.refused[r.kind].add(e.Code)
	if r.kind == handshake {
		r.id = newID()
		s.ids[r.peer.c.Loop().ID()] = r.id
	}
	left, ok := s.refusals.admit(r.kind, e.Code, time.Now())
	if !ok {
		return
	}
	if r.kind != request {
		r.remote = "local"
		if a := r.peer.Remote(); a.IsValid() {
			r.remote = a.String()
		}
	}
	text, field := e.Text, e.Field
	if e.Quotes {
		text, field = "", ""
	}
	attrs := []any{slog.String("reason", e.Code), slog.Int("status", e.Status), slog.String("remote", r.remote)}
	for _, a := range []slog.Attr{slog.String("request_id", r.id), slog.String("text", text), slog.String("field", field), slog.String("path", cut(r.path)), slog.String("origin", cut(r.origin))} {
		if a.Value.String() != "" {
			attrs = append(attrs, a)
		}
	}
	if left > 0 {
		attrs = append(attrs, slog.Int("left_out", left))
	}
	if e.Code == CodeInternal {
		s.log.Error(r.kind+" refused", append(attrs, slog.Any("error", r.err))...)
		return
	}
	s.log.Info(r.kind+" refused", attrs...)
}

// admit reports whether a line may be written now, and how many were left out before it.
func (f *refusals) admit(kind, code string, now time.Time) (left int, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	key := [2]string{kind, code}
	if f.seen[key] == nil {
		if f.seen == nil {
			f.seen = make(map[[2]string]*seen)
		}
		f.seen[key] = new(seen)
	}
	n := f.seen[key]
	if now.Sub(n.last) < refusalPause {
		n.left++
		return 0, false
	}
	left, n.left, n.last = n.left, 0, now
	return left, true
}

// flush logs how many were left out since the last line of each kind and code, unless there was one within pause.
func (f *refusals) flush(now time.Time, pause time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for key, n := range f.seen {
		if n.left > 0 && now.Sub(n.last) >= pause {
			f.log.Info(key[0]+" refused", "reason", key[1], "left_out", n.left)
			n.left, n.last = 0, now
		}
	}
}

const requestID = "X-Request-Id"

// newID makes the name of a request, by which an answer and a line of the log are told to belong together.
func newID() string { return strconv.FormatUint(rand.Uint64()|1<<63, 36) }

// cut shortens a client's string for the log; slog quotes it.
func cut(s string) string {
	const most = 128
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}

func byteCount(n int) string {
	if n >= 1<<10 && n%(1<<10) == 0 {
		return strconv.Itoa(n>>10) + " KiB"
	}
	return strconv.Itoa(n) + " bytes"
}
