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
	return fd, nil
}

// armTicker lets the ticks begin.
func (l *Loop) armTicker() error {
	now := l.group.clock()
	l.beats = beats{nominal: now, at: now}
	l.pulse.ticked.Store(now)
	every := unix.NsecToTimespec(int64(tick))
	return unix.TimerfdSettime(l.ticker.FD, 0, &unix.ItimerSpec{Interval: every, Value: every}, nil)
}

// beats are a loop's own notes about its pace, all in ns.
type beats struct {
	nominal int64 // when the last tick should have come
	at      int64 // when it came
	busy    int64 // time in callbacks so far
	busyAt  int64 // the same at the last tick
}

// spent adds the time since began, when a callback was entered.
func (l *Loop) spent(began int64) {
	l.beats.busy += l.group.clock() - began
	l.pulse.busyTime.Store(l.beats.busy)
}

// beat notes that n ticks have come.
func (l *Loop) beat(n uint64) {
	b, now := &l.beats, l.group.clock()
	lag := max(now-b.nominal-int64(tick), 0)
	if elapsed := now - b.at; elapsed > 0 {
		l.pulse.share.Store(min((b.busy-b.busyAt)*1000/elapsed, 1000))
	}
	b.nominal += int64(n) * int64(tick)
	b.at, b.busyAt = now, b.busy
	l.pulse.lag.Store(lag)
	l.pulse.ticked.Store(now)
}

// onTick moves the loop's clock and asks for a sweep. After a gap (SIGSTOP, a suspended machine) the clock moves by one tick
// only, so that all deadlines move by the gap.
func (l *Loop) onTick(netpoll.Poll) error {
	l.own()
	defer l.spent(l.group.clock())
	defer l.caught(nil)
	n := sysCount(l.ticker.FD)
	l.beat(n)
	if n > maxSleep {
		n = 1
	}
	l.now += uint32(n)
	l.sweep = 0
	l.findHungUp()
	l.checkAges()
	l.checkUnfinished()
	l.slab.shrink(l.now, slabRest)
	l.nodes.shrink()
	l.shares.shrink()
	l.endLingering()
	l.leaveTick()
	if l.id == 0 {
		l.group.gauge.weigh(l.group, l.group.clock())
	}
	if l.stopping == 0 {
		if l.spare < 0 {
			l.spare = openSpare()
		}
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
