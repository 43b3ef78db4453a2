package proto

import (
	"fmt"
	"net/http"
	"runtime/metrics"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/goccy/go-json"

	"fanfare/fanout"
	"fanfare/loop"
)

const (
	tickLimit    = 2 * time.Second        // a loop that has not ticked for so long hangs
	tickChance   = 300 * time.Millisecond // in which a loop that lives ticks again
	canaryLimit  = time.Second            // for a canary to get its message
	canaryPause  = time.Second            // between two messages
	canaryLook   = 2 * time.Millisecond   // between two looks at who has it
	canaryTopic  = "canary"
	spareFiles   = 16 // descriptors that must be left
	spareBytes   = 10 // that part of a limit of bytes must be left
	statusOK     = "ok"
	statusFailed = "failed"
)

// check is one thing that must be so.
type check struct {
	Name   string `json:"name"`
	Status string `json:"status"`
	Text   string `json:"text,omitempty"`
}

func passed(name, text string) check { return check{name, statusOK, text} }
func failed(name, text string) check { return check{name, statusFailed, text} }

// health is what readiness needs beside the loops.
type health struct {
	space    uint32 // of the canaries, outside of all statistics
	form     fanout.Form
	draining atomic.Bool

	mu     sync.Mutex // held while a check is made, so that those that come meanwhile share its result
	at     time.Time
	checks []check
	bases  []atomic.Uint64 // by loop: one more than the offset at which its canary joined, 0 before it has
}

func (h *health) init(hub *fanout.Hub) (err error) {
	h.space = hub.Hidden("health")
	frame := []byte{0}
	h.form, err = hub.Form(func(*fanout.Event) []byte { return frame })
	return err
}

// hatch makes a canary of each loop a member of their topic.
func (s *Server) hatch() {
	for i, l := range s.group.Loops() {
		s.group.Post(l.Canary(), func(*loop.Conn) {
			j := s.shards[i].Join(uint64(l.Canary()), fanout.Key{Space: s.health.space, Name: canaryTopic}, fanout.Want{Form: s.health.form})
			s.health.bases[i].Store(j.Pos.Offset + 1)
		})
	}
}

// hatched reports whether all have joined.
func (h *health) hatched() bool {
	for i := range h.bases {
		if h.bases[i].Load() == 0 {
			return false
		}
	}
	return true
}

// sing publishes to the canaries and tells which ones got it in time.
func (s *Server) sing() (got []bool) {
	h := &s.health
	loops := s.group.Loops()
	got = make([]bool, len(loops))
	deadline := time.Now().Add(canaryLimit)
	for !h.hatched() && time.Now().Before(deadline) { // the server has only just started
		time.Sleep(canaryLook)
	}
	rc, err := s.hub.Publish(&fanout.Event{Key: fanout.Key{Space: h.space, Name: canaryTopic}})
	if err != nil || rc.Receivers == 0 {
		return got
	}
	for left := len(loops); ; time.Sleep(canaryLook) {
		for i, l := range loops {
			base := h.bases[i].Load()
			if !got[i] && base != 0 && l.CanaryCount()+base > rc.Pos.Offset {
				got[i] = true
				left--
			}
		}
		if left == 0 || !time.Now().Before(deadline) {
			return got
		}
	}
}

// alive checks that the loops tick. Those that seem to hang get a chance first: after the whole process was stopped, or the machine
// suspended, this may run before they do.
func (s *Server) alive() []check {
	stats := s.group.LoopStats()
	if slices.ContainsFunc(stats, func(l loop.LoopStats) bool { return time.Since(l.Ticked) > tickLimit }) {
		time.Sleep(tickChance)
		stats = s.group.LoopStats()
	}
	list := make([]check, 0, 2*len(stats))
	for _, l := range stats {
		name, age := "loop "+strconv.Itoa(l.ID), time.Since(l.Ticked)
		if age > tickLimit {
			list = append(list, failed(name, "no tick for "+age.Round(time.Millisecond).String()))
		} else {
			list = append(list, passed(name, ""))
		}
	}
	return list
}

// ready checks that new clients are welcome and would be served.
func (s *Server) ready() []check {
	list := s.alive()
	if s.health.draining.Load() {
		list = append(list, failed("draining", "the server is about to stop"))
	} else {
		list = append(list, passed("draining", ""))
	}
	return append(list, s.shared()...)
}

// shared makes the checks that cost something, once a second at most.
func (s *Server) shared() []check {
	h := &s.health
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.at.IsZero() && time.Since(h.at) < canaryPause {
		return h.checks
	}
	list := s.limits()
	for i, got := range s.sing() {
		name := "canary " + strconv.Itoa(i)
		if got {
			list = append(list, passed(name, ""))
		} else {
			list = append(list, failed(name, "loop "+strconv.Itoa(i)+" did not deliver a message within "+canaryLimit.String()))
		}
	}
	h.checks, h.at = list, time.Now()
	return list
}

// limits checks that the server is below what it may hold.
func (s *Server) limits() []check {
	set := s.live.Load()
	a, n, h := set.Admission, s.group.Stats(), s.hub.Stats()
	used, most := descriptors()
	list := []check{
		below("connections", n.Conns+n.HTTP, int64(a.Conns)),
		below("descriptors", int64(used), max(int64(min(most, 1<<62))-spareFiles, 1)),
		below("undelivered bytes", int64(h.UndeliveredBytes), less(int64(s.hub.Config().TotalBytes))),
		below("backlog bytes", n.Backlog, less(set.BacklogTotal)), // at the limit itself the loops cut off who is slowest
	}
	if a.Memory > 0 {
		list = append(list, below("memory", memoryInUse(), a.Memory))
	}
	return list
}

// less is a limit of bytes without what must be left of it.
func less(limit int64) int64 { return limit - limit/spareBytes }

// below checks that a number is under its limit, if there is one.
func below(name string, n, limit int64) check {
	switch {
	case limit <= 0:
		return passed(name, fmt.Sprintf("%d, no limit", n))
	case n >= limit:
		return failed(name, fmt.Sprintf("%d, the limit is %d", n, limit))
	}
	return passed(name, fmt.Sprintf("%d of %d", n, limit))
}

// memoryInUse is what Go has of the system's memory, without what it could give back at once.
func memoryInUse() int64 {
	samples := []metrics.Sample{
		{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}, {Name: "/memory/classes/heap/free:bytes"},
	}
	metrics.Read(samples)
	return int64(samples[0].Value.Uint64() - samples[1].Value.Uint64() - samples[2].Value.Uint64()) //nolint:gosec // G115: memory fits
}

func (s *Server) serveLive(w http.ResponseWriter, r *http.Request) error {
	return answerChecks(w, r, s.alive())
}

func (s *Server) serveReady(w http.ResponseWriter, r *http.Request) error {
	return answerChecks(w, r, s.ready())
}

// answerChecks answers 503 if any failed. All are listed when verbose is in the query, as text or, if that is accepted, as JSON; else those
// that failed, as JSON.
func answerChecks(w http.ResponseWriter, r *http.Request, list []check) error {
	status, word := http.StatusOK, statusOK
	for _, c := range list {
		if c.Status != statusOK {
			status, word = http.StatusServiceUnavailable, statusFailed
		}
	}
	w.Header().Set("Cache-Control", "no-store")
	verbose := r.URL.Query().Has("verbose")
	if verbose && !strings.Contains(r.Header.Get("Accept"), contentJSON) {
		writeChecks(w, status, word, list)
		return nil
	}
	answer := struct {
		Status string  `json:"status"`
		Checks []check `json:"checks,omitempty"`
	}{Status: word}
	for _, c := range list {
		if verbose || c.Status != statusOK {
			answer.Checks = append(answer.Checks, c)
		}
	}
	body, err := json.Marshal(answer)
	WriteJSON(w, status, append(body, '\n'))
	return err
}

func writeChecks(w http.ResponseWriter, status int, word string, list []check) {
	var b strings.Builder
	for _, c := range list {
		sign := "+"
		if c.Status != statusOK {
			sign = "-"
		}
		b.WriteString("[" + sign + "] " + c.Name + ": " + c.Status)
		if c.Text != "" {
			b.WriteString(", " + c.Text)
		}
		b.WriteByte('\n')
	}
	b.WriteString(word + "\n")
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(b.String()))
}

// SetDraining turns readiness off, for good.
func (s *Server) SetDraining() { s.health.draining.Store(true) }
