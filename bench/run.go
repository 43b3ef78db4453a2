package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/alecthomas/kong"

	"fanfare/bench/result"
	"fanfare/bench/target"
)

type scenarioCmd struct{ settings }

// Run plays the scenario once, and again with one more generator process where that tells something.
func (c *scenarioCmd) Run(ctx context.Context, line *kong.Context, args commandLine, out io.Writer) error {
	scenario := line.Selected().Name
	c.complete(scenario)
	p, err := c.fit(scenario)
	if err != nil {
		return err
	}
	t, err := c.target(c.Server)
	if err != nil {
		return err
	}
	if err := c.suits(&t); err != nil {
		return err
	}
	report := newReport(ctx, args)
	run, failed := c.once(ctx, scenario, t, p, 1)
	if ctx.Err() != nil {
		return errInterrupted
	}
	if failed == nil {
		if more := c.withMore(ctx, scenario, t, p, 1); more > 0 {
			bound(run, []int64{run.Delivery.P50}, []int64{more})
		}
		c.topicMemory(ctx, run, t, p)
	}
	report.Runs = append(report.Runs, *run)
	printRun(out, run)
	return firstOf(write(c.JSON, report), failed)
}

func newReport(ctx context.Context, args commandLine) *result.Report {
	return &result.Report{Command: args.String(), Commit: commit(ctx), Began: time.Now(), Machine: thisMachine()}
}

// once plays a scenario against servers of its own. The run has figures even if it failed; err says why it did.
func (s *settings) once(ctx context.Context, scenario string, t target.Target, p plan, round int) (*result.Run, error) {
	playing, ok := playOf(scenario)
	if !ok {
		return nil, impossible("there is no scenario %q", scenario)
	}
	run := &result.Run{
		Scenario: scenario, Server: nameOf(s, &t), Round: round,
		Shape: result.Shape{
			Connections: s.Connections, Topics: s.Topics, Subscriptions: s.Connections * s.Subscriptions, Size: s.Size,
			Servers: p.servers, Generators: p.generators,
		},
	}
	if scenario == "slow" {
		run.Shape.Stopped = s.Stopped
	}
	st := &stage{settings: *s, plan: p, target: t, run: run, progress: newProgress(s.Quiet)}
	err := st.perform(ctx, playing)
	st.progress.end()
	if err != nil {
		run.Failure = err.Error()
		err = fmt.Errorf("%s: %w", run.Server, err)
	}
	return run, err
}

func nameOf(s *settings, t *target.Target) string {
	if s.URL != "" {
		return s.URL
	}
	return t.Name
}

// perform builds, plays, counts and clears.
func (st *stage) perform(ctx context.Context, playing play) error {
	defer st.clear()
	if err := st.build(ctx); err != nil {
		return err
	}
	ctx, release := st.guard(ctx)
	defer release()
	err := playing(st, ctx)
	if err == nil && st.run.Account.Expected == 0 { // not told yet
		err = st.tell(ctx)
	}
	if err == nil {
		err = st.exact(st.fleet.Latest().Why)
	}
	return st.blame(ctx, err)
}

const (
	boundBy     = 0.1 // how much shorter p50 may be with one more generator process
	boundRounds = 3   // in how many rounds that is tried; the medians count, since p50 varies by more between two
)

// withMore plays once more with one more generator process, and gives its p50; 0 if that cannot be.
func (s *settings) withMore(ctx context.Context, scenario string, t target.Target, p plan, round int) int64 {
	if !s.Bound || s.URL != "" || !boundable(scenario) || p.generators >= s.Connections {
		return 0
	}
	again := *s
	again.Settle = 0
	p.generators++
	other, err := again.once(ctx, scenario, t, p, round)
	if err != nil {
		return 0 // then it was not tested
	}
	return other.Delivery.P50
}

// bound marks the run if p50 is a tenth shorter with one more generator process: then the generator was what took the time. A longer one
// says nothing of the kind: on a machine whose cores they share, each process takes time from the server.
func bound(run *result.Run, own, more []int64) {
	if len(own) == 0 || len(more) == 0 {
		return
	}
	run.Load.Tested = true
	run.Load.P50 = medianOf(more)
	run.Load.Bound = float64(run.Load.P50) < (1-boundBy)*float64(medianOf(own))
}

// medianOf is the median.
func medianOf(values []int64) int64 {
	values = slices.Sorted(slices.Values(values))
	return (values[(len(values)-1)/2] + values[len(values)/2]) / 2
}

// topicMemory measures the same connections with fewer subscriptions, or with all on one topic: what they take less is the topics',
// if each has one subscriber, else the subscriptions'.
func (s *settings) topicMemory(ctx context.Context, run *result.Run, t target.Target, p plan) {
	if run.Scenario != "topics" || s.URL != "" || s.Topics < 2 || run.Memory.RSS == 0 {
		return
	}
	few := *s
	few.Subscriptions, few.Topics = 1, min(s.Topics, s.Connections)
	alone := s.Topics == s.Connections*s.Subscriptions
	if s.Subscriptions == 1 {
		few.Topics = 1
	}
	other, err := few.once(ctx, "connect", t, p, run.Round)
	if err != nil {
		return // then it was not measured
	}
	more := float64((run.Memory.Subscribed - run.Memory.RSSBefore) - (other.Memory.Subscribed - other.Memory.RSSBefore))
	switch {
	case alone || s.Subscriptions == 1:
		run.Memory.PerTopic = more / float64(s.Topics-few.Topics)
	case few.Topics == s.Topics:
		run.Memory.PerSubscription = more / float64(s.Connections*(s.Subscriptions-1))
	}
}

// write writes the report; an empty name: nowhere.
func write(name string, r *result.Report) error {
	if name == "" {
		return nil
	}
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile(name, append(b, '\n'), 0o644))
}
