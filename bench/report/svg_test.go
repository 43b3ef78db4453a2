package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"fanfare/bench/result"
)

// wellFormed reads the drawing to its end; it may have these elements and no others.
func wellFormed(t *testing.T, drawing []byte) {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(drawing))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, drawing)
		}
		if e, ok := token.(xml.StartElement); ok && !strings.Contains(" svg style rect text path circle title ", " "+e.Name.Local+" ") {
			t.Fatalf("<%s> in\n%s", e.Name.Local, drawing)
		}
	}
}

func TestChartsAreWellFormed(t *testing.T) {
	reports := []*result.Report{sample(), tooDear(), hostileReport()}
	for _, r := range reports {
		charts := Charts(r)
		if len(charts) != 3 {
			t.Errorf("%d charts", len(charts))
		}
		for _, c := range charts {
			wellFormed(t, drawn(t, c))
		}
	}
}

// TestAnyNumbersCanBeDrawn draws values of all sizes: no coordinate may be infinite or no number, and none outside the drawing.
func TestAnyNumbersCanBeDrawn(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for i := range 200 {
		c := Chart{Title: hostile, Subtitle: hostile, X: hostile, Y: hostile, unit: unit(i % 5)}
		for l := range 1 + rng.IntN(20) {
			line := Line{Server: hostile, Mark: l, Bound: l%3 == 0}
			for range 1 + rng.IntN(4) {
				y := math.Exp(rng.NormFloat64() * 30)
				line.Points = append(line.Points, Point{math.Exp(rng.NormFloat64() * 30), y, y / (1 + rng.Float64()), y * (1 + rng.Float64())})
			}
			c.Lines = append(c.Lines, line)
		}
		drawing := drawn(t, c)
		wellFormed(t, drawing)
		if text := string(drawing); strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
			t.Fatalf("%+v:\n%s", c, text)
		}
		var x, y float64
		for tag := range strings.SplitSeq(string(drawing), "<circle") {
			if _, err := fmt.Sscanf(strings.SplitN(tag, "cx=", 2)[len(strings.SplitN(tag, "cx=", 2))-1], `"%f" cy="%f"`, &x, &y); err != nil {
				continue
			}
			if x < left-1 || x > right+1 || y < top-1 || y > bottom+1 {
				t.Fatalf("a point at %v, %v", x, y)
			}
		}
	}
	wellFormed(t, drawn(t, Chart{}))
}

func TestScaleIsChosenByData(t *testing.T) {
	for _, c := range []struct {
		values []float64
		log    bool
		ticks  string
	}{
		{[]float64{1000, 5000, 15000}, false, "[0 5000 10000 15000]"},
		{[]float64{1000, 1e6}, true, "[1000 10000 100000 1e+06]"},
		{[]float64{10, 200}, true, "[10 20 50 100 200]"},
		{[]float64{7}, false, "[0 2 4 6 8]"},
		{nil, false, "[0 0.2 0.4 0.6000000000000001 0.8 1]"},
	} {
		s := newScale(c.values, 0, 1)
		if s.log != c.log || fmt.Sprint(s.ticks) != c.ticks {
			t.Errorf("%v: %v %v", c.values, s.log, s.ticks)
		}
	}
}

// TestChartsHoldTheRest wants two payload sizes in two charts, and topics apart from subscriptions.
func TestChartsHoldTheRest(t *testing.T) {
	r := &result.Report{}
	for _, shape := range []result.Shape{
		{Connections: 10, Size: 1},
		{Connections: 20, Size: 1},
		{Connections: 10, Size: 2},
		{Connections: 20, Size: 2},
		{Connections: 10, Topics: 5, Subscriptions: 50},
		{Connections: 10, Topics: 50, Subscriptions: 50},
		{Connections: 10, Topics: 500, Subscriptions: 500},
	} {
		run := result.Run{Scenario: "x", Server: Ours, Round: 1, Shape: shape, CPU: result.CPU{PerDelivery: 5}, Memory: result.Memory{RSS: 5}}
		r.Runs = append(r.Runs, run)
	}
	names := make([]string, 0, len(r.Runs))
	for _, c := range Charts(r) {
		names = append(names, fmt.Sprint(c.Name, len(c.Lines[0].Points)))
	}
	want := "x-rss-against-connections2 x-rss-against-connections-no22 x-rss-against-topics2 x-rss-against-topics-of-as-many-subscribers-each2 " +
		"x-cpu-per-delivery-against-subscribers2 x-cpu-per-delivery-against-subscribers-no22 " +
		"x-cpu-per-delivery-against-topics2 x-cpu-per-delivery-against-topics-of-as-many-subscribers-each2"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}
