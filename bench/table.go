package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"fanfare/bench/result"
)

// printRun prints what a person wants to know of a run.
func printRun(to io.Writer, r *result.Run) {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { _, _ = fmt.Fprintf(w, name+"\t"+format+"\n", args...) }
	row(r.Scenario, "%s, %d connections; processes: %d of the server, %d of the generator", r.Server, r.Shape.Connections, r.Shape.Servers, r.Shape.Generators)
	if r.Failure != "" {
		row("FAILED", "%s", r.Failure)
	}
	printAccount(row, r)
	printCosts(row, r)
	printLoad(row, r)
	_ = w.Flush() // stdout is gone then
}

type rowFunc func(name, format string, args ...any)

func printAccount(row rowFunc, r *result.Run) {
	a := &r.Account
	row("account", "%d deliveries of %d; %d missing, %d repeated, %d out of order, %d garbage; %d refused, %d lost",
		a.Received, a.Expected, a.Missing, a.Repeated, a.Disorder, a.Garbage, a.Refused, a.Lost)
	if d := &r.Delivery; d.Count > 0 {
		row("publish to receive", "p50 %s, p90 %s, p99 %s, p99.9 %s, max %s", ns(d.P50), ns(d.P90), ns(d.P99), ns(d.P999), ns(d.Max))
	}
	if r.Reach.Last > 0 {
		row("receivers", "first %s, median %s, p99 %s, last %s", ns(r.Reach.First), ns(r.Reach.Median), ns(r.Reach.P99), ns(r.Reach.Last))
	}
	if s := r.Slow; s != nil {
		row("stopped readers", "%d: %d ended by the server, %d left with gaps, %d complete; they got %d, %d missing",
			r.Shape.Stopped, s.Ended, s.Gapped, r.Shape.Stopped-s.Ended-s.Gapped, s.Account.Received, s.Account.Missing)
	}
	if c := &r.Connect; c.Opened > 0 {
		row("handshakes", "%d in %.2f s; p50 %s, p99 %s, max %s", c.Opened, c.Seconds, ns(c.Shakes.P50), ns(c.Shakes.P99), ns(c.Shakes.Max))
		if c.Teardown > 0 {
			row("teardown", "%.2f s, each with a close frame", c.Teardown)
		}
	}
}

func printCosts(row rowFunc, r *result.Run) {
	m := &r.Memory
	if m.RSS == 0 {
		row("server", "its process is not known (--pid), so what it cost is not either")
		return
	}
	if r.CPU.PerDelivery > 0 {
		row("CPU per delivery", "%.2f us", r.CPU.PerDelivery/1e3)
	}
	if r.CPU.PerConnect > 0 {
		row("CPU per connect", "%.1f us", r.CPU.PerConnect/1e3)
	}
	row("CPU", "%s user, %s system in %.2f s: %.1f %% of a core", ns(r.CPU.User), ns(r.CPU.System), r.Seconds, 100*r.CPU.Share)
	n := float64(max(r.Shape.Connections, 1))
	row("memory", "RSS %s (empty %s, peak %s), PSS %s (empty %s); slope %.0f and %.0f B per connection", bytesText(m.RSS),
		bytesText(m.RSSBefore), bytesText(m.Peak), bytesText(m.PSS), bytesText(m.PSSBefore), m.PerConnection, m.PSSPerConnection)
	row("kernel memory", "%s, %.0f B per connection, both ends", bytesText(m.Kernel), float64(m.Kernel)/n)
	if m.PerTopic != 0 {
		row("memory of a topic", "%.0f B", m.PerTopic)
	}
	if m.PerSubscription != 0 {
		row("memory of a subscription", "%.0f B", m.PerSubscription)
	}
	if r.Allocations != nil {
		row("allocations per delivery", "%.4f", *r.Allocations)
	}
	row("switches", "%d voluntary, %d involuntary", r.Switches.Voluntary, r.Switches.Involuntary)
	if r.LoopLag > 0 {
		row("loop lag", "%s at most", ns(int64(r.LoopLag*1e9)))
	}
	if f := r.Floor; f != nil {
		row("plain send loop", "%.2f us; this is %.2f times that (valid: %t)", f.Plain/1e3, f.Ratio, f.Valid())
	}
}

func printLoad(row rowFunc, r *result.Run) {
	l := &r.Load
	row("generator", "%.0f %% of the cores", 100*l.Share)
	if l.RSS > 0 {
		row("generator's memory", "RSS %s", bytesText(l.RSS))
	}
	switch {
	case l.Bound:
		row("generator-bound", "p50 is %s with one more generator process: these are the generator's figures", ns(l.P50))
	case l.Tested:
		row("not generator-bound", "p50 is %s with one more generator process", ns(l.P50))
	}
}

// ns is a time in three digits or so.
func ns(v int64) string {
	d := time.Duration(v)
	switch {
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(10 * time.Nanosecond).String()
}
