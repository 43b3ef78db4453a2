//go:build bench

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"fanfare/bench/result"
)

// everyScenario is all scenarios in a small size, with what each must deliver: exact numbers, no times.
var everyScenario = map[string]struct {
	args     []string
	received int64 // 0: churn's depends on time
}{
	"connect": {[]string{"--connections=400"}, 400},
	"idle":    {[]string{"--connections=400", "--idle=1s"}, 400},
	"fanout":  {[]string{"--connections=400", "--messages=20"}, 400 * 20},
	"burst":   {[]string{"--connections=400", "--messages=5", "--burst=32"}, 400 * 5 * 32},
	"topics":  {[]string{"--connections=400", "--topics=40", "--subscriptions=5", "--messages=3"}, 400 * 5 * 3},
	"churn":   {[]string{"--connections=300", "--seconds=2s"}, 0},
	"slow":    {[]string{"--connections=200", "--stopped=10", "--messages=50"}, 190 * 50},
	"storm":   {[]string{"--connections=400"}, 2 * 400}, // before and after
	"million": {[]string{"--connections=2000", "--files-per-process=700", "--idle=1s"}, 2000},
}

// atRoot plays a scenario from the root of the repository, where the presets find their servers.
func atRoot(t *testing.T, args ...string) (*result.Report, error) {
	t.Helper()
	if _, err := os.Stat("go.mod"); err != nil {
		t.Chdir("..")
	}
	file := filepath.Join(t.TempDir(), "report.json")
	failed := perform(t.Context(), append(args, "--quiet", "--warmup=0", "--json="+file), t.Output())
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("no report: %v, %v", failed, err)
	}
	var r result.Report
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	return &r, failed
}

// TestRealScenarios plays every scenario against the real server, and those that the floor knows against it, too.
func TestRealScenarios(t *testing.T) {
	for name, c := range everyScenario {
		for _, server := range []string{"fanfare", "floor"} {
			if server == "floor" && slices.Contains([]string{"topics", "slow"}, name) {
				continue // it knows no topics, and cuts off who does not read at once
			}
			t.Run(name+"/"+server, func(t *testing.T) {
				r, err := atRoot(t, slices.Concat([]string{name, "--server=" + server}, c.args)...)
				if err != nil || len(r.Runs) != 1 {
					t.Fatalf("%v, %d runs", err, len(r.Runs))
				}
				a := r.Runs[0].Account
				if c.received > 0 && a.Received != c.received || a.Received == 0 || a.Received != a.Expected || a.Missing+a.Repeated+a.Disorder+a.Garbage+a.Lost != 0 {
					t.Errorf("%+v, want %d", a, c.received)
				}
				if name == "million" && r.Runs[0].Shape.Servers < 4 {
					t.Errorf("%d server processes", r.Runs[0].Shape.Servers)
				}
			})
		}
	}
}

// TestRealAllocations: what the server allocates for a message does not depend on how many get it.
func TestRealAllocations(t *testing.T) {
	of := func(connections int) float64 {
		r, err := atRoot(t, "fanout", "--messages=200", "--connections="+strconv.Itoa(connections))
		if err != nil || r.Runs[0].Allocations == nil {
			t.Fatal(err)
		}
		return *r.Runs[0].Allocations * float64(connections)
	}
	few, many := of(50), of(1000)
	t.Logf("%.0f allocations a message to 50, %.0f to 1,000", few, many)
	if many > few+50 { // 950 more members
		t.Errorf("%.0f allocations a message to 50, %.0f to 1,000", few, many)
	}
}

// TestRealCompare: two servers in turns, with the ratio of one to the other.
func TestRealCompare(t *testing.T) {
	r, err := atRoot(t, "compare", "--servers=fanfare,gws,floor", "--scenario=fanout", "--rounds=2", "--connections=200", "--messages=5", "--no-bound")
	if err != nil || len(r.Runs) != 6 {
		t.Fatalf("%v, %d runs", err, len(r.Runs))
	}
	order := make([]string, len(r.Runs))
	for i := range r.Runs {
		order[i] = r.Runs[i].Server + strconv.Itoa(r.Runs[i].Round)
		if r.Runs[i].Server == "floor" && (r.Runs[i].Floor == nil || r.Runs[i].Floor.Ratio <= 0) {
			t.Errorf("the floor was not held against a plain send loop: %+v", r.Runs[i].Floor)
		}
	}
	if got := strings.Join(order, " "); got != "fanfare1 gws1 floor1 fanfare2 gws2 floor2" {
		t.Errorf("played %s", got)
	}
}
