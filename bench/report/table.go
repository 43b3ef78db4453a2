package report

import (
	"fmt"
	"slices"
	"strings"

	"fanfare/bench/result"
)

// section is all groups of one scenario.
type section struct {
	scenario string
	groups   []*group
	valid    bool // figures may be held against the floor
}

func sections(r *result.Report) []section {
	var all []section
	valid := floorTooDear(r) == nil
	for _, g := range groups(r) {
		if len(all) == 0 || all[len(all)-1].scenario != g.key.scenario {
			all = append(all, section{scenario: g.key.scenario, valid: valid})
		}
		last := &all[len(all)-1]
		last.groups = append(last.groups, g)
	}
	return all
}

// column is one column of a table; a row is a server of a group.
type column struct {
	head string
	cell func(g *group, server string) string
	left bool // the side on which the text stands
}

// columns are those that something was measured for, in any row.
func (s section) columns() []column {
	all := []column{{head: "server", cell: func(_ *group, server string) string { return markdown(server) }, left: true}}
	differ, same := varying(s.groups)
	for _, d := range slices.Concat(connectionsOf(same), differ) {
		all = append(all, column{head: d.name, cell: func(g *group, _ string) string { return integer(d.of(g.key)) }})
	}
	all = append(all, column{head: "rounds", cell: func(g *group, server string) string { return integer(g.series[server].whole()) }})
	for _, f := range figures() {
		all = append(all, s.figureColumns(f)...)
	}
	all = append(all, s.accountColumns()...)
	all = append(all, s.figureColumns(generatorShare())...)
	remarks := column{head: "remarks", cell: func(g *group, server string) string { return g.series[server].remarks() }, left: true}
	return append(all, s.unlessEmpty(remarks)...)
}

// figureColumns are the figure and, where it is one that is held against the floor, the ratio.
func (s section) figureColumns(f figure) []column {
	own := s.unlessEmpty(column{head: f.name, cell: func(g *group, server string) string { return cellOf(f.unit, g.series[server].over(f)) }})
	if !s.valid || !slices.Contains([]string{perDelivery, perConnect, cpuShare, lastReceiver}, f.name) {
		return own
	}
	return append(own, s.unlessEmpty(column{head: "… against floor", cell: func(g *group, server string) string {
		if server == Floor {
			return ""
		}
		ratio, _ := g.series[server].against(g.series[Floor], f)
		return cellOf(number, ratio)
	}})...)
}

// cellOf is empty for a figure that was not measured.
func cellOf(u unit, s Spread) string {
	if s.Rounds == 0 {
		return ""
	}
	return u.format(s)
}

// unlessEmpty leaves the column out if no row has anything in it.
func (s section) unlessEmpty(c column) []column {
	for _, g := range s.groups {
		for _, server := range g.servers {
			if c.cell(g, server) != "" {
				return []column{c}
			}
		}
	}
	return nil
}

// entry is one member of an account.
type entry struct {
	name string
	of   func(*result.Account) int64
}

// faults are the entries that make deliveries wrong; mishaps are other things to tell.
func faults() []entry {
	return []entry{
		{"missing", func(a *result.Account) int64 { return a.Missing }},
		{"repeated", func(a *result.Account) int64 { return a.Repeated }},
		{"disorder", func(a *result.Account) int64 { return a.Disorder }},
		{"garbage", func(a *result.Account) int64 { return a.Garbage }},
	}
}

func mishaps() []entry {
	return []entry{
		{"refused", func(a *result.Account) int64 { return a.Refused }},
		{"lost connections", func(a *result.Account) int64 { return a.Lost }},
	}
}

func expected(a *result.Account) int64 { return a.Expected }

// accountColumns are what must be zero, where deliveries were expected, and whatever else is not zero; sums over the rounds.
func (s section) accountColumns() []column {
	entries := slices.Concat(faults(), mishaps())
	all := make([]column, 0, len(entries))
	for i, e := range entries {
		all = append(all, s.unlessEmpty(column{head: e.name, cell: func(g *group, server string) string {
			runs := g.series[server]
			n := runs.sum(e.of)
			if n == 0 && (i > 2 || runs.sum(expected) == 0) {
				return ""
			}
			return integer(n)
		}})...)
	}
	return all
}

// remarks say what keeps the figures of a row from being the server's, and which runs failed.
func (s series) remarks() string {
	var all []string
	if s.bound() {
		all = append(all, generatorBound)
	}
	failed := s.failures()
	for _, f := range failed {
		all = append(all, fmt.Sprintf("round %d failed: %s", f.round, markdown(f.why)))
	}
	return strings.Join(all, "; ")
}

// write writes the heading and the table.
func (s section) write(p *printer) {
	p.print("\n## ", markdown(s.scenario), "\n\n")
	if text := caption(s.groups); text != "" {
		p.print(text, "\n\n")
	}
	columns := s.columns()
	heads, rules := make([]string, len(columns)), make([]string, len(columns))
	for i, c := range columns {
		heads[i], rules[i] = c.head, "--:"
		if c.left {
			rules[i] = "---"
		}
	}
	p.row(heads)
	p.row(rules)
	for _, g := range s.groups {
		for _, server := range g.servers {
			cells := make([]string, len(columns))
			for i, c := range columns {
				cells[i] = c.cell(g, server)
			}
			p.row(cells)
		}
	}
}

// caption says what is the same in all rows and not usual.
func caption(all []*group) string {
	_, same := varying(all)
	words := all[0].key.say(same)
	if words == "" {
		return ""
	}
	return "Everywhere " + words + "."
}

// connectionsOf picks the dimension that has a column in any case.
func connectionsOf(which []dimension) []dimension {
	return slices.DeleteFunc(slices.Clone(which), func(d dimension) bool { return d.name != "connections" })
}
