package report

import (
	"fmt"
	"slices"

	"fanfare/bench/result"
)

// State says how a goal stands.
type State string

// States of goals.
const (
	Met         State = "met"
	Missed      State = "missed"
	NotMeasured State = "not measured"
)

// Verdict is what a report says about a goal.
type Verdict struct {
	Goal   Goal
	State  State
	Figure string  // with its unit and spread; empty when it was not measured
	Value  float64 // that was held against the limit
	Why    string  // it was not measured, or what else made it missed
}

// Judge holds fanfare's runs against every goal.
func Judge(r *result.Report) []Verdict {
	all := make([]Verdict, 0, len(Goals()))
	for _, goal := range Goals() {
		v := (&court{goal, groups(r), floorTooDear(r)}).judge()
		v.Goal = goal
		all = append(all, v)
	}
	return all
}

// court judges one goal.
type court struct {
	goal    Goal
	groups  []*group
	tooDear *result.Floor
}

func (c *court) judge() Verdict {
	g := c.group()
	if g == nil {
		return notMeasured("no run of this shape")
	}
	ours := g.series[Ours]
	if failed := ours.failures(); len(failed) == len(ours.runs()) {
		return notMeasured("failed: " + failed[0].why)
	}
	v := c.held(g, ours)
	if failed := ours.failures(); len(failed) > 0 && v.Why == "" {
		v.Why = fmt.Sprintf("%d of %d runs failed", len(failed), len(ours.runs()))
	}
	if wrong := ours.faults(); wrong != "" {
		v.State, v.Why = Missed, wrong
	}
	return v
}

// group is the largest one of the goal's shape in which fanfare ran.
func (c *court) group() *group {
	for _, g := range slices.Backward(c.groups) {
		if g.key.scenario == c.goal.scenario && g.series[Ours] != nil && c.goal.fits(g.key) {
			return g
		}
	}
	return nil
}

// held holds the runs against what the goal names.
func (c *court) held(g *group, ours series) Verdict {
	switch c.goal.against {
	case theFloor:
		if c.tooDear != nil {
			return notMeasured("the floor is none: " + digits(c.tooDear.Ratio) + " × a plain send loop")
		}
		return c.ratio(ours, g.series[Floor], "floor")
	case withoutStopped:
		return c.ratio(ours, c.calm(g.key), "without them")
	case everyPeer:
		return c.peers(g, ours)
	case everybody:
		return reached(ours)
	default:
		return c.absolute(ours)
	}
}

func (c *court) absolute(ours series) Verdict {
	f := figureNamed(c.goal.figure)
	s := ours.over(f)
	switch {
	case s.Rounds == 0:
		return notMeasured("no round has the figure")
	case f.paced && ours.bound():
		return notMeasured(generatorBound)
	}
	return Verdict{State: within(s.Median <= c.goal.limit), Figure: f.unit.format(s), Value: s.Median}
}

// ratio holds the figure against the same one of base.
func (c *court) ratio(ours, base series, name string) Verdict {
	v := c.compare(ours, base, name)
	if wrong := base.faults(); wrong != "" {
		return notMeasured(name + " itself has " + wrong)
	}
	if v.State != NotMeasured {
		v.State = within(v.Value <= c.goal.limit)
	}
	return v
}

// compare gives the ratio and leaves the judgement on it to others.
func (c *court) compare(ours, base series, name string) Verdict {
	f := figureNamed(c.goal.figure)
	s, of := ours.against(base, f)
	switch {
	case len(base) == 0:
		return notMeasured("no run " + name)
	case s.Rounds == 0:
		return notMeasured("no round has the figure of both: fanfare and " + name)
	case f.paced && (ours.bound() || base.bound()):
		return notMeasured(generatorBound)
	}
	text := ratioText(s) + " × " + markdown(name)
	if s.Rounds < of {
		text += fmt.Sprintf(", %d of %d rounds", s.Rounds, of)
	}
	return Verdict{State: Met, Figure: text, Value: s.Median}
}

// calm is fanfare's runs of the same shape in which nobody stopped.
func (c *court) calm(k key) series {
	k.stopped = 0
	for _, scenario := range []string{Slow, Fanout} {
		k.scenario = scenario
		for _, g := range c.groups {
			if g.key == k && g.series[Ours] != nil {
				return g.series[Ours]
			}
		}
	}
	return nil
}

// peers holds the figure against each peer and tells the closest.
func (c *court) peers(g *group, ours series) Verdict {
	closest := notMeasured("no peer has the figure")
	for _, server := range g.servers {
		if !peer(server) {
			continue
		}
		v := c.compare(ours, g.series[server], server)
		if v.Why == generatorBound {
			return notMeasured(generatorBound + ", fanfare or " + server)
		}
		if v.State != NotMeasured && v.Value > closest.Value {
			closest = v
			closest.State = within(v.Value < 1)
		}
	}
	return closest
}

// reached says whether every connection got every message.
func reached(ours series) Verdict {
	want, got := ours.sum(expected), ours.sum(func(a *result.Account) int64 { return a.Received })
	if want == 0 {
		return notMeasured("no deliveries were expected")
	}
	v := Verdict{State: within(got == want), Figure: integer(got) + " of " + integer(want), Value: float64(got)}
	for _, e := range mishaps() {
		if n := ours.sum(e.of); n > 0 {
			v.State, v.Why = Missed, integer(n)+" "+e.name
		}
	}
	if len(ours.failures()) > 0 {
		v.State = Missed
	}
	return v
}

// faults tells what is wrong in the account, and nothing if it is right.
func (s series) faults() string {
	for _, e := range faults() {
		if n := s.sum(e.of); n > 0 {
			return integer(n) + " deliveries " + e.name
		}
	}
	return ""
}

func within(ok bool) State {
	if ok {
		return Met
	}
	return Missed
}

func notMeasured(why string) Verdict { return Verdict{State: NotMeasured, Why: why} }
