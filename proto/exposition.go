package proto

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"sync"
	"time"

	"fanfare/fanout"
)

// exposition writes the Prometheus text format 0.0.4. Help texts and label values are ours and need no escaping, but for what value quotes.
type exposition struct {
	buf  []byte
	name string // the family begun last
}

// family begins a metric. Its samples follow.
func (x *exposition) family(name, kind, help string) {
	x.name = name
	x.buf = append(append(append(append(x.buf, "# HELP "...), name...), ' '), help...)
	x.buf = append(append(append(append(x.buf, "\n# TYPE "...), name...), ' '), kind...)
	x.buf = append(x.buf, '\n')
}

// value adds a sample to the family. label and its value may be empty.
func (x *exposition) value(label, value string, v float64) { x.sample("", label, value, v) }

func (x *exposition) sample(suffix, label, value string, v float64) {
	x.buf = append(append(x.buf, x.name...), suffix...)
	if label != "" {
		x.buf = append(append(append(x.buf, '{'), label...), '=')
		x.buf = append(strconv.AppendQuote(x.buf, value), '}')
	}
	x.buf = append(x.buf, ' ')
	if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
		x.buf = strconv.AppendInt(x.buf, int64(v), 10)
	} else {
		x.buf = strconv.AppendFloat(x.buf, v, 'g', -1, 64)
	}
	x.buf = append(x.buf, '\n')
}

// gauge is a family of one sample that may fall.
func (x *exposition) gauge(name, help string, v float64) {
	x.family(name, "gauge", help)
	x.value("", "", v)
}

// counter is a family of one sample that only grows.
func (x *exposition) counter(name, help string, v uint64) {
	x.family(name, "counter", help)
	x.value("", "", float64(v))
}

// latency is a histogram in seconds.
func (x *exposition) latency(name, help string, l fanout.Latency) {
	x.family(name, "histogram", help)
	total := uint64(0)
	for i, n := range l.Counts {
		total += n
		le := "+Inf"
		if i < len(l.Bounds) {
			le = strconv.FormatFloat(l.Bounds[i].Seconds(), 'g', -1, 64)
		}
		x.sample("_bucket", "le", le, float64(total))
	}
	x.sample("_sum", "", "", l.Sum.Seconds())
	x.sample("_count", "", "", float64(total))
}

// tally is a counter with a label whose values are ours: codes and names from the settings, never a string of a client.
type tally struct {
	mu sync.Mutex
	n  map[string]uint64
}

func (t *tally) add(value string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.n == nil {
		t.n = make(map[string]uint64)
	}
	t.n[value]++
}

// read gives a copy.
func (t *tally) read() map[string]uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := make(map[string]uint64, len(t.n))
	maps.Copy(n, t.n)
	return n
}

// tallied is a family of a tally.
func (x *exposition) tallied(name, help, label string, n map[string]uint64) {
	x.family(name, "counter", help)
	for _, k := range slices.Sorted(maps.Keys(n)) {
		x.value(label, k, float64(n[k]))
	}
}

func unixSeconds(t time.Time) float64 {
	const milli = 1000
	return float64(t.UnixMilli()) / milli
}
