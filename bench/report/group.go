package report

import (
	"cmp"
	"maps"
	"slices"

	"fanfare/bench/result"
)

// key is what runs that may be compared have in common.
type key struct {
	scenario                                                 string
	connections, topics, subscriptions, burst, size, stopped int
}

func keyOf(r *result.Run) key {
	s := r.Shape
	return key{r.Scenario, s.Connections, max(s.Topics, 1), cmp.Or(s.Subscriptions, s.Connections), max(s.Burst, 1), s.Size, s.Stopped}
}

func keyOrder(a, b key) int {
	return cmp.Or(scenarioOrder(a.scenario, b.scenario), cmp.Compare(a.connections, b.connections), cmp.Compare(a.topics, b.topics),
		cmp.Compare(a.subscriptions, b.subscriptions), cmp.Compare(a.burst, b.burst), cmp.Compare(a.size, b.size), cmp.Compare(a.stopped, b.stopped))
}

// group is all runs of one key, by server.
type group struct {
	key     key
	servers []string // as they are shown
	series  map[string]series
}

// series is the runs of one server, by round.
type series map[int][]*result.Run

// groups are the runs of a report, as they are shown.
func groups(r *result.Report) []*group {
	found := map[key]*group{}
	for i := range r.Runs {
		run := &r.Runs[i]
		k := keyOf(run)
		g := found[k]
		if g == nil {
			g = &group{key: k, series: map[string]series{}}
			found[k] = g
		}
		if g.series[run.Server] == nil {
			g.series[run.Server] = series{}
		}
		g.series[run.Server][run.Round] = append(g.series[run.Server][run.Round], run)
	}
	for _, g := range found {
		g.servers = slices.SortedFunc(maps.Keys(g.series), serverOrder)
	}
	return slices.SortedFunc(maps.Values(found), func(a, b *group) int { return keyOrder(a.key, b.key) })
}

// at is the figure of one round, unless a run of it failed or did not measure it.
func (s series) at(round int, f figure) (float64, bool) {
	values := make([]float64, 0, len(s[round]))
	for _, r := range s[round] {
		v, ok := f.value(r)
		if r.Failure != "" || !ok {
			return 0, false
		}
		values = append(values, v)
	}
	if len(values) == 0 {
		return 0, false
	}
	return median(values), true
}

// over is the figure over all rounds that have it.
func (s series) over(f figure) Spread {
	var values []float64
	for round := range s {
		if v, ok := s.at(round, f); ok {
			values = append(values, v)
		}
	}
	return spread(values)
}

// against is s over base, formed within each round; of says how many rounds there are in which either ran.
func (s series) against(base series, f figure) (ratio Spread, of int) {
	rounds := map[int]bool{}
	for round := range s {
		rounds[round] = true
	}
	for round := range base {
		rounds[round] = true
	}
	var values []float64
	for round := range rounds {
		a, ok := s.at(round, f)
		b, known := base.at(round, f)
		if ok && known && a > 0 && b > 0 {
			values = append(values, a/b)
		}
	}
	return spread(values), len(rounds)
}

// runs are those of all rounds, round after round.
func (s series) runs() []*result.Run {
	var all []*result.Run
	for _, round := range slices.Sorted(maps.Keys(s)) {
		all = append(all, s[round]...)
	}
	return all
}

// whole is the number of rounds in which nothing failed.
func (s series) whole() (n int) {
	for _, runs := range s {
		if !slices.ContainsFunc(runs, func(r *result.Run) bool { return r.Failure != "" }) {
			n++
		}
	}
	return n
}

// bound says whether the generator was the limit in a run that has figures.
func (s series) bound() bool {
	return slices.ContainsFunc(s.runs(), func(r *result.Run) bool { return r.Load.Bound && r.Failure == "" })
}

// sum adds up what an account counts, over the runs that have figures.
func (s series) sum(of func(*result.Account) int64) (total int64) {
	for _, r := range s.runs() {
		if r.Failure == "" {
			total += of(&r.Account)
		}
	}
	return total
}

// failures are the reasons of the runs that failed, in an order that the order of the runs does not change.
func (s series) failures() []failure {
	var all []failure
	for _, r := range s.runs() {
		if r.Failure != "" {
			all = append(all, failure{r.Round, r.Failure})
		}
	}
	slices.SortFunc(all, func(a, b failure) int { return cmp.Or(cmp.Compare(a.round, b.round), cmp.Compare(a.why, b.why)) })
	return all
}

type failure struct {
	round int
	why   string
}

// floorTooDear is the worst of the floors that cost over 1.3 times the plain send loop, nil if there is none.
func floorTooDear(r *result.Report) *result.Floor {
	var worst *result.Floor
	for i := range r.Runs {
		f := r.Runs[i].Floor
		if f != nil && !f.Valid() && (worst == nil || f.Ratio > worst.Ratio) {
			worst = f
		}
	}
	return worst
}
