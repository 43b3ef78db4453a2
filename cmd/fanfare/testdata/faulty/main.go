// Command faulty is many clients that do a server harm, in one process. It prints "ready" when all have begun, then obeys lines on
// its standard input and answers each with one line: "report" with pairs of a name and a number, "leave N" (N of them end in
// order), "reset" (all end at once by RST), "stop" (they end in order). It imports nothing of fanfare.
package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

var (
	addr   = flag.String("addr", "", "host:port of the server")
	mode   = flag.String("mode", "hold", "head, header, payload: send a byte now and then there; hold: subscribe and stay; again: come back for ever; garbage; churn")
	conns  = flag.Int("n", 1, "clients")
	every  = flag.Duration("every", time.Second, "between two bytes")
	seed   = flag.Uint64("seed", 1, "of everything random")
	spread = flag.Bool("spread", true, "come from 200 addresses")
	eager  = flag.Int("eager", 64, "how many connect at the same time")
	patchy = flag.Bool("patchy", false, "be ready before all are served")
)

// crowd is what all clients share.
type crowd struct {
	mu      sync.Mutex
	open    map[net.Conn]bool // subscribed
	ending  bool
	served  atomic.Int64 // handshakes that ended in a 101
	failed  atomic.Int64 // connections that were refused, broke off or were not even made
	closed  atomic.Int64 // ended by the server
	told    atomic.Int64 // of those in a request head: told so by a 408
	first   atomic.Int64 // ms from connecting to the end by the server: the least
	last    atomic.Int64 // and the most
	replies atomic.Int64 // messages and answers received
	full    atomic.Int64 // refused with 503
	often   atomic.Int64 // refused with 429
	later   atomic.Int64 // of both: told by Retry-After when to come again
	slowest atomic.Int64 // ms from connecting to a refusal: the most
	wg      sync.WaitGroup
}

func main() {
	flag.Parse()
	c := &crowd{open: map[net.Conn]bool{}}
	c.first.Store(1 << 40)
	do := map[string]func(i int, begun func()){
		"head": c.slow, "header": c.slow, "payload": c.slow, "hold": c.hold, "again": c.again, "garbage": c.garbage, "churn": c.churn,
	}[*mode]
	if do == nil {
		fmt.Fprintln(os.Stderr, "faulty: no such mode:", *mode)
		os.Exit(2)
	}
	turn := make(chan struct{}, *eager)
	var begun sync.WaitGroup
	for i := range *conns {
		turn <- struct{}{}
		begun.Add(1)
		release := sync.OnceFunc(func() { <-turn; begun.Done() })
		if *patchy {
			release()
		}
		c.wg.Go(func() {
			defer release()
			do(i, release)
		})
	}
	begun.Wait()
	fmt.Println("ready")
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		c.obey(in.Text())
	}
}

func (c *crowd) obey(line string) {
	order, number, _ := strings.Cut(line, " ")
	switch order {
	case "leave":
		n, _ := strconv.Atoi(number)
		fmt.Println("left", c.end(n, false))
		return
	case "reset":
		c.stop()
		c.end(*conns, true)
		c.wg.Wait()
	case "stop":
		c.stop()
		if *mode != "churn" { // whose clients end by themselves
			c.end(*conns, false)
		}
		c.wg.Wait()
	}
	c.mu.Lock()
	open := len(c.open)
	c.mu.Unlock()
	fmt.Println("open", open, "served", c.served.Load(), "failed", c.failed.Load(), "closed", c.closed.Load(),
		"told", c.told.Load(), "first", c.first.Load(), "last", c.last.Load(), "replies", c.replies.Load(),
		"503", c.full.Load(), "429", c.often.Load(), "later", c.later.Load(), "slowest", c.slowest.Load())
}

func (c *crowd) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ending = true
}

func (c *crowd) stopped() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ending
}

// end ends up to n connections.
func (c *crowd) end(n int, reset bool) (ended int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.open {
		if ended == n {
			break
		}
		leave(conn, reset)
		delete(c.open, conn)
		ended++
	}
	return ended
}

func leave(conn net.Conn, reset bool) {
	if tcp, ok := conn.(*net.TCPConn); ok && reset {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// keep remembers a connection, unless everything ends.
func (c *crowd) keep(conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open[conn] = true
	if c.ending {
		leave(conn, false)
		delete(c.open, conn)
	}
	return !c.ending
}

// forget reports whether the connection was still ours: if not, we ended it.
func (c *crowd) forget(conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	ours := c.open[conn]
	delete(c.open, conn)
	_ = conn.Close()
	return ours
}

func dial(i int) (net.Conn, error) {
	d := net.Dialer{Timeout: time.Minute}
	if *spread {
		d.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(1+i%200))}
	}
	return d.Dial("tcp", *addr)
}

// refusal is an answer to a handshake that is no 101.
type refusal struct {
	status string
	later  bool // it has a Retry-After
}

func (r *refusal) Error() string { return r.status }

// upgrade does the handshake; the reader has what follows it.
func upgrade(conn net.Conn, path string) (*bufio.Reader, error) {
	_, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", path, *addr)
	if err != nil {
		return nil, err
	}
	r := bufio.NewReaderSize(conn, 512)
	status, err := r.ReadString('\n')
	later := false
	for line := status; err == nil && line != "\r\n"; {
		line, err = r.ReadString('\n')
		later = later || strings.HasPrefix(line, "Retry-After: ")
	}
	if err == nil && !strings.HasPrefix(status, "HTTP/1.1 101 ") {
		err = &refusal{strings.TrimPrefix(status, "HTTP/1.1 "), later}
	}
	return r, err
}

// refused counts an answer that is no 101.
func (c *crowd) refused(r *refusal, after time.Duration) {
	switch status, _, _ := strings.Cut(r.status, " "); status {
	case "503":
		c.full.Add(1)
	case "429":
		c.often.Add(1)
	}
	if r.later {
		c.later.Add(1)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.slowest.Store(max(c.slowest.Load(), after.Milliseconds()))
}

// join connects and subscribes.
func (c *crowd) join(i int, path string) (net.Conn, *bufio.Reader, bool) {
	start := time.Now()
	conn, err := dial(i)
	if err != nil {
		c.failed.Add(1)
		return nil, nil, false
	}
	r, err := upgrade(conn, path)
	var answer *refusal
	if errors.As(err, &answer) {
		c.refused(answer, time.Since(start))
	}
	if err != nil {
		c.failed.Add(1)
		_ = conn.Close()
		return nil, nil, false
	}
	c.served.Add(1)
	return conn, r, true
}

// frame is a client's frame, with a mask of zeros.
func frame(op byte, payload string) []byte {
	b := []byte{0x80 | op, 0x80 | byte(len(payload))}
	if len(payload) > 125 {
		b = binary.BigEndian.AppendUint16([]byte{0x80 | op, 0x80 | 126}, uint16(len(payload)))
	}
	return append(append(b, 0, 0, 0, 0), payload...)
}

// next reads a frame and answers a ping.
func next(conn net.Conn, r *bufio.Reader) (op byte, payload []byte, err error) {
	head, err := r.Peek(2)
	if err != nil {
		return 0, nil, err
	}
	op, n, size := head[0]&15, int(head[1]&127), 2
	if n > 125 {
		size += 2 << (n - 126 + n - 126) // 2 or 8 bytes of length
		if head, err = r.Peek(size); err != nil {
			return 0, nil, err
		}
		n = 0
		for _, b := range head[2:] {
			n = n<<8 | int(b)
		}
	}
	_, _ = r.Discard(size)
	payload = make([]byte, n)
	if _, err = io.ReadFull(r, payload); err == nil && op == 9 {
		_, err = conn.Write(frame(10, string(payload)))
	}
	return op, payload, err
}

// large is the header of a binary frame of 64 KiB, with its mask.
var large = []byte{0x82, 0x80 | 127, 0, 0, 0, 0, 0, 1, 0, 0, 1, 2, 3, 4}

// slow sends its bytes one at a time.
func (c *crowd) slow(i int, begun func()) {
	var conn net.Conn
	var bytes string
	switch *mode {
	case "head":
		var err error
		if conn, err = dial(i); err != nil {
			c.failed.Add(1)
			return
		}
		bytes = "GET /ws?topic=a HTTP/1.1\r\nHost: x\r\nX-Slow: " + strings.Repeat("x", 1000)
	case "header":
		var ok bool
		if conn, _, ok = c.join(i, "/ws?topic=a"); !ok {
			return
		}
		bytes = string(large) + strings.Repeat("x", 1000)
	case "payload":
		var ok bool
		if conn, _, ok = c.join(i, "/ws?topic=a"); !ok {
			return
		}
		_, _ = conn.Write(large)
		bytes = strings.Repeat("x", 1000)
	}
	if !c.keep(conn) {
		return
	}
	since, buf := time.Now(), make([]byte, 64)
	begun()
	time.Sleep(rand.N(*every))
	for at := 0; ; {
		if at < len(bytes) {
			_, _ = conn.Write([]byte{bytes[at]})
			at++
		}
		_ = conn.SetReadDeadline(time.Now().Add(*every))
		n, err := conn.Read(buf)
		if strings.HasPrefix(string(buf[:n]), "HTTP/1.1 408 ") {
			c.told.Add(1)
		}
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
	}
	if c.forget(conn) {
		c.closed.Add(1)
		c.aged(time.Since(since).Milliseconds())
	}
}

func (c *crowd) aged(ms int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.first.Store(min(c.first.Load(), ms))
	c.last.Store(max(c.last.Load(), ms))
}

// stay reads until the connection ends.
func (c *crowd) stay(conn net.Conn, r *bufio.Reader) {
	for {
		op, _, err := next(conn, r)
		if err != nil || op == 8 {
			break
		}
		if op == 1 || op == 2 {
			c.replies.Add(1)
		}
	}
	if c.forget(conn) {
		c.closed.Add(1)
	}
}

func (c *crowd) hold(i int, begun func()) {
	conn, r, ok := c.join(i, "/ws?topic=a")
	if !ok || !c.keep(conn) {
		return
	}
	begun()
	c.stay(conn, r)
}

// again comes back whenever it is cut off, at first after up to a quarter of a second, then after up to two.
func (c *crowd) again(i int, begun func()) {
	for most := 250 * time.Millisecond; !c.stopped(); most = min(2*most, 2*time.Second) {
		conn, r, ok := c.join(i, "/ws?topic=a")
		if ok && c.keep(conn) {
			begun()
			c.stay(conn, r)
			most = 125 * time.Millisecond
		}
		time.Sleep(rand.N(most))
	}
}

// garbage is random bytes instead of a request, or random frames, or a good request or frame with a few bytes changed.
func (c *crowd) garbage(i int, begun func()) {
	defer begun()
	random := rand.New(rand.NewPCG(*seed, uint64(i)))
	var conn net.Conn
	var err error
	if i%4 < 2 {
		conn, err = dial(i)
	} else {
		var ok bool
		if conn, _, ok = c.join(i, "/ws?topic=a"); !ok {
			return
		}
	}
	if err != nil {
		c.failed.Add(1)
		return
	}
	var b []byte
	switch i % 4 {
	case 0:
		b = noise(random, nil)
	case 1:
		b = []byte("GET /ws?topic=a HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
		spoil(random, b)
	case 2:
		for range 1 + random.IntN(20) { // any header, with some payload
			b = noise(random, append(b, byte(random.Uint32()), 0x80|byte(random.Uint32())))
		}
	case 3:
		for range 1 + random.IntN(20) {
			b = append(b, frame(1, `{"subscribe":["b"],"id":`+strconv.Itoa(random.Int())+`}`)...)
		}
		spoil(random, b)
	}
	go func() { // the server may stop to read
		_ = conn.SetDeadline(time.Now().Add(2 * time.Second))
		for len(b) > 0 {
			n := min(1+random.IntN(1000), len(b))
			if _, err := conn.Write(b[:n]); err != nil {
				return
			}
			b = b[n:]
		}
	}()
	time.Sleep(time.Duration(i%100) * time.Millisecond)
	_ = conn.SetReadDeadline(time.Now().Add(time.Second))
	n, err := io.Copy(io.Discard, conn)
	if n > 0 {
		c.replies.Add(1)
	}
	if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
		c.closed.Add(1)
	}
	leave(conn, i%3 == 0)
}

func noise(random *rand.Rand, b []byte) []byte {
	for range random.IntN(3000) {
		b = append(b, byte(random.Uint32()))
	}
	return b
}

func spoil(random *rand.Rand, b []byte) {
	for range 1 + random.IntN(4) {
		b[random.IntN(len(b))] = byte(random.Uint32())
	}
}

// churn comes, subscribes, publishes and goes, in every way, until it is told to stop.
func (c *crowd) churn(i int, begun func()) {
	random := rand.New(rand.NewPCG(*seed, uint64(i)))
	begun()
	for !c.stopped() {
		c.visit(i, random)
	}
}

func (c *crowd) visit(i int, random *rand.Rand) {
	topic := "t" + strconv.FormatUint(random.Uint64(), 36) // of its own: topics come and go, too
	if random.IntN(8) == 0 {
		c.post(i, topic)
		return
	}
	conn, r, ok := c.join(i, "/ws?topic="+topic+"&topic=shared"+strconv.Itoa(random.IntN(20)))
	if !ok {
		return
	}
	defer func() { leave(conn, random.IntN(3) == 0) }() // the end of the stream, or RST
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	for range random.IntN(4) {
		command := `{"publish":{"topic":"` + topic + `","data":"0123456789"}}`
		wanted := 2 // the message and the answer
		if random.IntN(3) == 0 {
			command, wanted = `{"subscribe":["u`+topic+`","v`+topic+`"]}`, 1
		}
		if _, err := conn.Write(frame(1, command)); err != nil {
			c.failed.Add(1)
			return
		}
		for wanted > 0 {
			op, _, err := next(conn, r)
			if err != nil || op == 8 {
				c.failed.Add(1)
				return
			}
			if op == 1 {
				c.replies.Add(1)
				wanted--
			}
		}
	}
	if random.IntN(3) == 0 {
		_, _ = conn.Write(frame(8, "\x03\xe8"))
		_, _ = io.Copy(io.Discard, r)
	}
}

// post publishes by HTTP to a topic that nobody hears.
func (c *crowd) post(i int, payload string) {
	conn, err := dial(i)
	if err != nil {
		c.failed.Add(1)
		return
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	_, _ = fmt.Fprintf(conn, "POST /broadcast?topic=nobody HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", *addr, len(payload), payload)
	status, err := bufio.NewReaderSize(conn, 512).ReadString('\n')
	if err != nil || !strings.HasPrefix(status, "HTTP/1.1 202 ") {
		c.failed.Add(1)
		return
	}
	c.replies.Add(1)
}
