package report

import (
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"fanfare/bench/result"
)

// Recorded is a figure that somebody published: shown with its source, never compared.
type Recorded struct {
	Server, Figure, Value, Machine, Source string
}

// Markdown writes the report for people. The svgs are shown under their captions: caption to path, as seen from where the Markdown
// will be. The recorded figures come last, as what was not run here.
func Markdown(w io.Writer, r *result.Report, svgs map[string]string, recorded ...Recorded) error {
	p := &printer{w: w}
	heading(p, r)
	verdicts(p, r)
	for _, s := range sections(r) {
		s.write(p)
	}
	if len(svgs) > 0 {
		p.print("\n## Curves\n")
	}
	for _, caption := range slices.Sorted(maps.Keys(svgs)) {
		p.print("\n![", markdown(caption), "](<", (&url.URL{Path: svgs[caption]}).String(), ">)\n")
	}
	notes(p, r)
	elsewhere(p, recorded)
	return p.err
}

func heading(p *printer, r *result.Report) {
	p.print("# Measured by the bench\n\n")
	if f := floorTooDear(r); f != nil {
		p.print("**", invalid(f), "**\n\n")
	}
	p.print(fence(r.Command), "\n")
	p.row([]string{"", ""})
	p.row([]string{"---", "---"})
	m := r.Machine
	for _, row := range [][2]string{
		{"commit", markdown(r.Commit)},
		{"began", r.Began.UTC().Format(time.RFC3339)},
		{"processor", markdown(m.CPU) + ", " + integer(m.Cores) + " cores"},
		{"memory", octets.format(spread([]float64{float64(m.Memory)}))},
		{"kernel", markdown(m.Kernel)},
		{"Go", markdown(m.Go)},
		{"descriptors", integer(m.Files)},
	} {
		p.row(row[:])
	}
	p.print("\nFigures are medians over rounds, with the least and the most in brackets. Ratios are formed within each round. ",
		"Missing, repeated and disordered messages are summed over the rounds. An empty cell was not measured.\n")
	checks(p, r)
}

// checks says which of the checks on the bench itself were not made.
func checks(p *printer, r *result.Report) {
	floor, held, untested := false, false, map[string]bool{}
	for _, run := range r.Runs {
		floor = floor || run.Server == Floor
		held = held || run.Floor != nil
		if run.Failure == "" && !run.Load.Tested {
			untested[run.Scenario] = true
		}
	}
	if floor && !held {
		p.print("\nThe floor was not held against a plain send loop here.\n")
	}
	if len(untested) > 0 {
		names := slices.SortedFunc(maps.Keys(untested), scenarioOrder)
		for i := range names {
			names[i] = markdown(names[i])
		}
		p.print("\nNot tried with one more generator, for some server at least: ", strings.Join(names, ", "), ".\n")
	}
}

func verdicts(p *printer, r *result.Report) {
	p.print("\n## Goals\n\n")
	p.row([]string{"goal", "target", "measured", "verdict"})
	p.row([]string{"---", "---", "---", "---"})
	for _, v := range Judge(r) {
		text := string(v.State)
		if v.State == Missed {
			text = "**" + text + "**"
		}
		if v.Why != "" {
			text += ": " + markdown(v.Why)
		}
		p.row([]string{markdown(v.Goal.Name), markdown(v.Goal.Target), v.Figure, text})
	}
}

func notes(p *printer, r *result.Report) {
	if len(r.Notes) == 0 {
		return
	}
	p.print("\n## Notes\n\n")
	for _, n := range r.Notes {
		p.print("- ", markdown(n), "\n")
	}
}

func elsewhere(p *printer, recorded []Recorded) {
	if len(recorded) == 0 {
		return
	}
	p.print("\n## Recorded, not run here\n\n")
	p.print("As others published them, on other machines: not to be compared with what is above.\n\n")
	p.row([]string{"server", "figure", "value", "machine", "source"})
	p.row([]string{"---", "---", "---", "---", "---"})
	for _, x := range recorded {
		p.row([]string{markdown(x.Server), markdown(x.Figure), markdown(x.Value), markdown(x.Machine), markdown(x.Source)})
	}
}
