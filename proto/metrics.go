package proto

import (
	"io"
	"net/http"
	"strconv"

	"github.com/VictoriaMetrics/metrics"

	"fanfare/loop"
)

// Labels are always ours: the codes of Error, the strings of loop.Reason, the version. No string of a client gets into one, so the
// number of series is bounded.

// count adds one to a counter; labels is like `reason="busy"`.
func (s *Server) count(name, labels string) {
	s.metrics.GetOrCreateCounter(name + "{" + labels + "}").Inc()
}

// serveMetrics answers in the Prometheus text format.
func (s *Server) serveMetrics(w http.ResponseWriter, r *http.Request) error {
	if r.ContentLength != 0 {
		return errNoBody
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	s.metrics.WritePrometheus(w)
	metrics.WriteProcessMetrics(w)
	return nil
}

// writeStats writes what loops and hub count by themselves.
func (s *Server) writeStats(w io.Writer) {
	h := s.hub.Stats()
	metrics.WriteCounterUint64(w, "fanfare_encodes_total", h.Encodes)
	metrics.WriteCounterUint64(w, "fanfare_deliveries_total", h.Deliveries)
	metrics.WriteCounterUint64(w, "fanfare_publishes_total", h.Publishes)
	metrics.WriteCounterUint64(w, "fanfare_publishes_busy_total", h.Busy)
	gauge(w, "fanfare_topics", int64(h.Topics))
	gauge(w, "fanfare_subscriptions", int64(h.Members))
	gauge(w, "fanfare_undelivered_bytes", int64(h.UndeliveredBytes))

	l := s.group.Stats()
	gauge(w, "fanfare_connections", l.Conns)
	gauge(w, "fanfare_backlog_bytes", l.Queued)
	gauge(w, "fanfare_backlog_frames", l.QueueNodes)
	counter(w, "fanfare_connections_accepted_total", l.Accepted)
	counter(w, "fanfare_accept_errors_total", l.AcceptErrors)
	counter(w, "fanfare_upgrades_total", l.Upgraded)
	counter(w, "fanfare_messages_received_total", l.Messages)
	counter(w, "fanfare_dropped_frames_total", l.Dropped)
	counter(w, "fanfare_writes_total", l.Writes)
	counter(w, "fanfare_bytes_sent_total", l.Bytes)
	counter(w, `fanfare_panics_total{where="loop"}`, l.Panics)
	for reason, n := range l.Closed {
		counter(w, `fanfare_disconnects_total{reason="`+loop.Reason(reason).String()+`"}`, n)
	}
	open := 0
	for i := range s.listeners {
		open += s.group.HTTP(i).Open()
	}
	gauge(w, "fanfare_http_connections", int64(open))
	gauge(w, "fanfare_build_info{version="+strconv.Quote(s.version)+"}", 1)
}

func counter(w io.Writer, name string, n int64) {
	metrics.WriteCounterUint64(w, name, uint64(max(n, 0)))
}

func gauge(w io.Writer, name string, n int64) {
	metrics.WriteGaugeUint64(w, name, uint64(max(n, 0)))
}
