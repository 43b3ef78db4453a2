package loop

// counts is what a loop counts as it goes: plain numbers, copied out once a turn.
type counts struct {
	accepted, acceptErrors, upgraded, messages int64
	closed                                     [reasons]int64
	panics, dropped                            int64
	writes, bytes                              int64
	queued                                     int64
}

func (n *counts) written(bytes int) {
	n.writes++
	n.bytes += int64(bytes)
}

// Stats are a loop's or a group's counters and gauges; all but the last three only grow.
type Stats struct {
	Accepted     int64               // connections accepted
	AcceptErrors int64               // accepts that failed for want of descriptors or memory
	Upgraded     int64               // handshakes that ended in a 101
	Messages     int64               // data messages read
	Closed       [int(reasons)]int64 // connections that ended, by Reason
	Panics       int64               // panics caught
	Dropped      int64               // frames dropped by a policy
	Writes       int64               // system calls that wrote to clients
	Bytes        int64               // bytes written to clients
	Conns        int64               // connections in the slab
	Queued       int64               // bytes that wait in output queues, shared ones counted for each
	QueueNodes   int64               // frames that wait in output queues
}

// publish copies the counters for readers on other goroutines.
func (l *Loop) publish() {
	n := &l.count
	s := Stats{
		n.accepted, n.acceptErrors, n.upgraded, n.messages, n.closed, n.panics, n.dropped, n.writes, n.bytes,
		int64(l.slab.used), n.queued, int64(l.nodes.used),
	}
	l.mu.Lock()
	l.stats = s
	l.mu.Unlock()
}

// Stats sums what the loops counted until their last turns, a quarter of a second ago at most.
func (g *Group) Stats() Stats {
	var sum Stats
	for _, l := range g.loops {
		l.mu.Lock()
		s := l.stats
		l.mu.Unlock()
		sum.Accepted += s.Accepted
		sum.AcceptErrors += s.AcceptErrors
		sum.Upgraded += s.Upgraded
		sum.Messages += s.Messages
		for i, n := range s.Closed {
			sum.Closed[i] += n
		}
		sum.Panics += s.Panics
		sum.Dropped += s.Dropped
		sum.Writes += s.Writes
		sum.Bytes += s.Bytes
		sum.Conns += s.Conns
		sum.Queued += s.Queued
		sum.QueueNodes += s.QueueNodes
	}
	return sum
}
