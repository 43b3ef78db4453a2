package fanout

import (
	"sync/atomic"
	"time"
)

// latencyBuckets is the number of upper bounds of Latency.
const latencyBuckets = 16

// Latency is a histogram of the time from an event's position to when the slowest loop had sent it: its frame was handed to the
// sink of the last member, and written unless that connection is full. Events nobody was owed in the end, because the last member left,
// are not in it.
type Latency struct {
	Bounds []time.Duration // upper bounds, ascending; not to be changed
	Counts []uint64        // events within each bound and above the one before it; one more for those above all
	Sum    time.Duration
}

type latency struct {
	counts [latencyBuckets + 1]atomic.Uint64
	sum    atomic.Int64
}

func (l *latency) observe(d time.Duration) {
	i := 0
	for i < latencyBuckets && d > latencyBounds[i] {
		i++
	}
	l.counts[i].Add(1)
	l.sum.Add(int64(d))
}

// Latency reads the histogram.
func (h *Hub) Latency() Latency {
	l := Latency{Bounds: latencyBounds[:], Counts: make([]uint64, latencyBuckets+1)}
	for i := range l.Counts {
		l.Counts[i] = h.latency.counts[i].Load()
	}
	l.Sum = time.Duration(h.latency.sum.Load())
	return l
}
