package loop

import (
	"sync/atomic"
	"time"
)

// counts is what a loop counts as it goes: plain numbers, copied out once a turn.
type counts struct {
	accepted, acceptErrors, adopted, moved int64
	upgraded, messages                     int64
	refused                                [refusals]int64
	closed                                 [reasons]int64
	dropped                                [policies]int64
	panics                                 int64
	writes, bytes                          int64
	queued, maxQueue                       int64
}

func (n *counts) written(bytes int) {
	n.writes++
	n.bytes += int64(bytes)
}

// Stats are a loop's or a group's counters and gauges; all but the last six only grow.
type Stats struct {
	Accepted     int64                // connections accepted
	AcceptErrors int64                // accepts that failed for want of descriptors or memory
	Refused      [int(refusals)]int64 // connections refused at once, by Refusal
	Adopted      int64                // connections that came back from net/http
	Moved        int64                // connections that one loop accepted for an emptier one
	Upgraded     int64                // handshakes that ended in a 101
	Messages     int64                // data messages read
	Closed       [int(reasons)]int64  // connections that ended, by Reason
	Panics       int64                // panics caught
	Dropped      int64                // frames dropped by a policy
	DroppedBy    [int(policies)]int64 // the same by policy; Disconnect drops none, it closes
	Writes       int64                // system calls that wrote to clients
	Bytes        int64                // bytes written to clients
	HTTP         int64                // connections that net/http holds or is about to get
	Conns        int64                // connections in the slab
	Queued       int64                // bytes that wait in output queues, shared ones counted for each
	QueueNodes   int64                // frames that wait in output queues
	Backlog      int64                // what Limits.BacklogTotal bounds
	MaxQueue     int64                // bytes in the fullest queue, as of the last tick
}

// LoopStats tell how one loop does. Ticked is written by the loop's own tick: who finds it older than a few ticks (250 ms each)
// knows that the loop hangs in a callback.
//
//nolint:revive // Stats are those of all loops together
type LoopStats struct {
	ID       int
	Conns    int64
	Queued   int64         // bytes that wait in output queues
	Nodes    int64         // frames that wait in output queues
	Busy     float64       // share of the time between the last two ticks that went into callbacks
	BusyTime time.Duration // time in callbacks since the start; it only grows
	Lag      time.Duration // by how much the last tick came late
	Ticked   time.Time     // when the last tick came; it has a monotonic clock
}

// pulse is what a loop tells of its pace; any goroutine reads it, also while the loop hangs.
type pulse struct {
	ticked   atomic.Int64 // ns of the group's clock
	lag      atomic.Int64
	busyTime atomic.Int64
	share    atomic.Int64 // 1/1000
}

// publish copies the counters for readers on other goroutines.
func (l *Loop) publish() {
	n := &l.count
	s := Stats{
		Accepted: n.accepted, AcceptErrors: n.acceptErrors, Refused: n.refused, Adopted: n.adopted, Moved: n.moved,
		Upgraded: n.upgraded, Messages: n.messages, Closed: n.closed, Panics: n.panics, DroppedBy: n.dropped,
		Writes: n.writes, Bytes: n.bytes, Conns: int64(l.slab.used), Queued: n.queued, QueueNodes: int64(l.nodes.used),
		Backlog: l.weight(), MaxQueue: n.maxQueue,
	}
	for _, d := range n.dropped {
		s.Dropped += d
	}
	l.mu.Lock()
	l.stats = s
	l.mu.Unlock()
	l.shareWeight()
}

func (l *Loop) snapshot() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stats
}

// Stats sums what the loops counted until their last turns, a quarter of a second ago at most.
func (g *Group) Stats() Stats {
	sum := Stats{HTTP: g.held()}
	for _, l := range g.loops {
		sum.add(l.snapshot())
	}
	return sum
}

func (s *Stats) add(o Stats) {
	s.Accepted += o.Accepted
	s.AcceptErrors += o.AcceptErrors
	for i, n := range o.Refused {
		s.Refused[i] += n
	}
	s.Adopted += o.Adopted
	s.Moved += o.Moved
	s.Upgraded += o.Upgraded
	s.Messages += o.Messages
	for i, n := range o.Closed {
		s.Closed[i] += n
	}
	s.Panics += o.Panics
	s.Dropped += o.Dropped
	for i, n := range o.DroppedBy {
		s.DroppedBy[i] += n
	}
	s.Writes += o.Writes
	s.Bytes += o.Bytes
	s.Conns += o.Conns
	s.Queued += o.Queued
	s.QueueNodes += o.QueueNodes
	s.Backlog += o.Backlog
	s.MaxQueue = max(s.MaxQueue, o.MaxQueue)
}

// LoopStats tells of each loop, in the order of their IDs. It never waits for one.
func (g *Group) LoopStats() []LoopStats {
	all := make([]LoopStats, 0, len(g.loops))
	for i, l := range g.loops {
		s := l.snapshot()
		all = append(all, LoopStats{
			ID: i, Conns: s.Conns, Queued: s.Queued, Nodes: s.QueueNodes,
			Busy:     float64(l.pulse.share.Load()) / 1000,
			BusyTime: time.Duration(l.pulse.busyTime.Load()),
			Lag:      time.Duration(l.pulse.lag.Load()),
			Ticked:   g.began.Add(time.Duration(l.pulse.ticked.Load())),
		})
	}
	return all
}
