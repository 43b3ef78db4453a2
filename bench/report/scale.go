package report

import "math"

// scale puts values on an axis.
type scale struct {
	log      bool
	min, max float64 // at the ends
	from, to float64 // pixels of the ends
	ticks    []float64
}

// logFrom is how many times the least the most must be for a logarithmic axis.
const logFrom = 20

// newScale chooses the axis for positive values: logarithmic when they differ much, else linear from zero.
func newScale(values []float64, from, to float64) scale {
	least, most := math.Inf(1), 0.0
	for _, v := range values {
		least, most = min(least, v), max(most, v)
	}
	s := scale{from: from, to: to}
	if least > 0 && most/least >= logFrom {
		s.logarithmic(least, most)
	} else {
		s.linear(most)
	}
	return s
}

func (s *scale) linear(most float64) {
	if most <= 0 {
		most = 1
	}
	step := roundUp(most / 5)
	s.ticks = []float64{0}
	for i := 1; i <= 6; i++ {
		s.max = float64(i) * step
		s.ticks = append(s.ticks, s.max)
		if s.max >= most {
			break
		}
	}
}

func (s *scale) logarithmic(least, most float64) {
	s.log, s.min, s.max = true, roundDown(least), roundUp(most)
	decades := math.Log10(s.max / s.min)
	every := max(1, math.Ceil(decades/8)) // of the powers of ten
	for e := math.Floor(math.Log10(s.min)); e <= math.Ceil(math.Log10(s.max)); e++ {
		for _, digit := range []float64{1, 2, 5} {
			v := digit * math.Pow(10, e)
			wanted := digit == 1 && math.Mod(e, every) == 0 || decades < 2.5
			if wanted && v >= s.min*0.999 && v <= s.max*1.001 {
				s.ticks = append(s.ticks, v)
			}
		}
	}
}

// at is the pixel of a value.
func (s *scale) at(v float64) float64 {
	if s.log {
		return s.from + (s.to-s.from)*math.Log(v/s.min)/math.Log(s.max/s.min)
	}
	return s.from + (s.to-s.from)*v/s.max
}

// roundUp is the next 1, 2 or 5 times a power of ten; roundDown the one before.
func roundUp(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, digit := range []float64{1, 2, 5} {
		if digit*power >= v*0.9999 {
			return digit * power
		}
	}
	return 10 * power
}

func roundDown(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, digit := range []float64{5, 2} {
		if digit*power <= v*1.0001 {
			return digit * power
		}
	}
	return power
}
