package report

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"fanfare/bench/result"
)

// Chart is curves of one figure, a line for each server.
type Chart struct {
	Name     string // fit for a file
	Title    string
	Subtitle string // what is the same everywhere
	X, Y     string // what the axes are
	Lines    []Line

	unit unit // of Y
}

// Line is the curve of one server.
type Line struct {
	Server string
	Mark   int // chooses the colour: the same server has the same in all charts of a report
	Bound  bool
	Points []Point // by X
}

// Point is a figure at X: its median over rounds, the least and the most.
type Point struct {
	X, Y, Low, High float64
}

// abscissa is what curves are drawn against. Groups of which hold makes the same key make one chart.
type abscissa struct {
	name string
	x    func(key) int
	hold func(key) key
	// when says for which families, told by one member, the chart is worth having.
	when func(f figure, k key) bool
}

func abscissae() []abscissa {
	plainFanout := func(k key) bool { return k.topics == 1 && k.subscriptions == k.connections }
	topics := func(k key) int { return k.topics }
	always := func(figure, key) bool { return true }
	return []abscissa{
		{"connections", func(k key) int { return k.connections }, func(k key) key {
			k.subscriptions = k.subscriptions * 1000 / max(k.connections, 1) // so many for each thousand of them
			k.connections = 0
			return k
		}, func(f figure, k key) bool { return f.name != perDelivery || !plainFanout(k) }},
		{"subscribers", func(k key) int { return k.subscriptions / k.topics }, func(k key) key {
			if k.connections == k.subscriptions {
				k.connections = 0
			}
			k.subscriptions = 0
			return k
		}, func(f figure, k key) bool { return f.name == perDelivery || !plainFanout(k) }},
		{"topics", topics, func(k key) key { k.topics = 0; return k }, always},
		{"topics of as many subscribers each", topics, func(k key) key {
			k.subscriptions /= k.topics
			k.topics = 0
			return k
		}, always},
	}
}

// curves are the figures that are drawn.
func curves() []figure {
	memory := figure{name: "RSS", unit: octets, of: func(r *result.Run) float64 { return float64(r.Memory.RSS) }}
	return []figure{memory, figureNamed(perDelivery)}
}

// Charts are all curves of memory and of CPU per delivery against connections, subscribers and topics that have at least two points.
func Charts(r *result.Report) []Chart {
	marks := marksOf(r)
	var all []Chart
	for _, f := range curves() {
		for _, a := range abscissae() {
			for _, family := range a.families(groups(r)) {
				if c := a.chart(f, family, marks); len(c.Lines) > 0 && a.when(f, family[0].key) {
					all = append(all, c)
				}
			}
		}
	}
	return named(all)
}

// families are the groups that differ in nothing but the abscissa.
func (a abscissa) families(all []*group) [][]*group {
	found := map[key][]*group{}
	for _, g := range all {
		held := a.hold(g.key)
		found[held] = append(found[held], g)
	}
	keys := slices.SortedFunc(maps.Keys(found), keyOrder)
	families := make([][]*group, len(keys))
	for i, k := range keys {
		families[i] = found[k]
	}
	return families
}

func (a abscissa) chart(f figure, family []*group, marks map[string]int) Chart {
	scenario := family[0].key.scenario
	c := Chart{
		Title: fmt.Sprintf("%s: %s against %s", plain(scenario), f.name, a.name), Subtitle: caption(family),
		X: a.name, Y: f.name, unit: f.unit,
	}
	for _, server := range slices.SortedFunc(maps.Keys(marks), serverOrder) {
		line := Line{Server: server, Mark: marks[server]}
		for _, g := range family {
			s := g.series[server].over(f)
			if s.Rounds > 0 && s.Min > 0 {
				line.Points = append(line.Points, Point{float64(a.x(g.key)), s.Median, s.Min, s.Max})
				line.Bound = line.Bound || f.paced && g.series[server].bound()
			}
		}
		slices.SortFunc(line.Points, func(a, b Point) int { return cmp.Compare(a.X, b.X) })
		if len(line.Points) > 1 {
			c.Lines = append(c.Lines, line)
		}
	}
	return c
}

func marksOf(r *result.Report) map[string]int {
	servers := map[string]int{}
	for i := range r.Runs {
		servers[r.Runs[i].Server] = 0
	}
	for i, s := range slices.SortedFunc(maps.Keys(servers), serverOrder) {
		servers[s] = i
	}
	return servers
}

// named gives each chart a name of its own: its title in small letters, and a number behind it from the second of a title on.
func named(all []Chart) []Chart {
	seen := map[string]int{}
	for i := range all {
		slug := strings.Trim(strings.Join(strings.FieldsFunc(strings.ToLower(all[i].Title), func(r rune) bool {
			return (r < 'a' || r > 'z') && (r < '0' || r > '9')
		}), "-"), "-")
		seen[slug]++
		if n := seen[slug]; n > 1 {
			slug += fmt.Sprintf("-no%d", n)
		}
		all[i].Name = slug
	}
	return all
}
