package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"fanfare/bench/load"
	"fanfare/bench/result"
	"fanfare/bench/server"
	"fanfare/bench/target"
)

// stage is what a scenario plays on: servers, generators, publishers, and the figures so far.
type stage struct {
	settings
	plan
	target     target.Target
	servers    []*server.Process
	fleet      *load.Fleet
	publishers []*load.Publisher
	clock      load.Clock
	runName    string
	run        *result.Run
	progress   *progress

	published int64 // messages, to the topics in turn
	readers   int   // connections below this are those that rounds wait for
	short     bool  // a round did not get what it should
	rounds    *load.Rounds
}

// build starts servers and generators. Whatever was started is taken down by clear.
func (st *stage) build(ctx context.Context) error {
	st.clock = load.NewClock()
	var seed [4]byte
	if _, err := rand.Read(seed[:]); err != nil {
		return err
	}
	st.runName = load.RunName(binary.LittleEndian.Uint32(seed[:]))
	st.readers, st.rounds = st.Connections, load.NewRounds()
	st.progress.phase("starting %s", st.target.Name)
	program, err := os.Executable()
	if err != nil {
		return err
	}
	if err := st.serve(ctx, program); err != nil {
		return err
	}
	var addresses []string
	for _, p := range st.servers {
		addresses = append(addresses, p.Address)
		st.publishers = append(st.publishers, load.NewPublisher(p.Address, topicPrefix, st.runName, &st.target, st.Size, st.Timeout))
	}
	st.fleet, err = load.Enlist(ctx, program, st.setups(addresses))
	if err == nil {
		st.progress.watch(st.fleet)
	}
	return err
}

// serve starts the servers, or takes the one that runs.
func (st *stage) serve(ctx context.Context, program string) error {
	if st.URL != "" {
		address, err := st.address()
		if err != nil {
			return err
		}
		st.servers = append(st.servers, server.Attach(address, st.PID))
		return nil
	}
	o := server.Options{Threads: st.Threads, Within: 30 * time.Second, Limiter: []string{program, "limit", strconv.Itoa(st.files), "--"}}
	for range st.plan.servers {
		p, err := server.Start(ctx, &st.target, o)
		if err != nil {
			return err
		}
		st.servers = append(st.servers, p)
	}
	return nil
}

// setups divides the connections among the generators.
func (st *stage) setups(addresses []string) []load.Setup {
	setups := make([]load.Setup, 0, st.generators)
	for k := range st.generators {
		first, end := k*st.Connections/st.generators, (k+1)*st.Connections/st.generators
		setups = append(setups, load.Setup{
			Run: st.runName, Servers: addresses, PerServer: st.perServer, First: first, Count: end - first,
			Topics: st.Topics, Subscriptions: st.Subscriptions, Timeout: st.Timeout,
			Dialect: st.dialect(&st.target),
		})
	}
	return setups
}

// clear takes everything down.
func (st *stage) clear() {
	st.progress.watch(nil)
	for _, p := range st.publishers {
		p.Close()
	}
	if st.fleet != nil {
		st.fleet.Dismiss()
	}
	var all sync.WaitGroup
	for _, p := range st.servers {
		all.Go(p.Stop)
	}
	all.Wait()
}

// guard is a context that ends when a server does, with how it ended as its cause.
func (st *stage) guard(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	for _, p := range st.servers {
		go func() {
			select {
			case <-p.Done():
				cancel(p.Died())
			case <-ctx.Done():
			}
		}()
	}
	return ctx, func() { cancel(nil) }
}

// blame prefers the death of a server to what followed from it.
func (st *stage) blame(ctx context.Context, err error) error {
	if err == nil || st.URL != "" {
		return err
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(300 * time.Millisecond): // a death may be seen later than its consequences
		return err
	}
}

// publish publishes n messages back to back, to the topics in turn, each to every server.
func (st *stage) publish(ctx context.Context, n int) error {
	for range n {
		topic := int(st.published % int64(st.Topics))
		stamp := load.Stamp{Topic: uint32(topic), Seq: load.Last(st.published+1, st.Topics, topic), At: st.clock.Now()}
		if err := st.toAll(ctx, stamp); err != nil {
			return err
		}
		st.published++
	}
	return nil
}

// toAll publishes one message to every server at once.
func (st *stage) toAll(ctx context.Context, stamp load.Stamp) error {
	if len(st.publishers) == 1 {
		return st.publishers[0].Publish(ctx, stamp)
	}
	errs := make([]error, len(st.publishers))
	var all sync.WaitGroup
	for k, p := range st.publishers {
		all.Go(func() { errs[k] = p.Publish(ctx, stamp) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// round publishes n messages and waits until all readers have them. It is not an error if they do not get them: the account will
// tell; but nothing more should be published then.
func (st *stage) round(ctx context.Context, n int, into *load.Rounds) error {
	before := into.Count
	due := st.due(st.published, st.published+int64(n))
	if err := st.fleet.Arm(ctx, st.published, st.published+int64(n), st.readers); err != nil {
		return err
	}
	if err := st.publish(ctx, n); err != nil {
		return err
	}
	got, err := st.fleet.Await(ctx, st.Timeout, into)
	if into.Count-before < due || got < due {
		st.short = true
	}
	return err
}

// due is how many deliveries the messages from (included) to (excluded) cause among the readers.
func (st *stage) due(from, to int64) (all int64) {
	for t := range st.Topics {
		if messages := load.Subscribers(from, to, st.Topics, t); messages > 0 {
			all += messages * load.Subscribers(0, int64(st.readers)*int64(st.Subscriptions), st.Topics, t)
		}
	}
	return all
}

// tell fills in the account, once everything was published.
func (st *stage) tell(ctx context.Context) error {
	if err := st.quiet(ctx, 100*time.Millisecond); err != nil { // else what comes twice would not be seen
		return err
	}
	sums, err := st.fleet.Count(ctx, st.published)
	if err != nil {
		return err
	}
	if all := st.due(0, st.published); sums.Readers.Expected != all && sums.Readers.Lost == 0 && st.run.Scenario != "churn" {
		return fmt.Errorf("the generators' account does not add up: %d deliveries were due, they tell of %d", all, sums.Readers.Expected)
	}
	refused := st.run.Account.Refused
	st.run.Account = sums.Readers
	st.run.Account.Refused += refused
	for _, p := range st.publishers {
		st.run.Account.Refused += p.Refused
	}
	if st.run.Scenario == "slow" {
		st.run.Slow = &result.Slow{Account: sums.Apart, Ended: sums.ApartLost, Gapped: sums.ApartGapped}
	}
	st.run.Shape.Messages = int(st.published)
	st.run.Delivery = load.Times(st.rounds.Times)
	st.run.Reach = middle(st.rounds.Reach)
	return nil
}

// exact says what is wrong with the account; empty: nothing.
func (st *stage) exact(why string) error {
	a := &st.run.Account
	if a.Missing+a.Repeated+a.Disorder+a.Garbage+a.Lost == 0 {
		return nil
	}
	if why != "" {
		why = " (" + why + ")"
	}
	return fmt.Errorf("of %d deliveries %d are missing, %d repeated, %d out of order; %d messages were garbage, %d connections lost%s",
		a.Expected, a.Missing, a.Repeated, a.Disorder, a.Garbage, a.Lost, why)
}
