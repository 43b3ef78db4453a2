package load

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"fanfare/bench/result"
)

// mailbox reads orders and writes answers, lines of JSON on two descriptors.
type mailbox struct {
	in, out int
	got     []byte
}

// next returns a line, or nil if there is none yet.
func (m *mailbox) next() ([]byte, error) {
	for {
		if k := bytes.IndexByte(m.got, '\n'); k >= 0 {
			line := m.got[:k]
			m.got = m.got[k+1:]
			return line, nil
		}
		var b [64 << 10]byte
		n, err := unix.Read(m.in, b[:])
		switch {
		case errors.Is(err, unix.EAGAIN):
			return nil, nil
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return nil, fmt.Errorf("orders: %w", err)
		case n == 0:
			return nil, io.EOF
		}
		m.got = append(m.got, b[:n]...)
	}
}

func (m *mailbox) write(a *Answer) error {
	b, err := json.Marshal(a)
	if err != nil {
		return err
	}
	b = append(b, '\n')
	for len(b) > 0 {
		n, err := unix.Write(m.out, b)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("answers: %w", err)
		}
		b = b[n:]
	}
	return nil
}

// Work is a worker: it obeys the orders from in and answers on out, until doQuit or the end of in.
func Work(in, out *os.File) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	m := &mailbox{in: int(in.Fd()), out: int(out.Fd())}
	e, err := hire(m)
	if err == nil {
		defer e.leave()
		err = e.work()
	}
	if errors.Is(err, io.EOF) { // whoever gave the orders is gone
		return nil
	}
	if err != nil {
		return errors.Join(err, m.write(&Answer{Error: err.Error()}))
	}
	return nil
}

// hire reads the setup; the mailbox blocks until then.
func hire(m *mailbox) (*engine, error) {
	if err := unix.SetNonblock(m.in, false); err != nil {
		return nil, err
	}
	line, err := m.next()
	if err != nil {
		return nil, err
	}
	var s Setup
	if err := json.Unmarshal(line, &s); err != nil {
		return nil, fmt.Errorf("setup: %w", err)
	}
	if len(s.Run) != runLen {
		return nil, fmt.Errorf("setup: run %q", s.Run)
	}
	e, err := newEngine(s, m)
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(m.in, true); err != nil {
		return nil, err
	}
	return e, unix.EpollCtl(e.epoll, unix.EPOLL_CTL_ADD, m.in, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: ordersFD})
}

// leave closes all sockets without a word.
func (e *engine) leave() {
	for i := range e.records {
		if r := &e.records[i]; r.fd >= 0 {
			e.reset(r)
		}
	}
	_ = unix.Close(e.epoll) // the process ends
}

// work is the loop.
func (e *engine) work() error {
	told := time.Now()
	var last Answer
	orders := true // one may have come with the setup
	for {
		for orders {
			done, err := e.obey()
			if err != nil || done {
				return err
			}
			orders = false
		}
		e.dialMore()
		if err := e.settle(); err != nil {
			return err
		}
		if now := time.Now(); now.Sub(told) > tickEvery {
			told = now
			e.expire(e.clock.Now())
			if a := (Answer{Open: e.open, Received: e.total, Lost: e.sums[0].Lost, Refused: e.dial.refused, Why: e.why}); a != last {
				last = a
				if err := e.writing.write(&a); err != nil {
					return err
				}
			}
		}
		var err error
		if orders, err = e.turn(e.tick()); err != nil {
			return err
		}
	}
}

// obey takes all orders that have come.
func (e *engine) obey() (done bool, err error) {
	for {
		line, err := e.writing.next()
		if err != nil || line == nil {
			return false, err
		}
		o := new(Order)
		if err := json.Unmarshal(line, o); err != nil {
			return false, fmt.Errorf("order: %w", err)
		}
		if o.To > len(e.records) || o.From < 0 || o.From > o.To {
			return false, fmt.Errorf("order %s for connections %d to %d of %d", o.Do, o.From, o.To, len(e.records))
		}
		if o.Do == doQuit {
			return true, nil
		}
		if err := e.do(o); err != nil {
			return false, err
		}
	}
}

// do begins an order; what is done at once is answered.
func (e *engine) do(o *Order) error {
	now := e.clock.Now()
	switch o.Do {
	case doOpen:
		o.InFlight = max(o.InFlight, 1)
		e.dial.begin(o, now)
		return nil
	case doClose:
		e.close(o)
		return nil
	case doAwait:
		e.round.await, e.round.since = o, now
		return nil
	case doReset:
		for i := o.From; i < o.To; i++ {
			if r := &e.records[i]; r.fd >= 0 {
				e.reset(r)
			}
		}
	case doStop, doResume:
		return e.read(o)
	case doArm:
		e.round.arm(o)
	case doCount:
		return e.answer(o, &Answer{Sums: e.count(o.Published)})
	case doNothing:
	default:
		return fmt.Errorf("order %q", o.Do)
	}
	return e.answer(o, &Answer{})
}

// settle answers the orders that are complete.
func (e *engine) settle() error {
	now := e.clock.Now()
	if d := &e.dial; d.done() {
		o := d.order
		d.order = nil
		shakes, err := encode(d.times)
		if err != nil {
			return err
		}
		if err := e.answer(o, &Answer{Opened: d.opened, Refused: d.refused, Shakes: shakes}); err != nil {
			return err
		}
	}
	if c := &e.closer; c.order != nil && (c.left == 0 || now > c.until) {
		o := c.order
		c.order = nil
		if c.left > 0 {
			e.because(fmt.Sprintf("%d close frames were not answered within %s", c.left, patience))
		}
		for i := range e.records {
			if r := &e.records[i]; r.state == closing {
				e.drop(r, closed)
			}
		}
		if err := e.answer(o, &Answer{}); err != nil {
			return err
		}
	}
	if e.round.over(now) {
		o := e.round.await
		e.round.await = nil
		r, err := e.round.answer()
		if err != nil {
			return err
		}
		return e.answer(o, &Answer{Round: r})
	}
	return nil
}

func (e *engine) answer(o *Order, a *Answer) error {
	a.ID, a.Open, a.Received, a.Lost, a.Why = o.ID, e.open, e.total, e.sums[0].Lost, e.why
	return e.writing.write(a)
}

// close sends close frames; the answers are read by the loop.
func (e *engine) close(o *Order) {
	e.closer.order = o
	for i := o.From; i < o.To; i++ {
		r := &e.records[i]
		if r.state != open {
			continue
		}
		if r.flags&stopped != 0 {
			e.reset(r)
			continue
		}
		e.open--
		r.state = closing
		e.closer.left++
		e.send(r, opClose, []byte{0x03, 0xe8}) // 1000
	}
	e.closer.until = e.clock.Now() + int64(patience)
}

// reset closes a socket so that the other side gets an RST, whatever is unread.
func (e *engine) reset(r *record) {
	if r.state == open {
		e.open--
	}
	if r.state > closed && r.state < open {
		e.dial.free = append(e.dial.free, r.slot)
	}
	_ = unix.SetsockoptLinger(int(r.fd), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}) // else it closes politely
	e.drop(r, closed)
}

// read stops or resumes reading.
func (e *engine) read(o *Order) error {
	op := unix.EPOLL_CTL_ADD
	if o.Do == doStop {
		op = unix.EPOLL_CTL_DEL // without any events, it would still tell of an end, for ever
	}
	for i := o.From; i < o.To; i++ {
		r := &e.records[i]
		if r.state != open || r.flags&stopped != 0 == (o.Do == doStop) {
			continue
		}
		r.flags.set(stopped, o.Do == doStop)
		r.flags.set(apart, true)
		if err := e.watch(int32(i), r, unix.EPOLLIN, op); err != nil {
			return fmt.Errorf("epoll_ctl: %w", err)
		}
	}
	return e.answer(o, &Answer{})
}

// count is the account after published messages. Whoever was open to the end, or lost, should have had all of them.
func (e *engine) count(published int64) *Sums {
	s := &Sums{Readers: e.sums[0].Account, Apart: e.sums[1].Account}
	per := e.setup.Subscriptions
	for i := range e.records {
		r := &e.records[i]
		if r.state != open && r.state != lost {
			continue
		}
		gapped := false
		side := &s.Readers
		if r.flags&apart != 0 {
			side = &s.Apart
		}
		for j := range per {
			sub := i*per + j
			topic := ((e.setup.First+i)*per + j) % e.setup.Topics
			short := e.tally.short(sub, Last(published, e.setup.Topics, topic))
			side.Missing += short
			gapped = gapped || short > 0 || len(e.tally.gaps[sub]) > 0
		}
		switch {
		case r.flags&apart == 0:
		case r.state == lost:
			s.ApartLost++
		case gapped:
			s.ApartGapped++
		}
	}
	for _, side := range []*result.Account{&s.Readers, &s.Apart} {
		side.Expected = side.Received - side.Repeated + side.Missing
	}
	return s
}
