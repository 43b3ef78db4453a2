package loop

import (
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/cloudwego/netpoll"
	"golang.org/x/sys/unix"

	"fanfare/loop/http1"
	"fanfare/loop/ws"
)

const (
	readsPerTurn = 16       // of one connection, before others have their turn
	workSlice    = 256      // sends
	duePerTurn   = 2000     // calls of Due
	bufferSize   = 64 << 10 // bytes read at once
	iovecs       = 64       // frames in one writev
	slabRest     = 60 * 4   // ticks that a chunk stays free before it goes
	panicWindow  = 60 * 4   // ticks
	panicLimit   = 10       // panics in one window that end the process
)

// Loop is one of netpoll's polls with what we hang on it. It is a fanout.Sink and runs one Worker.
type Loop struct {
	// immutable after start
	group  *Group
	id     uint8
	poll   netpoll.Poll
	tmpl   netpoll.FDOperator
	worker Worker
	h      Handler
	log    *slog.Logger
	door   netpoll.FDOperator // an eventfd: whatever comes from outside, and the end of every turn
	ticker netpoll.FDOperator // a timerfd
	done   chan struct{}
	canary Ref

	// owned by the loop
	owner     owner
	lim       Limits
	slab      slab
	nodes     nodeSlab
	shares    shares
	told      int64  // of weight, to the group
	buf       []byte // what was read last
	out       []byte // scratch for a handshake's answer
	iov       [iovecs]unix.Iovec
	one       [1][]byte
	req       http1.Request
	dec       *ws.Decoder // for connections without a partial frame
	unread    bool        // more input of the connection in hand waits: replies are collected
	listeners []*listener
	now       uint32 // ticks since the start, without those that were slept through
	sweep     uint32 // next slot to look at for its due tick; sweepEnd: none
	resume    []Ref  // connections with unread input
	flush     []Ref  // connections with frames to write before the turn ends
	backlog   []Ref  // connections whose queue has an age
	partial   []Ref  // connections with an incomplete message
	dying     []Ref  // dead ones that are owed Closed
	resting   []Ref  // slots that wait for the next wake
	panics    int
	panicked  uint32 // tick at which the current window of panics began
	stopping  int    // steps of the end that are done; 0: not ending
	count     counts
	spare     int       // a descriptor to give up when there are no more; -1: it is given up
	lingering []refused // the oldest first
	lingerers int       // most of them
	leaving   leaving
	beats     beats

	// any goroutine
	woken  atomic.Bool
	hungUp atomic.Bool   // netpoll has detached a connection by itself: the next tick looks for it
	sung   atomic.Uint64 // frames sent to the canary
	load   atomic.Int64  // connections it has, or is about to get
	pulse  pulse
	stats  Stats // what count held when the last turn ended, under mu
	mu     sync.Mutex
	posts  []post
}

type post struct {
	ref Ref // 0: the loop itself
	f   func(c *Conn)
}

func newLoop(g *Group, id int, p pollInfo, cfg *Config) (*Loop, error) {
	l := &Loop{
		group: g, id: uint8(id), poll: p.poll, tmpl: p.tmpl, h: cfg.Handler, lim: cfg.Limits, log: cfg.Log,
		buf: make([]byte, bufferSize), dec: new(ws.Decoder), sweep: sweepEnd, now: 1, done: make(chan struct{}),
	}
	l.slab.loop = l.id
	l.tmpl.OnHup = l.onHup
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	l.door, l.ticker = l.tmpl, l.tmpl
	l.door.FD, l.door.OnRead = fd, l.turn
	if l.ticker.FD, err = newTicker(); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	l.ticker.OnRead = l.onTick
	l.spare, l.lingerers = openSpare(), max(lingerers/cfg.Loops, 4)
	l.hatch()
	return l, nil
}

// ID is the loop's index in its group.
func (l *Loop) ID() int { return int(l.id) }

// Wake makes a turn come, and with it the Worker's next slice. Safe for any goroutine; cheap when one is due anyway.
func (l *Loop) Wake() {
	if l.woken.CompareAndSwap(false, true) {
		sysWake(l.door.FD)
	}
}

// expect counts a connection that is to come; forget, one that has gone.
func (l *Loop) expect() { l.load.Add(1) }

func (l *Loop) forget() {
	l.load.Add(-1)
	l.group.gate.open.Add(-1)
}

func (l *Loop) post(ref Ref, f func(c *Conn)) {
	l.mu.Lock()
	l.posts = append(l.posts, post{ref, f})
	l.mu.Unlock()
	l.Wake()
}

// turn is the door's callback: what the loop does between two batches of events. Reads of a batch may run before or after it,
// which changes no connection's order: all of a connection's output goes through its queue.
func (l *Loop) turn(netpoll.Poll) error {
	l.own()
	defer l.spent(l.group.clock())
	defer l.caught(nil) // a fault of our own: the next turn goes on
	sysCount(l.door.FD)
	l.woken.Store(false)
	l.runPosts()
	l.runResumes()
	more := l.work()
	more = l.sweepDue() || more
	more = l.leave() || more
	l.runFlushes()
	more = l.relieve() || more
	l.release()
	l.runClosed()
	l.left()
	l.publish()
	if more || len(l.resting) > 0 || len(l.resume) > 0 || len(l.flush) > 0 || len(l.dying) > 0 {
		l.Wake()
	}
	if l.stopping > 0 {
		l.stop()
	}
	if more {
		runtime.Gosched()
	}
	return nil
}

func (l *Loop) runPosts() {
	l.mu.Lock()
	posts := l.posts
	l.posts = nil
	l.mu.Unlock()
	for i := range posts {
		l.runPost(&posts[i])
	}
}

func (l *Loop) runPost(p *post) {
	if p.ref == 0 {
		defer l.caught(nil)
		p.f(nil)
		return
	}
	if c := l.slab.find(p.ref); c != nil && c.state != dead {
		defer l.caught(c)
		p.f(c)
	}
}

func (l *Loop) runResumes() {
	list := l.resume
	l.resume = nil
	for _, ref := range list {
		if c := l.slab.find(ref); c != nil && c.state != dead {
			c.flags &^= flagResume
			l.serve(c)
		}
	}
}

func (l *Loop) work() (more bool) {
	if l.worker == nil {
		return false
	}
	defer l.caught(nil)
	more = true //nolint:wastedassign // what a panic leaves: there is more
	return l.worker.Work(workSlice)
}

// runClosed tells the handler of connections that died since the last turn. Their slots and descriptor numbers rest until the
// next one: by then no event of the batch in which they died can be under way.
func (l *Loop) runClosed() {
	list := l.dying
	l.dying = nil
	for _, ref := range list {
		c := l.slab.find(ref)
		if c.flags&flagSeen != 0 {
			l.closed(c)
		}
		l.count.closed[c.why]++
		c.ext = nil
		l.resting = append(l.resting, ref)
	}
}

func (l *Loop) closed(c *Conn) {
	defer l.caught(nil)
	l.h.Closed(c, c.why)
}

// release ends the rest of slots whose connection died before the last turn.
func (l *Loop) release() {
	for _, ref := range l.resting {
		c := l.slab.find(ref)
		if c.op.FD >= 0 {
			_ = unix.Close(c.op.FD)
		}
		c.op.FD = -1
		c.state = free
		l.slab.give(c, l.now)
		l.forget()
	}
	l.resting = l.resting[:0]
}

// adopt makes a record for a descriptor that was expected and begins to read its request head.
func (l *Loop) adopt(fd int, where uint8, local bool) *Conn {
	var c *Conn
	if l.stopping == 0 {
		c = l.slab.take()
	}
	if c == nil {
		_ = unix.Close(fd)
		l.forget()
		return nil
	}
	onRead := c.op.OnRead
	c.op = l.tmpl // a fresh state and detach count
	if onRead == nil {
		onRead = c.onReady // the 16-byte closure; it stays with the slot
	}
	c.op.FD, c.op.OnRead = fd, onRead
	c.loop, c.ext, c.word, c.tag, c.state, c.flags, c.why, c.where = l, nil, 0, 0, head, 0, ByClient, where
	c.qhead, c.qtail, c.qsize = 0, 0, 0
	if local {
		c.flags = flagLocal
	}
	l.setDue(c, l.lim.Handshake)
	if err := l.poll.Control(&c.op, netpoll.PollReadable); err != nil {
		l.kill(c, Reset)
	}
	return c
}

// kill ends a connection now: detached and shut down at once, the rest at the end of the turn.
func (l *Loop) kill(c *Conn, why Reason) {
	if c.state == dead || c.state == free || c.state == canary {
		return
	}
	if c.flags&flagBlocked != 0 || why == Silent { // what the kernel holds for it would stay until TCP gives up: reset
		_ = unix.SetsockoptLinger(c.op.FD, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	}
	l.bury(c, why)
	sysShutdown(c.op.FD, unix.SHUT_RDWR)
}

// bury detaches a connection and drops what it has, but leaves its socket alone.
func (l *Loop) bury(c *Conn, why Reason) {
	_ = c.op.Control(netpoll.PollDetach) // netpoll may have done so after a hang-up: then this does nothing
	c.op.OnHup = nil                     // the hang-up has been seen, or is of no interest
	if c.state < closing {
		c.why = why // else the first reason stays
	}
	c.state = dead
	l.dropQueue(c)
	*l.slab.due(c.ref.Slot()) = 0
	l.dying = append(l.dying, c.ref)
	l.Wake()
}
