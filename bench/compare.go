package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"text/tabwriter"

	ratios "fanfare/bench/report"
	"fanfare/bench/result"
	"fanfare/bench/target"
)

type compareCmd struct {
	Servers  []string `required:"" placeholder:"NAME,…" help:"Presets; the last is what the others are compared with, unless --base."`
	Scenario string   `default:"fanout" help:"Which (fanout)."`
	Rounds   int      `default:"5" help:"How often each, in turns (5)."`
	Base     string   `placeholder:"NAME" help:"What the others are compared with."`
	settings
}

// Run plays A B C A B C …, each with fresh processes.
func (c *compareCmd) Run(ctx context.Context, args commandLine, out io.Writer) error {
	if _, ok := playOf(c.Scenario); !ok {
		return impossible("there is no scenario %q", c.Scenario)
	}
	if c.URL != "" || c.Rounds < 1 {
		return impossible("compare starts its servers itself, at least once")
	}
	if len(c.Arg) > 0 {
		return impossible("--arg %s: the servers that are compared do not all know it", c.Arg[0])
	}
	c.complete(c.Scenario)
	p, err := c.fit(c.Scenario)
	if err != nil {
		return err
	}
	report := newReport(ctx, args)
	targets, err := c.targets(report)
	if err != nil {
		return err
	}
	if c.Base == "" {
		c.Base = c.Servers[len(c.Servers)-1]
	}
	failures := c.rounds(ctx, report, targets, p)
	if ctx.Err() != nil {
		return errInterrupted
	}
	printMedians(out, report, c.Servers)
	if err := ratios.WriteRatios(out, report, c.Base); err != nil {
		return err
	}
	if err := write(c.JSON, report); err != nil {
		return err
	}
	if failures > 0 {
		return fmt.Errorf("%d of %d runs failed", failures, len(report.Runs))
	}
	return nil
}

// targets are the servers that can run here and can play the scenario; what becomes of the others is noted.
func (c *compareCmd) targets(report *result.Report) ([]target.Target, error) {
	targets := make([]target.Target, 0, len(c.Servers))
	for _, name := range c.Servers {
		t, err := c.target(name)
		if err != nil && t.Missing == "" {
			return nil, err
		}
		if err == nil {
			err = c.suits(&t)
		}
		if err != nil {
			report.Notes = append(report.Notes, name+" was not run: "+err.Error())
			fmt.Fprintf(os.Stderr, "bench: %s was not run: %s\n", name, err)
			continue
		}
		targets = append(targets, t)
	}
	if len(targets) == 0 {
		return nil, impossible("none of the servers can run")
	}
	return targets, nil
}

func (c *compareCmd) rounds(ctx context.Context, report *result.Report, targets []target.Target, p plan) (failures int) {
	tried := make([]tries, len(targets))
	for round := range c.Rounds {
		for k := range targets {
			run, err := c.once(ctx, c.Scenario, targets[k], p, round+1)
			if ctx.Err() != nil {
				return failures
			}
			if err != nil {
				failures++
				fmt.Fprintf(os.Stderr, "bench: %s\n", err)
			} else {
				c.topicMemory(ctx, run, targets[k], p)
				tried[k].own = append(tried[k].own, run.Delivery.P50)
				if round < boundRounds {
					tried[k].add(c.withMore(ctx, c.Scenario, targets[k], p, round+1))
				}
			}
			report.Runs = append(report.Runs, *run)
			if !c.Quiet {
				fmt.Fprintf(os.Stderr, "round %d: %s %.2f us per delivery, p50 %s\n", round+1, run.Server, run.CPU.PerDelivery/1e3, ns(run.Delivery.P50))
			}
		}
	}
	for k := range targets {
		if i := slices.IndexFunc(report.Runs, func(r result.Run) bool { return r.Server == targets[k].Name && r.Failure == "" }); i >= 0 {
			bound(&report.Runs[i], tried[k].own, tried[k].more)
		}
	}
	return failures
}

// tries are the p50 of a server's rounds, and of those with one more generator process.
type tries struct{ own, more []int64 }

func (t *tries) add(p50 int64) {
	if p50 > 0 {
		t.more = append(t.more, p50)
	}
}

// printMedians prints the median of what did not fail.
func printMedians(out io.Writer, report *result.Report, servers []string) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(w, "server\tRSS per connection\tCPU per connect\tCPU per delivery\tp50\tp99\tlast\truns\t")
	for _, name := range servers {
		median := func(get func(*result.Run) float64) float64 {
			var values []float64
			for k := range report.Runs {
				if r := &report.Runs[k]; r.Server == name && r.Failure == "" {
					values = append(values, get(r))
				}
			}
			if len(values) == 0 {
				return 0
			}
			slices.Sort(values)
			return (values[(len(values)-1)/2] + values[len(values)/2]) / 2
		}
		runs := 0
		for k := range report.Runs {
			if r := &report.Runs[k]; r.Server == name && r.Failure == "" {
				runs++
			}
		}
		_, _ = fmt.Fprintf(w, "%s\t%.0f B\t%.1f us\t%.2f us\t%s\t%s\t%s\t%d\t\n", name,
			median(func(r *result.Run) float64 { return r.Memory.PerConnection }),
			median(func(r *result.Run) float64 { return r.CPU.PerConnect })/1e3,
			median(func(r *result.Run) float64 { return r.CPU.PerDelivery })/1e3,
			ns(int64(median(func(r *result.Run) float64 { return float64(r.Delivery.P50) }))),
			ns(int64(median(func(r *result.Run) float64 { return float64(r.Delivery.P99) }))),
			ns(int64(median(func(r *result.Run) float64 { return float64(r.Reach.Last) }))), runs)
	}
	_ = w.Flush() // stdout is gone then
}

type serversCmd struct{}

// Run lists the presets.
func (*serversCmd) Run(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	all := target.All()
	for k := range all {
		what := "can run"
		if all[k].Missing != "" {
			what = all[k].Missing
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\n", all[k].Name, what)
	}
	return w.Flush()
}
