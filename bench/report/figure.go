package report

import (
	"slices"

	"fanfare/bench/result"
)

// Names of the figures that goals are about.
const (
	perConnection   = "RSS per connection"
	perTopic        = "RSS per topic"
	perSubscription = "RSS per subscription"
	perDelivery     = "CPU per delivery"
	perConnect      = "CPU per connect"
	cpuShare        = "CPU share"
	lastReceiver    = "last receiver"
	deliveryP99     = "p99 delivery"
	allocations     = "allocations per delivery"
)

// figure is one number of a run.
type figure struct {
	name string
	unit unit
	of   func(*result.Run) float64 // 0 when it was not measured
	// paced figures depend on how fast the generator is.
	paced bool
	// nil unless 0 is a figure; it says then whether there is one.
	measured func(*result.Run) bool
}

// figures are those that servers are compared by, in the order in which they are shown.
func figures() []figure {
	return slices.Concat(memoryFigures(), cpuFigures(), timeFigures())
}

func memoryFigures() []figure {
	return []figure{
		{name: perConnection, unit: octets, of: func(r *result.Run) float64 { return r.Memory.PerConnection }},
		{name: perTopic, unit: octets, of: func(r *result.Run) float64 { return r.Memory.PerTopic }},
		{name: perSubscription, unit: octets, of: func(r *result.Run) float64 { return r.Memory.PerSubscription }},
	}
}

func cpuFigures() []figure {
	return []figure{
		{name: perDelivery, unit: nanoseconds, paced: true, of: func(r *result.Run) float64 { return r.CPU.PerDelivery }},
		{name: perConnect, unit: nanoseconds, paced: true, of: func(r *result.Run) float64 { return r.CPU.PerConnect }},
		{name: cpuShare, unit: percent, paced: true, of: func(r *result.Run) float64 { return r.CPU.Share }},
		{
			name: allocations, unit: number,
			of: func(r *result.Run) float64 {
				if r.Allocations == nil {
					return 0
				}
				return *r.Allocations
			},
			measured: func(r *result.Run) bool { return r.Allocations != nil },
		},
		{name: "switches", unit: count, paced: true, of: func(r *result.Run) float64 {
			return float64(r.Switches.Voluntary) + float64(r.Switches.Involuntary)
		}},
	}
}

func timeFigures() []figure {
	times := []figure{
		{name: "first receiver", of: func(r *result.Run) float64 { return float64(r.Reach.First) }},
		{name: "median receiver", of: func(r *result.Run) float64 { return float64(r.Reach.Median) }},
		{name: "p99 receiver", of: func(r *result.Run) float64 { return float64(r.Reach.P99) }},
		{name: lastReceiver, of: func(r *result.Run) float64 { return float64(r.Reach.Last) }},
		{name: "p50 delivery", of: func(r *result.Run) float64 { return float64(r.Delivery.P50) }},
		{name: deliveryP99, of: func(r *result.Run) float64 { return float64(r.Delivery.P99) }},
		{name: "loop lag", of: func(r *result.Run) float64 { return r.LoopLag * 1e9 }},
	}
	for i := range times {
		times[i].unit, times[i].paced = nanoseconds, true
	}
	return times
}

// figureNamed finds one of figures.
func figureNamed(name string) figure {
	all := figures()
	return all[slices.IndexFunc(all, func(f figure) bool { return f.name == name })]
}

// generatorShare is told beside the figures and never compared.
func generatorShare() figure {
	return figure{name: "generator share", unit: percent, of: func(r *result.Run) float64 { return r.Load.Share }}
}

// value gives the figure of a run that did not fail, if it was measured.
func (f figure) value(r *result.Run) (float64, bool) {
	v := f.of(r)
	if f.measured != nil {
		return v, f.measured(r) && finite(v)
	}
	return v, v != 0 && finite(v)
}
