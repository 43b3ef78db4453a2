package proto

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"fanfare/loop"
)

// TestSummaries: each reason has its line, with what was added and nothing else; what nobody did is not told.
func TestSummaries(t *testing.T) {
	var before, now loop.Stats
	if lines := summaries(&before, &now); lines != nil {
		t.Errorf("nothing happened: %v", lines)
	}
	before.Refused[loop.FullConns], now.Refused[loop.FullConns] = 5, 8
	now.Refused[loop.FullRate] = 1
	before.Closed[loop.Slow], now.Closed[loop.Slow] = 1, 3
	now.Closed[loop.Silent] = 4
	now.Closed[loop.ByClient] = 1000
	before.DroppedBy[loop.DropOldest], now.DroppedBy[loop.DropOldest] = 7, 7
	now.DroppedBy[loop.Conflate] = 9
	lines := summaries(&before, &now)
	got := make([]string, len(lines))
	for i, line := range lines {
		got[i] = fmt.Sprint(line.message, " ", line.attrs)
	}
	want := []string{
		"handshakes refused at the door [reason=connections_full status=503 count=3]",
		"handshakes refused at the door [reason=accept_rate status=429 count=1]",
		"connections cut off [reason=slow count=2]",
		"connections cut off [reason=silent count=4]",
		"messages dropped for slow readers [policy=conflate count=9]",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

// TestRefusalsAreSummed: one line a second for each kind and code, and every refusal is in some line, also those after which nothing
// more comes.
func TestRefusalsAreSummed(t *testing.T) {
	var log bytes.Buffer
	f := refusals{log: slog.New(slog.NewTextHandler(&log, nil))}
	now := time.Now()
	lines := 0
	for range 300 {
		if left, ok := f.admit(message, "rate_limited", now); ok {
			lines++
			if left != 0 {
				t.Errorf("%d left out before the first", left)
			}
		}
	}
	if lines != 1 {
		t.Errorf("%d lines at once", lines)
	}
	f.flush(now.Add(refusalPause/2), refusalPause)
	if log.Len() > 0 {
		t.Errorf("too early: %s", log.String())
	}
	now = now.Add(refusalPause)
	f.flush(now, refusalPause)
	if got := log.String(); !strings.Contains(got, `msg="message refused" reason=rate_limited left_out=299`) {
		t.Errorf("got %s", got)
	}
	log.Reset()
	f.flush(now.Add(time.Hour), refusalPause)
	if log.Len() > 0 {
		t.Errorf("told twice: %s", log.String())
	}
	f.admit(message, "rate_limited", now) // within the pause of the summary
	f.flush(now, 0)                       // the end
	if got := log.String(); !strings.Contains(got, "left_out=1") {
		t.Errorf("at the end: %s", got)
	}
}
