package load

import (
	"context"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"fanfare/bench/result"
)

// Opening is what became of an Open.
type Opening struct {
	Opened, Refused int
	Open            int // of all there are
	Lost            int64
	Why             string // the first refusal or loss
	Shakes          *hdrhistogram.Histogram
}

// meet is the part of the connections from (included) to (excluded) that is the worker's own.
func (s *Setup) meet(from, to int) (lo, hi int, some bool) {
	lo, hi = max(from-s.First, 0), min(to-s.First, s.Count)
	return lo, hi, lo < hi
}

// How is how connections are opened.
type How struct {
	InFlight int    // handshakes at once, of all workers together
	Next     uint32 // the first sequence that they must get; 0: whichever comes
	Buffer   int    // size of their receive buffers; 0: the kernel's choice
}

// Open opens connections from (included) to (excluded).
func (f *Fleet) Open(ctx context.Context, from, to int, how How) (Opening, error) {
	active := 0
	for k := range f.setups {
		if _, _, some := f.setups[k].meet(from, to); some {
			active++
		}
	}
	answers, err := f.Each(ctx, func(_ int, s *Setup) (Order, bool) {
		lo, hi, some := s.meet(from, to)
		return Order{Do: doOpen, From: lo, To: hi, Next: how.Next, Buffer: how.Buffer, InFlight: max(1, how.InFlight/active)}, some
	})
	all, o := Answer{}, Opening{Shakes: NewHist()}
	for k := range answers {
		all.add(&answers[k])
		if err == nil {
			err = merge(o.Shakes, answers[k].Shakes)
		}
	}
	now := f.Latest()
	o.Opened, o.Refused, o.Open, o.Lost, o.Why = all.Opened, all.Refused, now.Open, now.Lost, all.Why
	if o.Why == "" {
		o.Why = now.Why
	}
	return o, err
}

// Close closes connections, politely or as if the network had gone.
func (f *Fleet) Close(ctx context.Context, from, to int, politely bool) error {
	do := doReset
	if politely {
		do = doClose
	}
	return f.some(ctx, from, to, do)
}

// Stop lets connections read no more; from then on they are counted apart.
func (f *Fleet) Stop(ctx context.Context, from, to int) error { return f.some(ctx, from, to, doStop) }

// Resume lets them read again.
func (f *Fleet) Resume(ctx context.Context, from, to int) error {
	return f.some(ctx, from, to, doResume)
}

func (f *Fleet) some(ctx context.Context, from, to int, do string) error {
	_, err := f.Each(ctx, func(_ int, s *Setup) (Order, bool) {
		lo, hi, some := s.meet(from, to)
		return Order{Do: do, From: lo, To: hi}, some
	})
	return err
}

// Arm begins a round of the messages from (included) to (excluded), which go to the topics in turn, for the connections
// below readers.
func (f *Fleet) Arm(ctx context.Context, from, to int64, readers int) error {
	_, err := f.Each(ctx, func(_ int, s *Setup) (Order, bool) {
		return Order{Do: doArm, Total: s.deliveries(from, to, readers), Published: to}, true
	})
	return err
}

// deliveries is how many the messages from (included) to (excluded) cause at a worker.
func (s *Setup) deliveries(from, to int64, readers int) (n int64) {
	per := int64(s.Subscriptions)
	lo, hi := int64(min(s.First, readers))*per, int64(min(s.First+s.Count, readers))*per
	for t := range s.Topics {
		if messages := Subscribers(from, to, s.Topics, t); messages > 0 {
			n += messages * Subscribers(lo, hi, s.Topics, t)
		}
	}
	return n
}

// Rounds collects what rounds were like.
type Rounds struct {
	Times *hdrhistogram.Histogram // of all deliveries
	Reach []result.Reach          // of each round
	Count int64
}

// NewRounds is none so far.
func NewRounds() *Rounds { return &Rounds{Times: NewHist()} }

// Await waits until the round is complete, or nothing has come for quiet, and adds it to r. It tells how many deliveries came.
func (f *Fleet) Await(ctx context.Context, quiet time.Duration, r *Rounds) (int64, error) {
	answers, err := f.Each(ctx, func(int, *Setup) (Order, bool) { return Order{Do: doAwait, Quiet: quiet}, true })
	if err != nil {
		return 0, err
	}
	count, reach := int64(0), NewHist()
	for k := range answers {
		round := answers[k].Round
		if round == nil {
			continue
		}
		count += round.Count
		if err := merge(r.Times, round.Times); err != nil {
			return 0, err
		}
		if err := merge(reach, round.Reach); err != nil {
			return 0, err
		}
	}
	r.Count += count
	if reach.TotalCount() > 0 {
		r.Reach = append(r.Reach, result.Reach{
			First: reach.Min(), Median: reach.ValueAtQuantile(50), P99: reach.ValueAtQuantile(99), Last: reach.Max(),
		})
	}
	return count, nil
}

// Received is how many deliveries have come, all in all.
func (f *Fleet) Received(ctx context.Context) (n int64, err error) {
	answers, err := f.Each(ctx, func(int, *Setup) (Order, bool) { return Order{Do: doNothing}, true })
	for k := range answers {
		n += answers[k].Received
	}
	return n, err
}

// Count is the account after published messages.
func (f *Fleet) Count(ctx context.Context, published int64) (Sums, error) {
	var all Sums
	answers, err := f.Each(ctx, func(int, *Setup) (Order, bool) { return Order{Do: doCount, Published: published}, true })
	for k := range answers {
		if s := answers[k].Sums; s != nil {
			add(&all.Readers, &s.Readers)
			add(&all.Apart, &s.Apart)
			all.ApartLost += s.ApartLost
			all.ApartGapped += s.ApartGapped
		}
	}
	return all, err
}

func add(a, b *result.Account) {
	a.Expected += b.Expected
	a.Received += b.Received
	a.Missing += b.Missing
	a.Repeated += b.Repeated
	a.Disorder += b.Disorder
	a.Garbage += b.Garbage
	a.Refused += b.Refused
	a.Lost += b.Lost
}
