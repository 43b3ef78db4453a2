package report

import (
	"time"

	"fanfare/bench/result"
)

// sample is a report with everything in it: three rounds, a peer, a run that failed, one that the generator limited.
func sample() *result.Report {
	r := &result.Report{
		Command: "fanfare-bench run --rounds 3",
		Commit:  "0123abc-dirty",
		Began:   time.Date(2026, 11, 21, 16, 51, 6, 0, time.UTC),
		Machine: result.Machine{CPU: "AMD EPYC 9R14", Cores: 2, Memory: 8 << 30, Kernel: "6.18.44", Go: "go1.26.0", Files: 1 << 20},
		Notes:   []string{"million: not run, 1,000,000 descriptors wanted and 20,000 allowed"},
	}
	for round := 1; round <= 3; round++ {
		drift := 1 + 0.03*float64(round-2) // what the machine does to all servers of a round
		for i, server := range []string{"floor", "fanfare", "uWebSockets.js"} {
			r.Runs = append(r.Runs, sampleRuns(server, round, float64(i), drift)...)
		}
	}
	for i := range r.Runs {
		run := &r.Runs[i]
		run.Load.Tested = run.Scenario != Idle
		switch {
		case run.Server == "uWebSockets.js" && run.Scenario == Fanout && run.Round == 2:
			*run = result.Run{Scenario: run.Scenario, Server: run.Server, Round: 2, Shape: run.Shape, Failure: "died: signal: killed"}
		case run.Server == "uWebSockets.js" && run.Scenario == Burst:
			run.Load.Bound = true
		case run.Server == "fanfare" && run.Scenario == Slow && run.Shape.Stopped > 0:
			run.Account.Lost = int64(run.Shape.Stopped)
		}
	}
	return r
}

// sampleRuns are those of one server in one round; n is 0 for the floor, and each server after it is dearer.
func sampleRuns(server string, round int, n, drift float64) []result.Run {
	var all []result.Run
	add := func(scenario string, shape result.Shape, fill func(*result.Run)) {
		run := result.Run{Scenario: scenario, Server: server, Round: round, Shape: shape, Seconds: 20}
		run.Load.Share = 0.61
		fill(&run)
		all = append(all, run)
	}
	for _, connections := range []int{1000, 5000, 15000} {
		add(Idle, result.Shape{Connections: connections}, func(run *result.Run) {
			run.Memory.PerConnection = 90 + 190*n*drift
			run.Memory.RSS = 12<<20 + int64(float64(connections)*run.Memory.PerConnection)
			run.CPU.Share = 0.01 * (1 + n/2) * drift
		})
		add(Fanout, result.Shape{Connections: connections, Size: 128, Messages: 100}, func(run *result.Run) {
			delivered(run, 1500*(1+n*0.04)*drift, 32e6*(1+n*0.04)*drift)
		})
	}
	add(Connect, result.Shape{Connections: 15000}, func(run *result.Run) { run.CPU.PerConnect = 21000 * (1 + n*0.5) * drift })
	add(Burst, result.Shape{Connections: 10000, Size: 128, Burst: 32, Messages: 320}, func(run *result.Run) {
		cheaper := 1.0
		if n > 0 {
			cheaper = 0.1 * n
		}
		delivered(run, 1500*cheaper*drift, 600e6*cheaper*drift)
	})
	for _, stopped := range []int{0, 500} {
		add(Slow, result.Shape{Connections: 10000, Size: 128, Messages: 100, Stopped: stopped}, func(run *result.Run) {
			delivered(run, 1500*(1+n*0.1)*drift, 22e6*(1+n*0.1+float64(stopped)/5000)*drift)
		})
	}
	if server == Floor {
		all[0].Floor = &result.Floor{Plain: 1400, Ratio: 1.07}
		return all
	}
	for _, topics := range []int{10, 1000, 100_000} {
		add(Topics, result.Shape{Connections: 10000, Topics: topics, Subscriptions: 100_000}, func(run *result.Run) {
			run.Memory.PerTopic, run.Memory.PerSubscription = 380*n*drift, 30*n*drift
			run.Memory.RSS = 20<<20 + int64(float64(topics)*run.Memory.PerTopic)
		})
	}
	return all
}

// delivered fills what a run has that delivers messages.
func delivered(run *result.Run, cpu, last float64) {
	s := run.Shape
	n := int64(s.Connections-s.Stopped) * int64(s.Messages)
	run.Account = result.Account{Expected: n, Received: n}
	run.CPU.PerDelivery = cpu
	run.Reach = result.Reach{First: int64(last / 30), Median: int64(last / 2), P99: int64(last * 0.98), Last: int64(last)}
	run.Delivery = result.Times{Count: n, P50: int64(last / 2), P90: int64(last * 0.9), P99: int64(last * 0.99), Max: int64(last * 1.1)}
	run.Switches = result.Switches{Voluntary: int64(cpu * 3), Involuntary: int64(cpu)}
	if run.Server == Ours {
		none := 0.0
		run.Allocations, run.LoopLag = &none, last/1e9/4
	}
}

// hostile is what nobody should call a server, in every string that a report has.
const hostile = "a|b<script>alert(1)</script>\n# c\r\t`d` [e](javascript:f) *g* \\ & \"h\" 'i' \x00\x1b[31m \u202e\xff --> ]]>"

func hostileReport() *result.Report {
	r := sample()
	r.Command, r.Commit, r.Notes = hostile+"```\n````", hostile, []string{hostile, "- x", "1. y"}
	r.Machine.CPU, r.Machine.Kernel, r.Machine.Go = hostile, hostile, hostile
	for i := range r.Runs {
		run := &r.Runs[i]
		if run.Server == "uWebSockets.js" {
			run.Server = hostile
		}
		if run.Failure != "" {
			run.Failure = hostile
		}
		if run.Scenario == Topics {
			run.Scenario = hostile
		}
	}
	return r
}
