package proto

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"fanfare/loop"
)

// summary is a line of the log that tells what the loops did by themselves within a second.
type summary struct {
	message string
	attrs   []slog.Attr
}

// watchLoops logs, once a second and summed by reason, what the loops do without asking a dialect: whom they refuse before anything is
// read, whom they cut off, what they drop.
func (s *Server) watchLoops() {
	tick := time.NewTicker(refusalPause)
	defer tick.Stop()
	var before loop.Stats
	for serving := true; serving; {
		pause := refusalPause
		select {
		case <-s.done: // the last time, with all that is left
			serving, pause = false, 0
		case <-tick.C:
		}
		now := s.group.Stats()
		for _, line := range summaries(&before, &now) {
			s.log.LogAttrs(context.Background(), slog.LevelInfo, line.message, line.attrs...)
		}
		before = now
		s.refusals.flush(time.Now(), pause)
	}
}

// summaries tell what has been added since. The reasons are the labels of the metrics.
func summaries(before, now *loop.Stats) (lines []summary) {
	add := func(message string, n int64, attrs ...slog.Attr) {
		if n > 0 {
			lines = append(lines, summary{message, append(attrs, slog.Int64("count", n))})
		}
	}
	for why := range now.Refused {
		status := http.StatusServiceUnavailable
		if loop.Refusal(why) == loop.FullRate {
			status = http.StatusTooManyRequests
		}
		add(handshake+"s refused at the door", now.Refused[why]-before.Refused[why],
			slog.String("reason", loop.Refusal(why).String()), slog.Int("status", status))
	}
	for _, why := range []loop.Reason{loop.Slow, loop.Silent} {
		add("connections cut off", now.Closed[why]-before.Closed[why], slog.String("reason", why.String()))
	}
	for _, p := range policies {
		add("messages dropped for slow readers", now.DroppedBy[p.class]-before.DroppedBy[p.class], slog.String("policy", p.name))
	}
	return lines
}
