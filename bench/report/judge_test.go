package report

import (
	"math"
	"strings"
	"testing"

	"fanfare/bench/result"
)

// verdictOn is the verdict on the goal of this name and target.
func verdictOn(t *testing.T, r *result.Report, name, target string) Verdict {
	t.Helper()
	for _, v := range Judge(r) {
		if strings.HasPrefix(v.Goal.Name, name) && strings.Contains(v.Goal.Target, target) {
			return v
		}
	}
	t.Fatalf("no goal %s %s", name, target)
	return Verdict{}
}

// change applies f to fanfare's runs of the scenario.
func change(r *result.Report, scenario, server string, f func(*result.Run)) *result.Report {
	for i := range r.Runs {
		if run := &r.Runs[i]; run.Scenario == scenario && run.Server == server {
			f(run)
		}
	}
	return r
}

func TestJudge(t *testing.T) {
	const cpu, toAll = "CPU per delivery, 1 ×", "a million get"
	million := func(fill func(*result.Run)) *result.Report {
		r := &result.Report{}
		for _, server := range []string{Floor, Ours} {
			run := result.Run{Scenario: Million, Server: server, Round: 1, Shape: result.Shape{Connections: 1_000_000}}
			run.Account = result.Account{Expected: 1_000_000, Received: 1_000_000}
			run.CPU.Share = 0.5
			r.Runs = append(r.Runs, run)
		}
		fill(&r.Runs[1])
		return r
	}
	none := func(*result.Run) {}
	for _, c := range []struct {
		title        string
		report       *result.Report
		name, target string
		state        State
		text         string // part of figure or reason
	}{
		{"at the limit", change(sample(), Idle, Ours, func(r *result.Run) { r.Memory.PerConnection = 300 }), "RSS per idle", "300", Met, "300 B"},
		{"just over", change(sample(), Idle, Ours, func(r *result.Run) { r.Memory.PerConnection = 300.01 }), "RSS per idle", "300", Missed, "300 B"},
		{"a peer is as good", change(sample(), Idle, "uWebSockets.js", func(r *result.Run) { r.Memory.PerConnection = 250 }), "RSS per idle", "peer", Missed, "uWebSockets.js"},
		{"no peer", change(sample(), Idle, "uWebSockets.js", func(r *result.Run) { r.Server = "fanfare --loops=1" }), "RSS per idle", "peer", NotMeasured, "no peer"},
		{"the generator limits a peer", change(sample(), Fanout, "uWebSockets.js", func(r *result.Run) { r.Load.Bound = true }), cpu, "peer", NotMeasured, generatorBound},
		{"the generator limits ours", change(sample(), Fanout, Ours, func(r *result.Run) { r.Load.Bound = true }), cpu, "floor", NotMeasured, generatorBound},
		{"memory has nothing to do with it", change(sample(), Idle, Ours, func(r *result.Run) { r.Load.Bound = true }), "RSS per idle", "300", Met, "280 B"},
		{"dear", change(sample(), Fanout, Ours, func(r *result.Run) { r.CPU.PerDelivery *= 1.1 }), cpu, "floor", Missed, "1.14"},
		{"one message lost", change(sample(), Fanout, Ours, func(r *result.Run) { r.Account.Missing = int64(r.Round / 3) }), cpu, "floor", Missed, "1 deliveries missing"},
		{"the floor lost some", change(sample(), Fanout, Floor, func(r *result.Run) { r.Account.Missing = 1 }), cpu, "floor", NotMeasured, "floor itself"},
		{"another size", change(sample(), Fanout, Ours, func(r *result.Run) { r.Shape.Size = 64 }), cpu, "floor", NotMeasured, "shape"},
		{"one round failed", change(sample(), Fanout, Ours, func(r *result.Run) { fail(r, 1) }), cpu, "floor", Met, "2 of 3 rounds"},
		{"all failed", change(sample(), Fanout, Ours, func(r *result.Run) { fail(r, r.Round) }), cpu, "floor", NotMeasured, "failed: hung"},
		{"no floor", change(sample(), Fanout, Floor, func(r *result.Run) { r.Server = "x" }), cpu, "floor", NotMeasured, "no run floor"},
		{"the floor is none", tooDear(), cpu, "floor", NotMeasured, "1.42"},
		{"peers do not need the floor", tooDear(), cpu, "peer", Met, ""},
		{"allocates", change(sample(), Fanout, Ours, func(r *result.Run) { *r.Allocations = 0.02 }), "allocations", "", Missed, "0.0200"},
		{"allocations unknown", change(sample(), Fanout, Ours, func(r *result.Run) { r.Allocations = nil }), "allocations", "", NotMeasured, "no round"},
		{"burst", sample(), "CPU per delivery, burst", "0.12", Met, "0.100"},
		{"burst in time", change(sample(), Burst, Ours, func(r *result.Run) { r.Reach.Last *= 6 }), "first publish", "0.5", Missed, "0.600"},
		{"connect", sample(), "CPU per connect", "1.4", Missed, "1.50"},
		{"topic", sample(), "RSS per topic", "400", Met, "380 B"},
		{"subscription", change(sample(), Topics, Ours, func(r *result.Run) { r.Memory.PerSubscription = 33 }), "RSS per further", "32", Missed, "33.0 B"},
		{"stopped", change(sample(), Slow, Ours, func(r *result.Run) { r.Delivery.P99 += int64(r.Shape.Stopped) * 1e5 }), "p99", "1.2", Missed, "without them"},
		{"too few stopped", change(sample(), Slow, Ours, func(r *result.Run) { r.Shape.Stopped /= 2 }), "p99", "1.2", NotMeasured, "shape"},
		{"not a number", change(sample(), Fanout, Ours, func(r *result.Run) { r.CPU.PerDelivery = math.NaN() }), cpu, "floor", NotMeasured, "no round"},
		{"a million", million(none), toAll, "", Met, "1,000,000 of 1,000,000"},
		{"all but one", million(func(r *result.Run) { r.Account.Received-- }), toAll, "", Missed, "999,999"},
		{"a connection lost", million(func(r *result.Run) { r.Account.Lost = 1 }), toAll, "", Missed, "1 lost connections"},
		{"its idle CPU", million(func(r *result.Run) { r.CPU.Share = 0.7 }), "idle CPU", "1.3", Missed, "1.40"},
	} {
		t.Run(c.title, func(t *testing.T) {
			v := verdictOn(t, c.report, c.name, c.target)
			if v.State != c.state || !strings.Contains(v.Figure+" "+v.Why, c.text) {
				t.Errorf("%s (%s) %s, want %s with %q", v.State, v.Figure, v.Why, c.state, c.text)
			}
		})
	}
}

func fail(r *result.Run, round int) {
	if r.Round == round {
		r.Failure = "hung"
	}
}
