package loop

import (
	"runtime"
	"runtime/metrics"
	"sync/atomic"
	"time"
)

const collectRest = 10 * time.Second // between two collections that the memory limit asks for

// gate decides who is accepted. Any goroutine uses it.
type gate struct {
	conns  atomic.Int64
	rate   atomic.Int64
	memory atomic.Int64

	open    atomic.Int64 // connections that the loops have, those under way from one to another included
	next    atomic.Int64 // the rate's clock (GCRA): when the next one would come if all came evenly
	swollen atomic.Bool  // more memory in use than allowed, when it was last looked at
}

// Admit changes what is accepted from now on.
func (g *Group) Admit(a Admission) {
	g.gate.conns.Store(int64(a.Conns))
	g.gate.rate.Store(int64(a.Rate))
	g.gate.memory.Store(a.Memory)
	if a.Memory <= 0 {
		g.gate.swollen.Store(false)
	}
}

// admit counts one more connection, or tells why there may be none. Who is refused does not count for the rate.
func (g *Group) admit() (why Refusal, ok bool) {
	t := &g.gate
	if t.swollen.Load() {
		return FullMemory, false
	}
	n := t.open.Add(1)
	if most := t.conns.Load(); most > 0 && n+g.held() > most {
		t.open.Add(-1)
		return FullConns, false
	}
	if rate := t.rate.Load(); rate > 0 && !t.pass(g.clock(), rate) {
		t.open.Add(-1)
		return FullRate, false
	}
	return 0, true
}

// pass lets rate through a second, evenly or all at once.
func (t *gate) pass(now, rate int64) bool {
	every := int64(time.Second) / rate
	for {
		was := t.next.Load()
		next := max(was, now) + every
		if next-now > every*rate { // about a second
			return false
		}
		if t.next.CompareAndSwap(was, next) {
			return true
		}
	}
}

// held is how many connections net/http has or is about to get.
func (g *Group) held() (n int64) {
	for _, ln := range g.http {
		n += ln.Held()
	}
	return n
}

// gauge looks at the memory in use; the first loop's tick calls it.
type gauge struct {
	samples   [3]metrics.Sample
	collected int64
	busy      atomic.Bool
}

// inUse is what the runtime has of the system's memory, without what it could give back at once.
func (m *gauge) inUse() int64 {
	if m.samples[0].Name == "" {
		m.samples[0].Name = "/memory/classes/total:bytes"
		m.samples[1].Name = "/memory/classes/heap/released:bytes"
		m.samples[2].Name = "/memory/classes/heap/free:bytes"
	}
	metrics.Read(m.samples[:])
	return int64(m.samples[0].Value.Uint64() - m.samples[1].Value.Uint64() - m.samples[2].Value.Uint64())
}

// weigh opens or shuts the gate by the memory in use. Garbage counts as memory, so while the gate is shut a collection is asked
// for now and then: nothing else would, when nobody comes in.
func (m *gauge) weigh(g *Group, now int64) {
	most := g.gate.memory.Load()
	if most <= 0 {
		return
	}
	over := m.inUse() > most
	g.gate.swollen.Store(over)
	if over && (m.collected == 0 || now-m.collected >= int64(collectRest)) && m.busy.CompareAndSwap(false, true) {
		m.collected = now
		go func() {
			runtime.GC()
			m.busy.Store(false)
		}()
	}
}
