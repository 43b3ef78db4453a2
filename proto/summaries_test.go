package proto

import (
	"fmt"
	"slices"
	"testing"

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
