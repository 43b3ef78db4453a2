package loop

// Canary names a record without a socket, one a loop, that is in no metric and under no limit: what is sent to it is counted and
// nothing else. Group.Post with it runs on the loop. Any goroutine.
func (l *Loop) Canary() Ref { return l.canary }

// CanaryCount is how many frames were sent to the canary. Any goroutine.
func (l *Loop) CanaryCount() uint64 { return l.sung.Load() }

// hatch makes the canary. Its slot is a low one, so that it may index arrays.
func (l *Loop) hatch() {
	c := l.slab.take()
	l.slab.used-- // it is no connection
	c.loop, c.state, c.op.FD = l, canary, -1
	l.canary = c.ref
}
