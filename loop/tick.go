package loop

import (
	"math"
	"time"

	"github.com/cloudwego/netpoll"
	"golang.org/x/sys/unix"

	"fanfare/loop/http1"
)

const (
	tick     = 250 * time.Millisecond
	maxSleep = 8 // ticks in one go that count as time; more is a process that was stopped, and no fault of the clients
	sweepEnd = math.MaxUint32
)

// ticks is d in ticks, rounded up.
func ticks(d time.Duration) uint32 { return uint32((d + tick - 1) / tick) }

func newTicker() (int, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return -1, err
	}
	every := unix.NsecToTimespec(int64(tick))
	if err := unix.TimerfdSettime(fd, 0, &unix.ItimerSpec{Interval: every, Value: every}, nil); err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// onTick moves the loop's clock and asks for a sweep. After a gap (SIGSTOP, a suspended machine) the clock moves by one tick
// only, so that all deadlines move by the gap.
func (l *Loop) onTick(netpoll.Poll) error {
	l.own()
	defer l.caught(nil)
	n := sysCount(l.ticker.FD)
	if n > maxSleep {
		n = 1
	}
	l.now += uint32(n)
	l.sweep = 0
	l.checkAges()
	l.slab.shrink(l.now, slabRest)
	l.nodes.shrink()
	if l.stopping == 0 {
		for _, ln := range l.listeners {
			ln.resume()
		}
	}
	l.Wake()
	return nil
}

// setDue sets the connection's next due time.
func (l *Loop) setDue(c *Conn, d time.Duration) {
	at := uint32(0)
	if d > 0 {
		at = l.now + ticks(d)
	}
	*l.slab.due(c.ref.Slot()) = at
}

// sweepDue looks for connections whose time has come, a bounded number of calls a turn.
func (l *Loop) sweepDue() (more bool) {
	calls := 0
	for ; int(l.sweep/chunkSlots) < len(l.slab.chunks); l.sweep = (l.sweep/chunkSlots + 1) * chunkSlots {
		ch := l.slab.chunks[l.sweep/chunkSlots]
		if ch == nil || ch.used == 0 {
			continue
		}
		for i := l.sweep % chunkSlots; i < chunkSlots; i++ {
			if at := ch.due[i]; at == 0 || at > l.now {
				continue
			}
			if calls == duePerTurn {
				l.sweep = l.sweep/chunkSlots*chunkSlots + i
				return true
			}
			calls++
			ch.due[i] = 0
			l.isDue(&ch.conns[i])
		}
	}
	l.sweep = sweepEnd
	return false
}

func (l *Loop) isDue(c *Conn) {
	defer l.caught(c)
	switch c.state {
	case head:
		if c.ext == nil { // not a byte came: a browser's spare connection, say
			l.kill(c, HeadTimeout)
			return
		}
		l.broken(c, &http1.Error{Status: 408, Field: "head", Text: "the request head did not come in time"})
	case wait:
		l.broken(c, &http1.Error{Status: 503, Field: "head", Text: "the decision took too long"})
	case open:
		l.h.Due(c)
	case closing, drain:
		l.kill(c, ByServer) // the reason is that of the close
	default:
	}
}

// checkAges applies the policy to connections whose oldest frame waits too long.
func (l *Loop) checkAges() {
	for i := len(l.backlog) - 1; i >= 0; i-- {
		c := l.slab.find(l.backlog[i])
		if c != nil && c.state != dead && c.qhead != 0 {
			if c.state == open {
				l.checkAge(c)
			}
			continue
		}
		if c != nil {
			c.flags &^= flagBacklog
		}
		last := len(l.backlog) - 1
		l.backlog[i] = l.backlog[last]
		l.backlog = l.backlog[:last]
	}
}

func (l *Loop) checkAge(c *Conn) {
	old := func(n *node) bool { return l.now-n.tick > ticks(l.lim.BacklogAge) }
	h := l.nodes.at(c.qhead)
	if !old(h) {
		return
	}
	if h.class != DropOldest {
		l.slow(c)
		return
	}
	l.dropOldest(c, func(n *node) bool { return !old(n) })
}
