package proto

import (
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"golang.org/x/sys/unix"

	"fanfare/loop"
)

// Labels are always ours: the codes of Error, the strings of loop.Reason, names of dialects, numbers of loops, the version. No string of
// a client gets into one, so the number of series is bounded.

// counts is what the server counts by itself.
type counts struct {
	refused map[string]*tally // by kind
	panics  atomic.Uint64     // outside of the loops
	reload  atomic.Int64      // when settings were last taken, in milliseconds of the epoch
	failed  atomic.Bool       // the last try to take settings failed
}

func (n *counts) init() {
	n.refused = map[string]*tally{handshake: new(tally), message: new(tally), request: new(tally)}
	n.reload.Store(time.Now().UnixMilli())
}

// serveMetrics answers in the Prometheus text format.
func (s *Server) serveMetrics(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	x := exposition{buf: make([]byte, 0, 16<<10)}
	s.writeHub(&x)
	s.writeLoops(&x)
	s.writeServer(&x)
	_, _ = w.Write(x.buf)
	metrics.WriteProcessMetrics(w)
	return nil
}

// writeHub writes what the hub counts.
func (s *Server) writeHub(x *exposition) {
	h, lag := s.hub.Stats(), s.hub.Lag()
	x.counter("fanfare_encodes_total", "Events brought into a wire form, once for each form in use.", h.Encodes)
	x.counter("fanfare_deliveries_total", "Frames of events handed to connections.", h.Deliveries)
	x.counter("fanfare_publishes_total", "Events published, those refused included.", h.Publishes)
	x.counter("fanfare_publishes_busy_total", "Events refused because undelivered bytes were at their limit.", h.Busy)
	x.gauge("fanfare_topics", "Topics that have subscribers.", float64(h.Topics))
	x.gauge("fanfare_subscriptions", "Subscriptions of connections to topics.", float64(h.Members))
	x.gauge("fanfare_undelivered_bytes", "Bytes of events that some loop has not delivered, as the limit counts them.", float64(h.UndeliveredBytes))
	x.gauge("fanfare_cursor_lag_events", "Events that the slowest loop is behind in any topic.", float64(lag.Events))
	x.gauge("fanfare_cursor_lag_bytes", "Undelivered bytes of the topic that has most of them.", float64(lag.Bytes))
	x.gauge("fanfare_cursor_lag_seconds", "Age of the oldest event that some loop has not delivered.", lag.Age.Seconds())
	x.latency("fanfare_publish_to_last_write_seconds",
		"Time from an event's position to when its last subscriber's frame was handed over, to the socket or to the backlog of a full one.",
		s.hub.Latency())
}

// writeLoops writes what the loops count.
func (s *Server) writeLoops(x *exposition) {
	l := s.group.Stats()
	x.gauge("fanfare_connections", "Connections that the loops hold, whatever their state.", float64(l.Conns))
	x.gauge("fanfare_backlog_bytes", "Bytes that wait for slow consumers, shared ones counted for each.", float64(l.Queued))
	x.gauge("fanfare_backlog_frames", "Frames that wait for slow consumers.", float64(l.QueueNodes))
	x.counter("fanfare_connections_accepted_total", "Connections accepted.", unsigned(l.Accepted))
	x.counter("fanfare_accept_errors_total", "Accepts that failed for want of descriptors or memory.", unsigned(l.AcceptErrors))
	x.counter("fanfare_upgrades_total", "Handshakes that ended in a 101.", unsigned(l.Upgraded))
	x.counter("fanfare_messages_received_total", "Data messages from clients.", unsigned(l.Messages))
	x.counter("fanfare_dropped_frames_total", "Frames that policies for slow consumers have dropped.", unsigned(l.Dropped))
	x.family("fanfare_policy_drops_total", "counter", "The same by policy; disconnect drops none, it closes.")
	for _, p := range policies {
		x.value("policy", p.name, float64(l.DroppedBy[p.class]))
	}
	x.gauge("fanfare_backlog_held_bytes", "Memory that backlogs hold, as the limit of the process counts it.", float64(l.Backlog))
	x.counter("fanfare_connections_adopted_total", "Connections that plain HTTP gave back for an upgrade.", unsigned(l.Adopted))
	x.counter("fanfare_connections_moved_total", "Connections that one loop accepted for an emptier one.", unsigned(l.Moved))
	x.counter("fanfare_writes_total", "System calls that wrote to clients.", unsigned(l.Writes))
	x.counter("fanfare_bytes_sent_total", "Bytes written to clients.", unsigned(l.Bytes))
	x.family("fanfare_disconnects_total", "counter", "Connections that ended, by reason; http is those handed to plain HTTP.")
	for reason, n := range l.Closed {
		x.value("reason", loop.Reason(reason).String(), float64(n))
	}
	x.family("fanfare_panics_total", "counter", "Panics caught; each has cost one connection or one request.")
	x.value("where", "loop", float64(l.Panics))
	x.value("where", "proto", float64(s.counts.panics.Load()))
	s.writeEachLoop(x)
}

// writeEachLoop writes how each loop does.
func (s *Server) writeEachLoop(x *exposition) {
	loops := s.group.LoopStats()
	for _, m := range []struct {
		name, kind, help string
		value            func(l *loop.LoopStats) float64
	}{
		{"fanfare_loop_connections", "gauge", "Connections of a loop.", func(l *loop.LoopStats) float64 { return float64(l.Conns) }},
		{"fanfare_loop_lag_seconds", "gauge", "By how much a loop's last tick came late.", func(l *loop.LoopStats) float64 { return l.Lag.Seconds() }},
		{"fanfare_loop_busy_ratio", "gauge", "Share of the time between a loop's last two ticks that went into callbacks.", func(l *loop.LoopStats) float64 { return l.Busy }},
		{"fanfare_loop_busy_seconds_total", "counter", "Time a loop has spent in callbacks.", func(l *loop.LoopStats) float64 { return l.BusyTime.Seconds() }},
		{"fanfare_loop_tick_age_seconds", "gauge", "Time since a loop's last tick.", func(l *loop.LoopStats) float64 { return time.Since(l.Ticked).Seconds() }},
	} {
		x.family(m.name, m.kind, m.help)
		for i := range loops {
			x.value("loop", strconv.Itoa(loops[i].ID), m.value(&loops[i]))
		}
	}
}

// writeServer writes what the server and the process count.
func (s *Server) writeServer(x *exposition) {
	l := s.group.Stats()
	for _, kind := range []string{handshake, message, request} {
		n := s.counts.refused[kind].read()
		if kind == handshake {
			for why, c := range l.Refused {
				n[loop.Refusal(why).String()] += unsigned(c)
			}
		}
		x.tallied("fanfare_"+kind+"s_refused_total", refusedHelp[kind], "reason", n)
	}
	x.family("fanfare_websocket_connections", "gauge", "Connections that are upgraded, by dialect.")
	for _, d := range s.dialects {
		x.value("dialect", d.dialect.Name(), float64(d.open.Load()))
	}
	open := 0
	for i := range s.listeners {
		open += s.group.HTTP(i).Open()
	}
	x.gauge("fanfare_http_connections", "Connections that plain HTTP holds, of all listeners for clients.", float64(open))
	used, limit := descriptors()
	x.gauge("fanfare_descriptors", "Descriptors that the process has open.", float64(used))
	x.gauge("fanfare_descriptors_limit", "Descriptors that the process may have open.", float64(limit))
	taken := 1.0
	if s.counts.failed.Load() {
		taken = 0
	}
	x.gauge("fanfare_config_last_reload_successful", "1 if the last settings given at run time were taken, or none were.", taken)
	x.gauge("fanfare_config_last_reload_success_timestamp_seconds", "When settings were last taken.", unixSeconds(time.UnixMilli(s.counts.reload.Load())))
	x.family("fanfare_build_info", "gauge", "1, with the version of the server.")
	x.value("version", strings.ToValidUTF8(s.version, ""), 1)
}

// descriptors counts those open, and gives the limit.
func descriptors() (used int, limit uint64) {
	const fds = "/proc/self/fd"
	if info, err := os.Stat(fds); err == nil && info.Size() > 0 { // since Linux 6.2
		used = int(info.Size())
	} else if dir, err := os.Open(fds); err == nil {
		names, _ := dir.Readdirnames(-1)
		_ = dir.Close()
		used = max(len(names)-1, 0) // that of the directory
	}
	var r unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &r) == nil {
		limit = r.Cur
	}
	return used, limit
}

func unsigned(n int64) uint64 { return uint64(max(n, 0)) }
