package report

import (
	"math"
	"slices"
)

// Spread is a figure over rounds.
type Spread struct {
	Median, Min, Max float64
	Rounds           int // that it is from
}

// spread is the zero Spread for no values.
func spread(values []float64) Spread {
	if len(values) == 0 {
		return Spread{}
	}
	return Spread{median(values), slices.Min(values), slices.Max(values), len(values)}
}

// median is that of at least one value; of an even number, the middle between the two in the middle.
func median(values []float64) float64 {
	v := slices.Sorted(slices.Values(values))
	low, high := v[(len(v)-1)/2], v[len(v)/2]
	if low == high {
		return low
	}
	return low/2 + high/2
}

// finite says whether v is a number that can be shown.
func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
