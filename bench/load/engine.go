package load

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

const (
	readSize  = 128 << 10
	batch     = 1024
	ordersFD  = -1 // in an epoll event: the worker's orders
	tickEvery = 100 * time.Millisecond
)

// engine is one epoll loop over all connections of a worker. One goroutine owns it.
type engine struct {
	setup   Setup
	servers []netip.AddrPort
	epoll   int
	clock   Clock
	now     int64 // when the bytes in buf were read
	parser  parser
	records []record
	tally   tally
	sums    [2]sums // of readers, and of those that are counted apart
	dial    dialer
	closer  closer
	round   round
	buf     []byte
	ready   [batch]unix.EpollEvent
	open    int
	total   int64 // deliveries
	why     string
	writing *mailbox
}

// newEngine makes an engine for a worker that answers into m.
func newEngine(s Setup, m *mailbox) (*engine, error) {
	if s.Topics < 1 || s.Subscriptions < 1 || s.Subscriptions > s.Topics || s.Count < 1 || s.PerServer < 1 {
		return nil, errors.New("a setup that makes no sense")
	}
	e := &engine{
		setup: s, clock: NewClock(), writing: m, buf: make([]byte, readSize),
		records: make([]record, s.Count),
		tally:   tally{want: make([]uint32, s.Count*s.Subscriptions), gaps: map[int][]span{}},
		round:   newRound(s.Topics),
	}
	for i := range e.records {
		e.records[i].fd = -1
	}
	e.parser = parser{run: [runLen]byte([]byte(s.Run)), ping: uint32(len(s.Dialect.Ping)), spill: map[int32][]byte{}, to: e}
	for _, text := range s.Servers {
		a, err := netip.ParseAddrPort(text)
		if err != nil || !a.Addr().Is4() {
			return nil, fmt.Errorf("server %q is no IPv4 address and port", text)
		}
		e.servers = append(e.servers, a)
	}
	if (s.First+s.Count-1)/s.PerServer >= len(e.servers) {
		return nil, errors.New("fewer servers than the connections need")
	}
	e.dial = newDialer(&s)
	var err error
	e.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	return e, err
}

// turn waits for events, at most for wait, and handles them.
func (e *engine) turn(wait time.Duration) (orders bool, err error) {
	n, err := unix.EpollWait(e.epoll, e.ready[:], int(wait/time.Millisecond))
	if err != nil && !errors.Is(err, unix.EINTR) {
		return false, fmt.Errorf("epoll_wait: %w", err)
	}
	for k := range max(n, 0) {
		event := &e.ready[k]
		if event.Fd == ordersFD {
			orders = true
			continue
		}
		e.event(event.Fd)
	}
	return orders, nil
}

// event handles connection i. The event may be of an earlier life of i, which is why only what a call returns is believed.
func (e *engine) event(i int32) {
	r := &e.records[i]
	if r.fd < 0 {
		return
	}
	if r.state == connecting {
		e.connected(i, r)
		return
	}
	if r.flags&stopped != 0 {
		return
	}
	n, err := unix.Read(int(r.fd), e.buf)
	switch {
	case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR):
		return
	case err != nil:
		e.ended(r, err.Error())
		return
	case n == 0:
		e.ended(r, "it closed the connection")
		return
	}
	e.now = e.clock.Now()
	b := e.buf[:n]
	if r.state == upgrading {
		if b = e.upgrade(i, r, b); r.state == upgrading || r.fd < 0 {
			return
		}
	}
	if err := e.parser.feed(i, r, b); err != nil {
		e.side(r).Garbage++
		e.ended(r, "it sent garbage: "+err.Error())
	}
}

// stamped counts a delivery.
func (e *engine) stamped(i int32, s Stamp) {
	slot := e.slotOf(i, s.Topic)
	r := &e.records[i]
	if slot < 0 {
		e.side(r).Garbage++
		e.because("it delivered a message of a topic that was not subscribed to")
		return
	}
	e.total++
	first := e.tally.receive(int(i)*e.setup.Subscriptions+slot, s.Seq, &e.side(r).Account)
	if first && r.flags&apart == 0 {
		e.round.receive(e.now, s)
	}
}

// slotOf is which of its subscriptions connection i has to a topic; negative: none.
func (e *engine) slotOf(i int32, topic uint32) int {
	topics := e.setup.Topics
	if topic >= uint32(topics) {
		return -1
	}
	if topics == 1 {
		return 0
	}
	slot := int(topic) - (e.setup.First+int(i))*e.setup.Subscriptions%topics
	if slot < 0 {
		slot += topics
	}
	if slot >= e.setup.Subscriptions {
		return -1
	}
	return slot
}

// message ends a data message.
func (e *engine) message(i int32, stamped, ping bool) {
	r := &e.records[i]
	switch {
	case r.state == greeting || r.state == subscribed:
		e.told(i, r)
	case stamped || r.state == closing:
	case ping:
		e.send(r, opText, []byte(e.setup.Dialect.Pong))
	default:
		e.side(r).Garbage++
		e.because("it sent a message that was not published")
	}
}

// control answers a ping and a close.
func (e *engine) control(i int32, op byte, payload []byte) {
	r := &e.records[i]
	switch op {
	case opPing:
		e.send(r, opPong, payload)
	case opClose:
		if r.state != closing {
			e.send(r, opClose, payload)
		}
		e.ended(r, "it closed the connection"+closeText(payload))
	}
}

func closeText(payload []byte) string {
	if len(payload) < 2 {
		return " without a code"
	}
	return fmt.Sprintf(" with %d %q", int(payload[0])<<8|int(payload[1]), payload[2:])
}

// ended is called when the server ended a connection, or has to be left.
func (e *engine) ended(r *record, why string) {
	switch r.state {
	case closing:
		e.drop(r, closed)
	case open:
		e.open--
		e.side(r).Lost++
		e.because(why)
		e.drop(r, lost)
	default:
		e.refuse(r, why)
	}
}

// drop closes the socket.
func (e *engine) drop(r *record, as state) {
	if r.fd >= 0 {
		_ = unix.Close(int(r.fd)) // a socket that is not needed any more
	}
	if r.state == closing {
		e.closer.left--
		e.closer.until = e.clock.Now() + int64(patience)
	}
	r.state = as
	r.forget()
}

// because keeps the first reason.
func (e *engine) because(why string) {
	if e.why == "" {
		e.why = why
	}
}

// side is where a connection is counted.
func (e *engine) side(r *record) *sums {
	if r.flags&apart != 0 {
		return &e.sums[1]
	}
	return &e.sums[0]
}

// send writes a small frame. What the socket does not take at once is lost: it has taken nothing for a long time then.
func (e *engine) send(r *record, op byte, payload []byte) {
	frame := appendFrame(e.dial.frame[:0], op, payload)
	e.dial.frame = frame
	_, _ = unix.Write(int(r.fd), frame) // if the connection is gone, reading says so
}

// appendFrame appends a client's frame, masked with zero.
func appendFrame(dst []byte, op byte, payload []byte) []byte {
	dst = append(dst, finBit|op)
	switch n := len(payload); {
	case n < 126:
		dst = append(dst, 0x80|byte(n))
	case n < 1<<16:
		dst = append(dst, 0x80|126, byte(n>>8), byte(n))
	default:
		dst = append(dst, 0x80|127, 0, 0, 0, 0, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
	dst = append(dst, 0, 0, 0, 0)
	return append(dst, payload...)
}

// watch sets which events of a connection are wanted.
func (e *engine) watch(i int32, r *record, events uint32, op int) error {
	return unix.EpollCtl(e.epoll, op, int(r.fd), &unix.EpollEvent{Events: events, Fd: i})
}
