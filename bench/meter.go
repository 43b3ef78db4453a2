package main

import (
	"context"
	"os"
	"slices"
	"time"

	"fanfare/bench/result"
	"fanfare/bench/server"
)

// meter is what has been used up to a moment.
type meter struct {
	at     time.Time
	usage  server.Usage
	known  bool
	load   int64 // the generators' and this process's own processor time
	kernel int64
}

// mallocs asks the servers for the allocations they have made; negative if they do not tell.
func (st *stage) mallocs(ctx context.Context) (all float64) {
	for _, p := range st.servers {
		v, ok := p.Metric(ctx, st.target.Metrics, st.target.Mallocs)
		if !ok {
			return -1
		}
		all += v
	}
	return all
}

// allocations are those since before, for each delivery.
func (st *stage) allocations(ctx context.Context, before float64) {
	after := st.mallocs(ctx)
	if before < 0 || after < before || st.rounds.Count == 0 {
		return
	}
	each := (after - before) / float64(st.rounds.Count)
	st.run.Allocations = &each
}

func (st *stage) meter() meter {
	m := meter{at: time.Now(), kernel: server.Kernel()}
	m.usage, m.known = server.UsageOf(st.servers)
	for _, pid := range st.fleet.Workers() {
		m.load += server.CPU(pid)
	}
	m.load += server.CPU(os.Getpid())
	return m
}

// measured fills in what the part since from has cost.
func (st *stage) measured(from meter) {
	to, r := st.meter(), st.run
	r.Seconds = to.at.Sub(from.at).Seconds()
	r.Load.CPU = to.load - from.load
	r.Load.Share = float64(r.Load.CPU) / (r.Seconds * 1e9 * float64(cores()))
	if !to.known {
		return
	}
	cpu := to.usage.CPU - from.usage.CPU
	if ticks := to.usage.User + to.usage.System; ticks > 0 { // the split of all so far; the sum is exact
		r.CPU.User = int64(float64(cpu) * float64(to.usage.User) / float64(ticks))
	}
	if user, system := to.usage.User-from.usage.User, to.usage.System-from.usage.System; user >= 0 && system >= 0 && user+system > int64(200*time.Millisecond) {
		r.CPU.User = int64(float64(cpu) * float64(user) / float64(user+system))
	}
	r.CPU.System = cpu - r.CPU.User
	r.CPU.Share = float64(cpu) / (r.Seconds * 1e9)
	r.Memory.RSS, r.Memory.PSS, r.Memory.Peak = to.usage.RSS, to.usage.PSS, to.usage.Peak
	r.Switches = result.Switches{
		Voluntary:   max(0, to.usage.Voluntary-from.usage.Voluntary),
		Involuntary: max(0, to.usage.Involuntary-from.usage.Involuntary),
	}
}

// perDelivery is what the measured part comes to.
func (st *stage) perDelivery(deliveries int64) {
	if deliveries > 0 {
		st.run.CPU.PerDelivery = float64(st.run.CPU.User+st.run.CPU.System) / float64(deliveries)
	}
}

// lagEvery is how often the servers are asked: rarely, because to answer is work that counts as theirs.
const lagEvery = 2 * time.Second

// lag keeps the greatest loop lag that the servers tell, now and then and at stop.
func (st *stage) lag(ctx context.Context) (stop func()) {
	if st.target.Lag == "" {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan float64)
	go func() {
		greatest := 0.0
		every := time.NewTicker(lagEvery)
		defer every.Stop()
		for {
			select {
			case <-ctx.Done():
				done <- greatest
				return
			case <-every.C:
				greatest = max(greatest, st.lagNow(context.WithoutCancel(ctx)))
			}
		}
	}()
	return func() {
		cancel()
		st.run.LoopLag = max(<-done, st.lagNow(context.WithoutCancel(ctx)))
	}
}

func (st *stage) lagNow(ctx context.Context) float64 {
	greatest := 0.0
	for _, p := range st.servers {
		v, _ := p.Metric(ctx, st.target.Metrics, st.target.Lag) // one that does not tell has none
		greatest = max(greatest, v)
	}
	return greatest
}

// middle is the median of each.
func middle(all []result.Reach) (r result.Reach) {
	if len(all) == 0 {
		return r
	}
	of := func(get func(*result.Reach) int64) int64 {
		values := make([]int64, 0, len(all))
		for k := range all {
			values = append(values, get(&all[k]))
		}
		slices.Sort(values)
		return (values[(len(values)-1)/2] + values[len(values)/2]) / 2
	}
	r.First = of(func(r *result.Reach) int64 { return r.First })
	r.Median = of(func(r *result.Reach) int64 { return r.Median })
	r.P99 = of(func(r *result.Reach) int64 { return r.P99 })
	r.Last = of(func(r *result.Reach) int64 { return r.Last })
	return r
}

// slope is the least-squares slope of y over x.
func slope(x, y []float64) float64 {
	n := float64(len(x))
	if n < 2 {
		return 0
	}
	var sx, sy, sxx, sxy float64
	for k := range x {
		sx += x[k]
		sy += y[k]
		sxx += x[k] * x[k]
		sxy += x[k] * y[k]
	}
	if d := n*sxx - sx*sx; d > 0 {
		return (n*sxy - sx*sy) / d
	}
	return 0
}
