package loop

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	trimRest  = 10 * time.Second
	trimSlack = 1.2 // in-use heap over live heap that is worth a collection
	trickle   = 10  // connections in a second that are no wave, however few there are
)

// Trim returns memory to the system after waves of connects: when hardly any connection (1 % of those there are, or ten)
// came for a second and the heap is well over what lives in it. Not again before ten seconds or a further 5 % of connections. One goroutine a process; it ends with ctx.
func (g *Group) Trim(ctx context.Context) {
	every := time.NewTicker(time.Second)
	defer every.Stop()
	var last trimmed
	seen := int64(0)
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-every.C:
			s := g.Stats()
			quiet := s.Accepted-seen <= max(s.Conns/100, trickle)
			seen = s.Accepted
			if quiet && last.worth(now, s) && slack() > trimSlack {
				debug.FreeOSMemory()
				last = trimmed{now, s.Accepted, s.Conns}
			}
		}
	}
}

// trimmed is the state of things when memory was last returned.
type trimmed struct {
	at              time.Time
	accepted, conns int64
}

func (t trimmed) worth(now time.Time, s Stats) bool {
	if s.Accepted == t.accepted {
		return false
	}
	grown := s.Conns-t.conns > t.conns/20
	return grown || now.Sub(t.at) >= trimRest
}

// slack is the memory that the heap holds over what the last collection found alive.
func slack() float64 {
	m := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
	}
	metrics.Read(m)
	live := max(m[0].Value.Uint64(), 1)
	return float64(m[1].Value.Uint64()+m[2].Value.Uint64()+m[3].Value.Uint64()) / float64(live)
}
