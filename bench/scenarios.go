package main

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	"fanfare/bench/load"
	"fanfare/bench/server"
)

func cores() int { return runtime.NumCPU() }

// play is a scenario, on a stage that was built.
type play func(*stage, context.Context) error

// playOf is the scenario of a name.
func playOf(name string) (play, bool) {
	p, ok := map[string]play{
		"connect": (*stage).connect, "idle": (*stage).idle, "million": (*stage).idle, "fanout": (*stage).fanout,
		"burst": (*stage).burst, "topics": (*stage).topics, "churn": (*stage).churn, "slow": (*stage).slow, "storm": (*stage).storm,
	}[name]
	return p, ok
}

// boundable says whether a scenario's p50 can show that the generator is the limit.
func boundable(name string) bool { return name == "fanout" || name == "burst" || name == "topics" }

const steps = 4 // at so many counts of connections memory is read

// open opens all connections and measures what one costs.
func (st *stage) open(ctx context.Context) error {
	r := st.run
	shakes, cpu, began := load.NewHist(), int64(0), time.Duration(0)
	before := st.meter()
	r.Memory.RSSBefore, r.Memory.PSSBefore = before.usage.RSS, before.usage.PSS
	var counts, sizes, shares []float64
	for k := range steps {
		from, to := k*st.Connections/steps, (k+1)*st.Connections/steps
		if from == to {
			continue
		}
		st.progress.phase("connecting %d of %d", to, st.Connections)
		m := st.meter()
		o, err := st.fleet.Open(ctx, from, to, load.How{InFlight: st.InFlight, Next: 1, Buffer: st.buffer(from)})
		if err != nil {
			return err
		}
		shakes.Merge(o.Shakes)
		if o.Opened < to-from || o.Lost > 0 {
			r.Account.Refused += int64(o.Refused)
			return fmt.Errorf("%d of %d connections are open, %d were refused and %d lost: %s", o.Open, st.Connections, o.Refused, o.Lost, orUnknown(o.Why))
		}
		now := st.meter()
		began += now.at.Sub(m.at)
		cpu += now.usage.CPU - m.usage.CPU
		if err := st.rest(ctx, st.Settle); err != nil {
			return err
		}
		now = st.meter()
		counts, sizes, shares = append(counts, float64(to)), append(sizes, float64(now.usage.RSS)), append(shares, float64(now.usage.PSS))
		r.Memory.RSS, r.Memory.PSS, r.Memory.Peak, r.Memory.Kernel = now.usage.RSS, now.usage.PSS, now.usage.Peak, now.kernel-before.kernel
	}
	r.Connect.Opened += int64(st.Connections)
	r.Memory.Subscribed = r.Memory.RSS
	r.Connect.Shakes, r.Connect.Seconds, r.Connect.InFlight = load.Times(shakes), began.Seconds(), st.InFlight
	if before.known {
		r.CPU.PerConnect = float64(cpu) / float64(st.Connections)
		r.Memory.PerConnection, r.Memory.PSSPerConnection = slope(counts, sizes), slope(counts, shares)
	}
	return nil
}

// buffer is the receive buffer of connections: small for those that will not read, so that the server notices soon.
func (st *stage) buffer(from int) int {
	if st.run.Scenario == "slow" && from+st.Connections/steps >= st.Connections-st.Stopped {
		return 4 << 10
	}
	return 0
}

func orUnknown(why string) string {
	if why == "" {
		return "for an unknown reason"
	}
	return why
}

// rest waits.
func (st *stage) rest(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// connect measures only the opening; one message to all proves that they are subscribed.
func (st *stage) connect(ctx context.Context) error {
	from := st.meter()
	if err := st.open(ctx); err != nil {
		return err
	}
	st.measured(from)
	return st.round(ctx, st.Topics, st.rounds)
}

// idle measures connections that have nothing to do, then one message to all, then their end.
func (st *stage) idle(ctx context.Context) error {
	empty := server.Kernel()
	if err := st.open(ctx); err != nil {
		return err
	}
	st.progress.phase("idle for %s", st.Idle)
	from := st.meter()
	err := st.rest(ctx, st.Idle)
	st.measured(from)
	st.run.LoopLag = st.lagNow(ctx) // only now: to answer costs it more than to be idle
	st.run.Memory.Kernel = server.Kernel() - empty
	for _, pid := range st.fleet.Workers() {
		var u server.Usage
		u.Add(pid)
		st.run.Load.RSS += u.RSS
	}
	if err != nil {
		return err
	}
	st.progress.phase("one message to all")
	if err := st.round(ctx, st.Topics, st.rounds); err != nil {
		return err
	}
	if err := st.tell(ctx); err != nil {
		return err
	}
	st.progress.phase("closing")
	began := time.Now()
	err = st.fleet.Close(ctx, 0, st.Connections, true)
	st.run.Connect.Teardown = time.Since(began).Seconds()
	return err
}

// fanout: one message at a time, the next only when all have it.
func (st *stage) fanout(ctx context.Context) error { return st.series(ctx, 1, "message") }

// burst: many messages back to back; each publish waits only for the server's answer.
func (st *stage) burst(ctx context.Context) error {
	st.run.Shape.Burst = st.Burst
	return st.series(ctx, st.Burst, "burst")
}

// topics: one message to each topic, back to back.
func (st *stage) topics(ctx context.Context) error {
	return st.series(ctx, st.Topics, "message to each topic")
}

// series plays rounds of n messages.
func (st *stage) series(ctx context.Context, n int, what string) error {
	if err := st.open(ctx); err != nil {
		return err
	}
	st.progress.phase("warming up")
	for k := 0; k < st.Warmup && !st.short; k++ {
		if err := st.round(ctx, n, load.NewRounds()); err != nil {
			return err
		}
	}
	before := st.mallocs(ctx)
	stop := st.lag(ctx)
	from := st.meter()
	for k := 0; k < st.Messages && !st.short; k++ {
		st.progress.phase("%s %d of %d", what, k+1, st.Messages)
		if err := st.round(ctx, n, st.rounds); err != nil {
			return err
		}
	}
	st.measured(from)
	stop()
	st.allocations(ctx, before)
	st.perDelivery(st.rounds.Count)
	return st.plain(ctx)
}

// slow lets some readers stop while the others get message after message, and then lets them go on.
func (st *stage) slow(ctx context.Context) error {
	if err := st.open(ctx); err != nil {
		return err
	}
	st.readers = st.Connections - st.Stopped
	if err := st.fleet.Stop(ctx, st.readers, st.Connections); err != nil {
		return err
	}
	stop := st.lag(ctx)
	from := st.meter()
	for k := 0; k < st.Messages && !st.short; k++ {
		st.progress.phase("message %d of %d", k+1, st.Messages)
		if err := st.round(ctx, 1, st.rounds); err != nil {
			return err
		}
	}
	st.measured(from)
	stop()
	st.perDelivery(st.rounds.Count)
	if err := st.fleet.Resume(ctx, st.readers, st.Connections); err != nil {
		return err
	}
	st.progress.phase("those that had stopped read again")
	return st.quiet(ctx, 500*time.Millisecond)
}

// storm ends all connections without a word, and measures how all come back.
func (st *stage) storm(ctx context.Context) error {
	if err := st.open(ctx); err != nil {
		return err
	}
	if err := st.round(ctx, st.Topics, st.rounds); err != nil || st.short {
		return err
	}
	st.progress.phase("all reconnect")
	stop := st.lag(ctx)
	from := st.meter()
	st.run.Connect.Opened = 0
	if err := st.fleet.Close(ctx, 0, st.Connections, false); err != nil {
		return err
	}
	if err := st.reopen(ctx); err != nil {
		return err
	}
	st.measured(from)
	stop()
	st.run.CPU.PerConnect = float64(st.run.CPU.User+st.run.CPU.System) / float64(st.Connections)
	st.run.Connect.Seconds = st.run.Seconds
	return st.round(ctx, st.Topics, st.rounds)
}

// reopen opens what is not open, again and again while the server turns some away.
func (st *stage) reopen(ctx context.Context) error {
	shakes, next := load.NewHist(), load.Last(st.published, st.Topics, 0)+1
	for until := time.Now().Add(3 * st.Timeout); ; {
		o, err := st.fleet.Open(ctx, 0, st.Connections, load.How{InFlight: st.InFlight, Next: next})
		if err != nil {
			return err
		}
		shakes.Merge(o.Shakes)
		st.run.Connect.Opened += int64(o.Opened)
		st.run.Account.Refused += int64(o.Refused)
		st.run.Connect.Shakes = load.Times(shakes)
		if o.Open == st.Connections {
			return nil
		}
		if time.Now().After(until) {
			return fmt.Errorf("%d of %d connections came back within %s: %s", o.Open, st.Connections, 3*st.Timeout, orUnknown(o.Why))
		}
		if err := st.rest(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
}

// churn lets the last connections come and go while messages flow.
func (st *stage) churn(ctx context.Context) error {
	if err := st.open(ctx); err != nil {
		return err
	}
	if err := st.fleet.Arm(ctx, st.published, st.published, st.Connections); err != nil {
		return err
	}
	stop := st.lag(ctx)
	from := st.meter()
	flowing, end := context.WithCancel(ctx)
	defer end()
	var published error
	var flow sync.WaitGroup
	flow.Go(func() { published = st.flow(flowing) })
	err := st.comeAndGo(ctx)
	end()
	flow.Wait()
	st.measured(from)
	stop()
	if err != nil || published != nil {
		return firstOf(err, published)
	}
	if err := st.quiet(ctx, 500*time.Millisecond); err != nil {
		return err
	}
	if _, err := st.fleet.Await(ctx, st.Timeout, st.rounds); err != nil {
		return err
	}
	st.perDelivery(st.rounds.Count)
	st.rounds.Reach = nil // there was no round
	return st.round(ctx, st.Topics, st.rounds)
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// flow publishes at a rate, until the context ends.
func (st *stage) flow(ctx context.Context) error {
	every := time.NewTicker(time.Second / time.Duration(st.Rate))
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-every.C:
			if err := st.publish(context.WithoutCancel(ctx), 1); err != nil { // one that has begun is ended
				return err
			}
		}
	}
}

// comeAndGo closes and opens the churners, a few at a time.
func (st *stage) comeAndGo(ctx context.Context) error {
	st.run.Connect.Opened = 0
	few := max(1, min(st.Churners/4, 100))
	shakes := load.NewHist()
	began := time.Now()
	for at, first := 0, st.Connections-st.Churners; time.Since(began) < st.Lasting; at = (at + few) % st.Churners {
		st.progress.phase("%d of %s: %d came back", int(time.Since(began).Seconds()), st.Lasting, st.run.Connect.Opened)
		from, to := first+at, min(first+at+few, st.Connections)
		if err := st.fleet.Close(ctx, from, to, true); err != nil {
			return err
		}
		o, err := st.fleet.Open(ctx, from, to, load.How{InFlight: st.InFlight})
		if err != nil {
			return err
		}
		shakes.Merge(o.Shakes)
		st.run.Connect.Opened += int64(o.Opened)
		if o.Opened < to-from {
			st.run.Account.Refused += int64(o.Refused)
			return fmt.Errorf("a client that came back was turned away: %s", orUnknown(o.Why))
		}
	}
	st.run.Connect.Shakes, st.run.Connect.Seconds = load.Times(shakes), time.Since(began).Seconds()
	return nil
}

// quiet waits until nothing more comes, for calm.
func (st *stage) quiet(ctx context.Context, calm time.Duration) error {
	last, since, until := int64(-1), time.Now(), time.Now().Add(st.Timeout)
	for time.Since(since) < calm && time.Now().Before(until) {
		now, err := st.fleet.Received(ctx)
		if err != nil {
			return err
		}
		if now != last {
			last, since = now, time.Now()
		}
		if err := st.rest(ctx, calm/8); err != nil {
			return err
		}
	}
	return nil
}
