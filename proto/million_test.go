//go:build million

package proto_test

import (
	"flag"
	"fmt"
	"log/slog"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fanfare/fanout"
	"fanfare/loop"
	"fanfare/loop/ws"
	"fanfare/proto"
	"fanfare/proto/auth"
	"fanfare/proto/native"
)

// What a million connections cost fanfare in one process, on any machine. It is here because proto is the lowest package that may
// know both loop and fanout. Group, Loop, slab, handshake, dialect, Hub and Shard are those that serve, each record gets its place by
// the request of an upgrade, and each message goes from Publish by way of the walk to the call that sends. That call and the
// descriptor are replaced, by the build tag million (loop/void_million.go): the kernel's part of a connection is not in the figures.
//
//	go test -tags million -run '^$' -bench '^BenchmarkMillion$' -benchtime 20x ./proto/ [-records 1000000]
//	go test -tags million -run '^TestMillion' ./proto/
var records = flag.Int("records", 1_000_000, "connections of BenchmarkMillion")

const (
	crowdLoops = 2
	crowdBatch = 1000 // connections made in one turn
	crowdTopic = "news"
	upgrade    = "GET /ws?topic=" + crowdTopic + " HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)

// crowd is a server whose connections have no sockets, all of them members of one topic.
type crowd struct {
	tb     testing.TB
	hub    *fanout.Hub
	server *proto.Server
	group  *loop.Group
	key    fanout.Key
	owed   uint64 // deliveries
	size   int
}

// gather starts a server.
func gather(tb testing.TB) *crowd {
	tb.Helper()
	c := &crowd{tb: tb, hub: fanout.NewHub(fanout.Config{})}
	d := native.New(native.Config{Auth: auth.Policy{Open: true}, Ping: time.Hour, Grace: time.Minute}) // nobody answers a ping
	log := slog.New(slog.DiscardHandler)
	var err error
	if c.server, err = proto.New(proto.Config{Hub: c.hub, Dialects: []proto.Dialect{d}, Log: log}); err != nil {
		tb.Fatal(err)
	}
	if c.group, err = loop.New(loop.Config{Loops: crowdLoops, Handler: c.server, Log: log}); err != nil {
		tb.Fatal(err)
	}
	c.server.Attach(c.group)
	if _, err := c.server.Listen(proto.Listen{Dialect: d.Name(), Addr: "127.0.0.1:0", Namespace: "n"}); err != nil {
		tb.Fatal(err)
	}
	if err := c.server.Start(); err != nil {
		tb.Fatal(err)
	}
	c.key = fanout.Key{Space: c.hub.Space("n"), Name: crowdTopic}
	return c
}

// on runs f on a loop and waits for it.
func (c *crowd) on(l *loop.Loop, f func()) {
	done := make(chan struct{})
	c.group.Post(l.Canary(), func(*loop.Conn) {
		defer close(done)
		f()
	})
	<-done
}

// grow makes n connections, the loops in turn.
func (c *crowd) grow(n int) {
	c.tb.Helper()
	loops := c.group.Loops()
	head := []byte(upgrade)
	for turn := 0; n > 0; turn++ {
		batch := min(n, crowdBatch)
		l := loops[turn%len(loops)]
		c.on(l, func() {
			for i := range batch {
				l.Void(c.size+i, 0, head)
			}
		})
		c.size += batch
		n -= batch
	}
	for _, l := range loops {
		c.on(l, func() {}) // the turn before has counted
	}
	if s := c.group.Stats(); s.Conns != int64(c.size) || s.Upgraded != int64(c.size) {
		c.tb.Fatalf("%d connections, %d upgraded, want %d", s.Conns, s.Upgraded, c.size)
	}
}

// publish sends one message to all; delivered waits until all have got what was published.
func (c *crowd) publish(data []byte) {
	rc, err := c.hub.Publish(&fanout.Event{Key: c.key, Data: data, Kind: ws.OpText})
	if err != nil || rc.Receivers != c.size {
		c.tb.Fatalf("%d receivers of %d, %v", rc.Receivers, c.size, err)
	}
	c.owed += uint64(c.size)
}

func (c *crowd) delivered() {
	for end := time.Now().Add(time.Minute); c.hub.Stats().Deliveries != c.owed; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			c.tb.Fatalf("%d deliveries of %d", c.hub.Stats().Deliveries, c.owed)
		}
	}
}

// processor is the time that all threads of this process have run, so that other processes are not in the figures.
func processor(tb testing.TB) time.Duration {
	tb.Helper()
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(t.Nano())
}

// sweep is the time for a slot when nothing is due, the best of some tries.
func (c *crowd) sweep() (perSlot float64) {
	perSlot = math.Inf(1)
	for _, l := range c.group.Loops() {
		c.on(l, func() {
			for range 20 {
				began := time.Now()
				slots := l.Sweep()
				perSlot = min(perSlot, float64(time.Since(began))/float64(slots))
			}
		})
	}
	return perSlot
}

// resident is the process's memory, after what is free has been given back.
func resident(tb testing.TB) int {
	tb.Helper()
	debug.FreeOSMemory()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		tb.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(text))[1])
	if err != nil {
		tb.Fatal(err)
	}
	return pages * os.Getpagesize()
}

// collect is the processor time of one collection of garbage, while nothing else is done.
func collect(tb testing.TB) time.Duration {
	tb.Helper()
	const cycles = 5
	runtime.GC()
	before := processor(tb)
	for range cycles {
		runtime.GC()
	}
	return (processor(tb) - before) / cycles
}

// BenchmarkMillion publishes to all. B/record is resident memory; ns/member is processor time of all that a message takes from
// Publish to the call that sends; ns/slot is what a look at one record for what is due takes.
func BenchmarkMillion(b *testing.B) {
	c := gather(b)
	defer c.server.Close()
	before := resident(b)
	c.grow(*records)
	perRecord := float64(resident(b)-before) / float64(c.size)
	cycle, perSlot := collect(b), c.sweep()
	data := []byte(strings.Repeat("x", 120))
	c.publish(data)
	c.delivered()
	began, messages := processor(b), 0
	for b.Loop() {
		c.publish(data)
		c.delivered()
		messages++
	}
	b.ReportMetric(float64(processor(b)-began)/float64(messages)/float64(c.size), "ns/member")
	b.ReportMetric(perRecord, "B/record")
	b.ReportMetric(float64(cycle)/float64(time.Millisecond), "gc-cpu-ms/cycle")
	b.ReportMetric(perSlot, "ns/slot")
}

// inbox is what one connection without a socket got, in the order of its making. Only its loop writes it.
type inbox struct {
	answers  uint8 // 101
	goodbyes uint8 // close frames
	wrong    uint8
	messages uint32
}

// TestMillion: every connection gets the 101, each message once and in order, and a close frame; with a small crowd, and exactly.
func TestMillion(t *testing.T) {
	const size, single, burst = 20_000, 3, 100
	got := make([]inbox, size)
	var bytes atomic.Int64
	loop.Swallow = func(number int, b []byte) {
		bytes.Add(int64(len(b)))
		to := &got[number]
		switch {
		case strings.HasPrefix(string(b), "HTTP/1.1 101 "):
			to.answers++
		case b[0] == 0x80|ws.OpClose:
			to.goodbyes++
		case string(b) == string(ws.AppendFrame(nil, ws.OpText, message(int(to.messages)))):
			to.messages++
		default:
			to.wrong++
		}
	}
	t.Cleanup(func() { loop.Swallow = nil })
	c := gather(t)
	c.grow(size)
	for i := range single {
		c.publish(message(i))
		c.delivered()
	}
	for i := range burst { // several in one call
		c.publish(message(single + i))
	}
	c.delivered()
	for _, l := range c.group.Loops() {
		c.on(l, func() {}) // flushes of the turn before
	}
	if s := c.group.Stats(); s.Bytes != bytes.Load() || s.Queued != 0 {
		t.Errorf("%d bytes were counted, %d sent, %d wait", s.Bytes, bytes.Load(), s.Queued)
	}
	c.server.Close()
	want := inbox{answers: 1, goodbyes: 1, messages: single + burst}
	for i, x := range got {
		if x != want {
			t.Fatalf("connection %d: %+v, want %+v", i, x, want)
		}
	}
}

func message(i int) []byte { return fmt.Appendf(nil, "message %d", i) }
