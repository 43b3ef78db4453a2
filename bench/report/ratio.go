package report

import (
	"fmt"
	"io"
	"text/tabwriter"

	"fanfare/bench/result"
)

// Ratio is one figure of a server over the same figure of the base.
type Ratio struct {
	Scenario, Shape, Server, Base, Figure string
	Spread                                     // of the ratios within the rounds; Rounds says how many count
	Of                                    int  // rounds in which either ran
	Bound                                 bool // the generator was the limit of one of them
}

// Ratios compares every server with base, wherever both ran. A figure that no round has of both is left out. There are none to the floor
// when it costs over 1.3 times the plain send loop.
func Ratios(r *result.Report, base string) []Ratio {
	if variant(base, Floor) && floorTooDear(r) != nil {
		return nil
	}
	var all []Ratio
	for _, g := range groups(r) {
		for _, server := range g.servers {
			if server != base {
				all = append(all, g.ratios(server, base)...)
			}
		}
	}
	return all
}

func (g *group) ratios(server, base string) []Ratio {
	var all []Ratio
	a, b := g.series[server], g.series[base]
	for _, f := range figures() {
		s, of := a.against(b, f)
		if s.Rounds > 0 {
			all = append(all, Ratio{
				Scenario: g.key.scenario, Shape: g.key.String(), Server: server, Base: base, Figure: f.name,
				Spread: s, Of: of, Bound: f.paced && (a.bound() || b.bound()),
			})
		}
	}
	return all
}

// WriteRatios writes Ratios as an aligned table.
func WriteRatios(w io.Writer, r *result.Report, base string) error {
	if f := floorTooDear(r); f != nil && variant(base, Floor) {
		_, err := fmt.Fprintln(w, invalid(f))
		return err
	}
	ratios := Ratios(r, base)
	if len(ratios) == 0 {
		_, err := fmt.Fprintf(w, "Nothing to compare with %s.\n", plain(base))
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, err := fmt.Fprintf(t, "scenario\tshape\tserver\tfigure\tover %s\tmin\tmax\trounds\t\n", plain(base))
	for _, x := range ratios {
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d of %d\t%s\n", plain(x.Scenario), x.Shape, plain(x.Server), x.Figure,
			digits(x.Median), digits(x.Min), digits(x.Max), x.Rounds, x.Of, x.mark())
	}
	if err != nil {
		return err
	}
	return t.Flush()
}

func (x Ratio) mark() string {
	if x.Bound {
		return generatorBound
	}
	return ""
}

const generatorBound = "generator-bound"

// invalid says in words why nothing is held against the floor.
func invalid(f *result.Floor) string {
	return fmt.Sprintf("INVALID: a send by the floor costs %s times one by a plain send loop on the same sockets; over 1.3 it is no floor. "+
		"Nothing here is held against it.", digits(f.Ratio))
}
