package report

import (
	"math"
	"strconv"
	"strings"
)

// unit says how a figure is written.
type unit int

const (
	nanoseconds unit = iota
	octets
	percent // from a share of 1
	count
	number
)

// step is one size of a unit.
type step struct {
	from, by float64
	name     string
}

// step chooses the size in which v is written.
func (u unit) step(v float64) step {
	steps := []step{{0, 1, ""}}
	switch u {
	case nanoseconds:
		steps = []step{{0, 1, " ns"}, {1e3, 1e3, " µs"}, {1e6, 1e6, " ms"}, {1e9, 1e9, " s"}}
	case octets:
		steps = []step{{0, 1, " B"}, {1e4, 1 << 10, " KiB"}, {1e7, 1 << 20, " MiB"}, {1 << 32, 1 << 30, " GiB"}}
	case percent:
		steps = []step{{0, 0.01, " %"}}
	case count, number:
	}
	chosen := steps[0]
	for _, s := range steps {
		if math.Abs(v) >= s.from {
			chosen = s
		}
	}
	return chosen
}

// format writes a figure, and its spread if there is one: 1.52 µs (1.48–1.60).
func (u unit) format(s Spread) string {
	if s.Rounds == 0 {
		return "–"
	}
	step := u.step(s.Median)
	median, low, high := u.digits(s.Median/step.by), u.digits(s.Min/step.by), u.digits(s.Max/step.by)
	if low == high {
		return median + step.name
	}
	return median + step.name + " (" + low + "–" + high + ")"
}

func (u unit) digits(v float64) string {
	if u == count {
		return grouped(strconv.FormatFloat(v, 'f', 0, 64))
	}
	return digits(v)
}

// digits writes three significant digits, and all those before the point.
func digits(v float64) string {
	if !finite(v) {
		return "–"
	}
	if v == 0 {
		return "0"
	}
	places := max(0, 2-int(math.Floor(math.Log10(math.Abs(v)))))
	return grouped(strconv.FormatFloat(v, 'f', min(places, 6), 64))
}

// ratioText is for example 1.06 (1.04–1.09).
func ratioText(s Spread) string { return number.format(s) }

// grouped puts commas between thousands.
func grouped(s string) string {
	whole, rest, _ := strings.Cut(s, ".")
	sign := ""
	if strings.HasPrefix(whole, "-") {
		sign, whole = "-", whole[1:]
	}
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if rest != "" {
		rest = "." + rest
	}
	return sign + whole + rest
}

func integer[T int | int64](n T) string { return grouped(strconv.FormatInt(int64(n), 10)) }
