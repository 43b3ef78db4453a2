package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Sizes of a drawing, in pixels.
const (
	width   = 720
	left    = 64 // of the curves
	right   = 520
	top     = 84
	bottom  = 342
	lowest  = 394 // of the drawing without a long legend
	legend  = 540
	leading = 20 // between two lines of the legend
	longest = 24 // runes of a name in the legend
)

const style = `<style>
svg{color-scheme:light dark;font:12px system-ui,sans-serif}
.bg{fill:#fff}.tx{fill:#1f2328}.so{fill:#59636e}.gr{stroke:#d1d9e0}
path{fill:none;stroke-width:2}.sp{stroke-width:1}
.c0{stroke:#3b7dd8}.c1{stroke:#d9622b}.c2{stroke:#2e9e5b}.c3{stroke:#c23f8f}.c4{stroke:#8a6fd1}.c5{stroke:#a88200}.c6{stroke:#1593a2}.c7{stroke:#d0453f}
.d1{stroke-dasharray:6 3}.d2{stroke-dasharray:2 3}.d3{stroke-dasharray:8 3 2 3}
@media(prefers-color-scheme:dark){.bg{fill:#0d1117}.tx{fill:#e6edf3}.so{fill:#9198a1}.gr{stroke:#30363d}}
</style>
`

// drawing is a chart on its way into an SVG.
type drawing struct {
	printer

	chart Chart
	x, y  scale
	per   step // the size of Y's unit
}

// SVG draws the chart as one self-contained SVG that follows the light or dark mode of whoever looks at it.
func SVG(w io.Writer, c Chart) error {
	var xs, ys []float64
	for _, l := range c.Lines {
		for _, p := range l.Points {
			xs, ys = append(xs, p.X), append(ys, p.Low, p.Y, p.High)
		}
	}
	most := 0.0
	for _, y := range ys {
		most = max(most, y)
	}
	per := c.unit.step(most)
	for i := range ys {
		ys[i] /= per.by
	}
	d := &drawing{printer{w: w}, c, newScale(xs, left, right), newScale(ys, bottom, top), per}
	d.draw()
	return d.err
}

func (d *drawing) draw() {
	height := max(lowest, top+leading*len(d.chart.Lines)+leading)
	d.printf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="%s">`+"\n",
		width, height, width, height, text(d.chart.Title))
	d.print(style)
	d.printf(`<rect class="bg" width="%d" height="%d"/>`+"\n", width, height)
	d.printf(`<text class="tx" x="16" y="22" font-size="15">%s</text>`+"\n", text(d.chart.Title))
	d.printf(`<text class="so" x="16" y="42">%s</text>`+"\n", text(d.chart.Subtitle))
	d.axes()
	for i, l := range d.chart.Lines {
		d.line(l)
		d.entry(i, l)
	}
	d.print("</svg>\n")
}

func (d *drawing) axes() {
	for _, t := range d.x.ticks {
		x := pixel(d.x.at(t))
		d.printf(`<path class="gr sp" d="M%s %dV%d"/><text class="so" x="%s" y="%d" text-anchor="middle">%s</text>`+"\n",
			x, bottom, top, x, bottom+18, short(t))
	}
	for _, t := range d.y.ticks {
		y := d.y.at(t)
		d.printf(`<path class="gr sp" d="M%d %sH%d"/><text class="so" x="%d" y="%s" text-anchor="end">%s</text>`+"\n",
			left, pixel(y), right, left-6, pixel(y+4), short(t))
	}
	d.printf(`<text class="so" x="%d" y="%d" text-anchor="end">%s%s</text>`+"\n", right, bottom+38, text(d.chart.X), d.x.kind())
	d.printf(`<text class="so" x="16" y="%d">%s</text>`+"\n", top-16, text(d.chart.Y+","+d.per.name)+d.y.kind())
}

// kind is what the name of an axis adds.
func (s *scale) kind() string {
	if s.log {
		return " (logarithmic)"
	}
	return ""
}

// line draws the medians as a curve and each spread as an upright stroke.
func (d *drawing) line(l Line) {
	var curve, spreads, dots strings.Builder
	for i, p := range l.Points {
		x := pixel(d.x.at(p.X))
		y := pixel(d.y.at(p.Y / d.per.by))
		fmt.Fprintf(&curve, "%c%s %s", "ML"[min(i, 1)], x, y)
		fmt.Fprintf(&spreads, "M%s %sV%s", x, pixel(d.y.at(p.Low/d.per.by)), pixel(d.y.at(p.High/d.per.by)))
		fmt.Fprintf(&dots, `<circle class="bg %s" cx="%s" cy="%s" r="3"/>`, colour(l), x, y)
	}
	d.printf(`<path class="%s" d="%s"><title>%s</title></path><path class="%s sp" d="%s"/>%s`+"\n",
		classes(l), curve.String(), text(l.Server), colour(l), spreads.String(), dots.String())
}

// entry writes one line of the legend.
func (d *drawing) entry(i int, l Line) {
	y := top + leading*i
	name := []rune(plain(l.Server))
	if len(name) > longest {
		name = append(name[:longest-1], '…')
	}
	mark := ""
	if l.Bound {
		mark = " *"
	}
	d.printf(`<path class="%s" d="M%d %dh18"/><text class="tx" x="%d" y="%d">%s%s</text>`+"\n", classes(l), legend, y, legend+24, y+4, text(string(name)), mark)
	if l.Bound {
		d.printf(`<text class="so" x="%d" y="%d">* %s</text>`+"\n", legend, bottom+38, generatorBound)
	}
}

func (d *drawing) printf(format string, values ...any) { d.print(fmt.Sprintf(format, values...)) }

// colour and classes choose how a line looks: eight colours, then the same ones dashed.
func colour(l Line) string { return fmt.Sprintf("c%d", l.Mark%8) }

func classes(l Line) string { return fmt.Sprintf("%s d%d", colour(l), l.Mark/8%4) }

// text makes s stand for itself in XML.
func text(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(plain(s))) // a Builder never fails
	return b.String()
}

func pixel(v float64) string { return strconv.FormatFloat(v, 'f', 1, 64) }

// short writes a tick: 500, 10k, 1M.
func short(v float64) string {
	switch {
	case v >= 1e6 && v < 1e12:
		return strconv.FormatFloat(v/1e6, 'g', 4, 64) + "M"
	case v >= 1e3 && v < 1e6:
		return strconv.FormatFloat(v/1e3, 'g', 4, 64) + "k"
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}
