package load

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sys/unix"

	"fanfare/bench/target"
)

const (
	// The key and the answer of RFC 6455, 1.3. One key for all is enough: nothing here is cached.
	key    = "dGhlIHNhbXBsZSBub25jZQ=="
	accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

	headMax = 8 << 10
	// hopeless is how many refusals in a row end an order: the server turns everybody away.
	hopeless = 128
)

// dialer opens connections, a bounded number at a time. What a handshake needs is in its slot; a record keeps none of it.
type dialer struct {
	slots      []slot
	free       []uint16
	next, to   int
	order      *Order
	opened     int
	refused    int
	row        int   // refusals since the last success
	good       int64 // when the last one opened, or the order began
	times      *hdrhistogram.Histogram
	frame      []byte
	request    []byte
	shared     bool // request is the same for all connections of one server
	sharedFor  int  // which
	inPath     bool // the first topic is named in the path
	confirmed  []byte
	hasGreeted []byte
}

// slot is one handshake.
type slot struct {
	conn  int32
	began int64
	left  int    // confirmations to come
	got   []byte // the answer's head, then the text of one message
}

func newDialer(s *Setup) dialer {
	d := dialer{times: NewHist(), sharedFor: -1, inPath: strings.Contains(s.Dialect.Path, "{topic}")}
	d.shared = !strings.Contains(s.Dialect.Path, "{n}") && (!d.inPath || s.Topics == 1)
	for part := range strings.SplitSeq(s.Dialect.Subscribed, "{topic}") { // the longest part that is the same for all
		if len(part) > len(d.confirmed) {
			d.confirmed = []byte(part)
		}
	}
	d.hasGreeted = []byte(s.Dialect.Greeting)
	return d
}

func (d *dialer) begin(o *Order, now int64) {
	d.order, d.next, d.to, d.opened, d.refused, d.row, d.good = o, o.From, o.To, 0, 0, 0, now
	d.times.Reset()
	for len(d.slots) < min(o.InFlight, o.To-o.From, 1<<16) {
		d.free = append(d.free, uint16(len(d.slots)))
		d.slots = append(d.slots, slot{})
	}
}

// busy is how many handshakes are under way.
func (d *dialer) busy() int { return len(d.slots) - len(d.free) }

// done says whether the order is complete.
func (d *dialer) done() bool { return d.order != nil && d.next >= d.to && d.busy() == 0 }

// dialMore begins handshakes while there is room.
func (e *engine) dialMore() {
	d := &e.dial
	if d.order == nil || d.next >= d.to {
		return
	}
	now := e.clock.Now()
	if d.row >= hopeless || d.row > 0 && now-d.good > 2*int64(e.setup.Timeout) {
		d.refused += d.to - d.next
		d.next = d.to
		return
	}
	for len(d.free) > 0 && d.next < d.to && d.busy() < d.order.InFlight {
		i := int32(d.next)
		d.next++
		r := &e.records[i]
		if r.state == open {
			continue
		}
		if r.fd >= 0 {
			e.drop(r, closed)
		}
		e.start(i, r, now)
	}
}

// start begins one handshake.
func (e *engine) start(i int32, r *record, now int64) {
	d := &e.dial
	k := d.free[len(d.free)-1]
	d.free = d.free[:len(d.free)-1]
	d.slots[k] = slot{conn: i, began: now, got: d.slots[k].got[:0]}
	r.flags.set(apart, false)
	r.state = connecting
	r.forget()
	r.slot = k
	for j := range e.setup.Subscriptions {
		e.tally.begin(int(i)*e.setup.Subscriptions+j, d.order.Next)
	}
	if err := e.connect(i, r); err != nil {
		e.refuse(r, err.Error())
	}
}

// connect begins a TCP connection from an address of its own for every few hundred connections.
func (e *engine) connect(i int32, r *record) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	r.fd = int32(fd)
	n := e.setup.First + int(i)
	to := e.servers[n/e.setup.PerServer]
	if e.dial.order.Buffer > 0 {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, e.dial.order.Buffer) // if it cannot be small, it is large
	}
	if to.Addr().IsLoopback() {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1) // else ports are fewer, which connect tells
		if err := unix.Bind(fd, source(n)); err != nil {
			return fmt.Errorf("bind: %w", err)
		}
	}
	err = unix.Connect(fd, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()})
	if err != nil && !errors.Is(err, unix.EINPROGRESS) {
		return fmt.Errorf("connect: %w", err)
	}
	return e.watch(i, r, unix.EPOLLOUT, unix.EPOLL_CTL_ADD)
}

// perSource is far below the ports that one address has, so that the kernel need not search for a free one.
const perSource = 400

// source is the address that connection n comes from: 127.64.1.1 and on.
func source(n int) *unix.SockaddrInet4 {
	k := n / perSource
	return &unix.SockaddrInet4{Addr: [4]byte{127, byte(64 + k/(254*254)%128), byte(1 + k/254%254), byte(1 + k%254)}}
}

// connected sends the request once the TCP connection is there.
func (e *engine) connected(i int32, r *record) {
	code, err := unix.GetsockoptInt(int(r.fd), unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && code != 0 {
		err = unix.Errno(code)
	}
	if err != nil {
		e.refuse(r, "connect: "+err.Error())
		return
	}
	n := e.setup.First + int(i)
	request := e.requestOf(n)
	wrote, err := unix.Write(int(r.fd), request)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.ENOTCONN) { // an event of an earlier life
		return
	}
	if err == nil && wrote < len(request) {
		err = errors.New("the request does not fit into the socket")
	}
	if err == nil {
		err = e.watch(i, r, unix.EPOLLIN, unix.EPOLL_CTL_MOD)
	}
	if err != nil {
		e.refuse(r, err.Error())
		return
	}
	r.state = upgrading
}

// requestOf is the upgrade of connection n.
func (e *engine) requestOf(n int) []byte {
	d, server := &e.dial, n/e.setup.PerServer
	if d.shared && d.sharedFor == server {
		return d.request
	}
	path := target.Fill(e.setup.Dialect.Path, "topic", e.topic(n, 0), "n", strconv.Itoa(n))
	d.request = append(d.request[:0], "GET "+path+" HTTP/1.1\r\nHost: "+e.servers[server].String()+
		"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "+key+"\r\n"...)
	if p := e.setup.Dialect.Protocol; p != "" {
		d.request = append(d.request, "Sec-WebSocket-Protocol: "+p+"\r\n"...)
	}
	d.request = append(d.request, "\r\n"...)
	d.sharedFor = server
	return d.request
}

// topic is the name of subscription j of connection n.
func (e *engine) topic(n, j int) string {
	return TopicName(e.setup.Dialect.Topic, (n*e.setup.Subscriptions+j)%e.setup.Topics)
}

// TopicName is the name of topic t.
func TopicName(prefix string, t int) string { return prefix + strconv.Itoa(t) }

// upgrade reads the head of the answer and returns what comes after it.
func (e *engine) upgrade(i int32, r *record, b []byte) []byte {
	s := &e.dial.slots[r.slot]
	had := len(s.got)
	s.got = append(s.got, b...)
	end := bytes.Index(s.got, []byte("\r\n\r\n"))
	if end < 0 {
		if len(s.got) > headMax {
			e.refuse(r, fmt.Sprintf("it answered the upgrade with %d bytes that are no head of HTTP", len(s.got)))
		}
		return nil
	}
	if why := checkHead(s.got[:end]); why != "" {
		e.refuse(r, why)
		return nil
	}
	rest := b[end+4-had:]
	s.got = s.got[:0]
	r.state = greeting
	if len(e.dial.hasGreeted) == 0 {
		e.subscribe(i, r)
	}
	return rest
}

// checkHead says what is wrong with the answer to an upgrade.
func checkHead(head []byte) string {
	line, _, _ := bytes.Cut(head, []byte("\r\n"))
	switch {
	case !bytes.HasPrefix(line, []byte("HTTP/1.1 ")):
		return fmt.Sprintf("it answered the upgrade with %.60q, which is no HTTP", line)
	case !bytes.HasPrefix(line, []byte("HTTP/1.1 101")):
		return fmt.Sprintf("it answered the upgrade with %.80q", line)
	case !bytes.Contains(head, []byte(accept)):
		return "it answered the upgrade with a wrong Sec-WebSocket-Accept"
	}
	return ""
}

// subscribe sends what is not subscribed to by the path.
func (e *engine) subscribe(i int32, r *record) {
	d, s, n := &e.dial, &e.dial.slots[r.slot], e.setup.First+int(i)
	j := 0
	if d.inPath {
		j = 1
	}
	r.state = subscribed
	s.left = 0
	if e.setup.Dialect.Subscribe != "" {
		for ; j < e.setup.Subscriptions; j++ {
			e.send(r, opText, []byte(target.Fill(e.setup.Dialect.Subscribe, "topic", e.topic(n, j), "n", strconv.Itoa(n))))
			s.left++
		}
	}
	if len(d.confirmed) == 0 || s.left == 0 {
		e.opened(r)
	}
}

// text keeps what is said during a handshake.
func (e *engine) text(i int32, piece []byte) {
	r := &e.records[i]
	if s := &e.dial.slots[r.slot]; len(s.got) < headMax {
		s.got = append(s.got, piece...)
	}
}

// told looks at a message that came during a handshake.
func (e *engine) told(i int32, r *record) {
	s := &e.dial.slots[r.slot]
	got := s.got
	s.got = s.got[:0]
	if r.state == greeting {
		if bytes.Contains(got, e.dial.hasGreeted) {
			e.subscribe(i, r)
		}
		return
	}
	if s.left -= bytes.Count(got, e.dial.confirmed); s.left <= 0 {
		e.opened(r)
	}
}

// opened ends a handshake well.
func (e *engine) opened(r *record) {
	d := &e.dial
	now := e.clock.Now()
	note(d.times, now-d.slots[r.slot].began)
	d.free = append(d.free, r.slot)
	d.opened++
	d.row, d.good = 0, now
	r.state = open
	e.open++
}

// refuse ends a handshake badly.
func (e *engine) refuse(r *record, why string) {
	d := &e.dial
	d.free = append(d.free, r.slot)
	d.refused++
	d.row++
	e.because(why)
	e.drop(r, refused)
}

// expire refuses what has taken too long.
func (e *engine) expire(now int64) {
	if e.dial.busy() == 0 {
		return
	}
	for k := range e.dial.slots {
		s := &e.dial.slots[k]
		r := &e.records[s.conn]
		if int(r.slot) != k || r.state == closed || r.state >= open || now-s.began < int64(e.setup.Timeout) {
			continue
		}
		e.refuse(r, fmt.Sprintf("it did not finish a handshake within %s (%s)", e.setup.Timeout, r.state))
	}
}

// String says what a handshake waits for.
func (s state) String() string {
	switch s {
	case connecting:
		return "TCP did not connect"
	case upgrading:
		return "no answer to the upgrade"
	case greeting:
		return "no greeting"
	case subscribed:
		return "no confirmation of the subscription"
	default:
	}
	return "state " + strconv.Itoa(int(s))
}

// tick is how long an engine may sleep.
func (e *engine) tick() time.Duration {
	if e.dial.order != nil || e.closer.order != nil || e.round.await != nil {
		return tickEvery
	}
	return time.Second
}
