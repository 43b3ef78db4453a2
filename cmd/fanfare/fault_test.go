//go:build faults

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// Faults, tried on the running server. While each lasts, a control hears one numbered message after the other and must lose none,
// and /livez answers; afterwards memory, descriptors, goroutines, connections and subscriptions are again what they were before. The
// clients that do harm are in processes of their own (testdata/faulty).

// control is a healthy subscriber, publishers for it, and somebody who asks /livez.
type control struct {
	t        *testing.T
	s        *server
	patience time.Duration // for one message and for one answer of /livez
	client   *http.Client  // keeps its connection: one that comes and goes would be part of what is counted, and may be refused
	asker    *http.Client  // another one for /livez, which is asked at the same time
	sub      net.Conn
	pubs     [8]net.Conn // take turns, so that none has many commands a second
	stop     chan struct{}
	sending  sync.WaitGroup
	hearing  sync.WaitGroup
	finish   func() // ends the control; it must then have heard everything

	heard   atomic.Int64
	mu      sync.Mutex
	at      []time.Time     // when each message was published
	late    []time.Duration // how long each took to arrive
	asked   int             // of /livez
	slowest time.Duration   // answer of it
}

// What the environment says; TestMain clears it.
var (
	churnFor    = os.Getenv("FANFARE_CHURN") // how long the churn lasts, such as 10m
	garbageSeed = os.Getenv("FANFARE_SEED")  // a number that chooses other garbage
)

const (
	publishEvery = 4 * time.Millisecond
	askEvery     = 50 * time.Millisecond
)

// watch starts a control.
func watch(t *testing.T, s *server, most time.Duration) *control {
	t.Helper()
	c := &control{t: t, s: s, patience: most, client: keeping(), asker: keeping(), stop: make(chan struct{})}
	c.sub = c.open("topic=control")
	for i := range c.pubs {
		c.pubs[i] = c.open("")
	}
	c.finish = sync.OnceFunc(c.end)
	c.sending.Go(c.publish)
	c.sending.Go(c.ask)
	c.hearing.Go(c.hear)
	t.Cleanup(c.finish)
	eventually(t, "the control hears something", func() bool { return c.heard.Load() > 10 })
	return c
}

// keeping is a client whose connections are its own and stay.
func keeping() *http.Client { return &http.Client{Transport: &http.Transport{}} }

// open makes a WebSocket connection.
func (c *control) open(query string) net.Conn {
	c.t.Helper()
	d := ws.Dialer{Timeout: c.patience}
	conn, early, _, err := d.Dial(c.t.Context(), c.s.ws(query))
	if err != nil || early != nil {
		c.t.Fatal(err, early)
	}
	return conn
}

// next is the next data message, as text; pings are answered.
func (c *control) next(conn net.Conn) (string, error) {
	if err := conn.SetDeadline(time.Now().Add(c.patience)); err != nil {
		return "", err
	}
	payload, err := wsutil.ReadServerText(conn)
	return string(payload), err
}

// pause waits for the next time to act, and says false when the control ends.
func (c *control) pause(d time.Duration) bool {
	select {
	case <-c.stop:
		return false
	case <-time.After(d):
		return true
	}
}

// publish sends one number after the other, each when the one before was taken.
func (c *control) publish() {
	for n := 0; c.pause(publishEvery); {
		c.mu.Lock()
		c.at = append(c.at[:n], time.Now())
		c.mu.Unlock()
		pub := c.pubs[n%len(c.pubs)]
		err := wsutil.WriteClientText(pub, fmt.Appendf(nil, `{"publish":{"topic":"control","data":%d}}`, n))
		answer := ""
		if err == nil {
			answer, err = c.next(pub)
		}
		switch {
		case strings.HasPrefix(answer, `{"published"`):
			n++
		case strings.Contains(answer, `"busy"`): // not taken: the same again
			c.mu.Lock()
			c.at = c.at[:n]
			c.mu.Unlock()
		default:
			c.t.Errorf("control: publish %d: %s %v", n, answer, err)
			return
		}
	}
}

// hear takes the messages: no gap, no repeat.
func (c *control) hear() {
	for n := int64(0); ; n++ {
		message, err := c.next(c.sub)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if message != strconv.FormatInt(n, 10) || err != nil {
			c.t.Errorf("control: got %q, %v instead of %d", message, err, n)
			return
		}
		c.mu.Lock()
		c.late = append(c.late, time.Since(c.at[n]))
		c.mu.Unlock()
		c.heard.Store(n + 1)
	}
}

// ask asks /livez.
func (c *control) ask() {
	for c.pause(askEvery) {
		start := time.Now()
		status, body, err := c.getBy(c.asker, "/livez")
		if status != http.StatusOK {
			c.t.Errorf("/livez: %d %s %v", status, body, err)
			return
		}
		c.mu.Lock()
		c.asked++
		c.slowest = max(c.slowest, time.Since(start))
		c.mu.Unlock()
	}
}

// ready asks /readyz for so long.
func (c *control) ready(lasts time.Duration) {
	c.t.Helper()
	for end := time.Now().Add(lasts); time.Now().Before(end); time.Sleep(askEvery) {
		if status, body, err := c.get("/readyz"); status != http.StatusOK {
			c.t.Fatalf("/readyz: %d %s %v", status, body, err)
		}
	}
}

// dropped are the connections that ended, by reason, without those handed to plain HTTP.
func (c *control) dropped() map[string]float64 {
	c.t.Helper()
	reasons := map[string]float64{}
	for name, n := range c.metrics() {
		if reason, ok := strings.CutPrefix(name, `fanfare_disconnects_total{reason="`); ok && n > 0 {
			reasons[strings.TrimSuffix(reason, `"}`)] = n
		}
	}
	delete(reasons, "http")
	return reasons
}

// noneDropped fails if a connection ended for any other reason than these.
func (c *control) noneDropped(but ...string) {
	c.t.Helper()
	for reason, n := range c.dropped() {
		if !slices.Contains(but, reason) {
			c.t.Errorf("%v connections ended: %s", n, reason)
		}
	}
}

func (c *control) get(path string) (status int, body string, err error) {
	return c.getBy(c.client, path)
}

func (c *control) getBy(client *http.Client, path string) (status int, body string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), c.patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.s.url+path, http.NoBody)
	if err != nil {
		return 0, "", err
	}
	response, err := client.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = response.Body.Close() }()
	b, err := io.ReadAll(response.Body)
	return response.StatusCode, string(b), err
}

// end stops publishing, waits for what is on its way and says how it went.
func (c *control) end() {
	close(c.stop)
	c.sending.Wait()
	c.mu.Lock()
	sent := int64(len(c.at))
	c.mu.Unlock()
	for end := time.Now().Add(c.patience); c.heard.Load() < sent && !c.t.Failed() && time.Now().Before(end); {
		time.Sleep(time.Millisecond) // the hearer is another goroutine
	}
	_ = c.sub.Close()
	for _, pub := range c.pubs {
		_ = pub.Close()
	}
	c.hearing.Wait()
	c.client.CloseIdleConnections()
	c.asker.CloseIdleConnections()
	if heard := c.heard.Load(); heard != sent {
		c.t.Errorf("control: %d messages published, %d heard", sent, heard)
	}
	slices.Sort(c.late)
	if n := len(c.late); n > 0 {
		c.t.Logf("control: %d messages, after %v (median), %v (99 %%), %v at most; /livez %d times, %v at most", n,
			c.late[n/2].Round(time.Microsecond), c.late[n*99/100].Round(time.Microsecond), c.late[n-1].Round(time.Microsecond),
			c.asked, c.slowest.Round(time.Microsecond))
	}
}

// metrics are all metrics now.
func (c *control) metrics() map[string]float64 {
	c.t.Helper()
	status, body, err := c.get("/metrics")
	if status != http.StatusOK {
		c.t.Fatal(status, body, err)
	}
	values := map[string]float64{}
	for line := range strings.Lines(body) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && name != "#" {
			values[name], _ = strconv.ParseFloat(value, 64)
		}
	}
	return values
}

// level is what a fault must not change for good.
type level struct {
	rss                                       int
	files                                     int
	goroutines, connections, subscriptions    float64
	topics, backlog, panics, heap, httpServed float64
}

func (c *control) level() level {
	c.t.Helper()
	m := c.metrics()
	return level{
		rss: c.s.rss(), files: c.s.files(), goroutines: m["go_goroutines"], connections: m["fanfare_connections"],
		subscriptions: m["fanfare_subscriptions"], topics: m["fanfare_topics"], backlog: m["fanfare_backlog_frames"],
		panics: m[`fanfare_panics_total{where="loop"}`], heap: m["go_memstats_heap_inuse_bytes"], httpServed: m["fanfare_http_connections"],
	}
}

// calm is the level when nothing changes: the loops tell their numbers a quarter of a second late.
func (c *control) calm() level {
	c.t.Helper()
	last := c.level()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		time.Sleep(300 * time.Millisecond)
		now := c.level()
		if now.connections == last.connections && now.subscriptions == last.subscriptions && now.files == last.files {
			return now
		}
		last = now
	}
	c.t.Fatalf("not calm: %+v", last)
	return last
}

// files are the descriptors that the server has open.
func (s *server) files() int {
	s.t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.cmd.Process.Pid))
	if err != nil {
		s.t.Fatal(err)
	}
	return len(entries)
}

// restored waits until everything is as it was before. Memory may stay higher by slack: the runtime keeps some of what a fault made
// it take, so that the next one need not take it again.
func (c *control) restored(before level) {
	c.t.Helper()
	var now level
	since := time.Now()
	first := c.level()
	for end := since.Add(2 * patience); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		now = c.level()
		if now.connections <= before.connections && now.subscriptions == before.subscriptions && now.topics <= before.topics &&
			now.files <= before.files+2 && now.goroutines <= before.goroutines+3 && now.rss <= before.rss+slack {
			break
		}
	}
	c.t.Logf("before: %+v; just after: %+v; %v later: %+v; peak RSS %d MiB", before, first, time.Since(since).Round(time.Millisecond), now, c.s.proc("status", "VmHWM:")>>20)
	if now.connections > before.connections || now.subscriptions != before.subscriptions || now.topics > before.topics {
		c.t.Error("connections, subscriptions or topics are not what they were")
	}
	if now.files > before.files+2 || now.goroutines > before.goroutines+3 { // a connection of ours may have come
		c.t.Error("descriptors or goroutines stay")
	}
	if now.rss > before.rss+slack {
		c.t.Errorf("%d B of memory stay, at most %d", now.rss-before.rss, slack)
	}
	if now.panics != before.panics {
		c.t.Errorf("%v panics", now.panics-before.panics)
	}
}

// peak fails if the server ever had more memory than a fault may cost. (An idle one has 13 MiB; 15,000 subscribers cost it 10 more.)
func (s *server) peak() {
	s.t.Helper()
	const limit = 64 << 20
	if most := s.proc("status", "VmHWM:"); most > limit {
		s.t.Errorf("peak RSS %d B, at most %d", most, limit)
	}
}

// cpu is the processor time that the server has used.
func (s *server) cpu() time.Duration {
	s.t.Helper()
	all, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	if err != nil {
		s.t.Fatal(err)
	}
	fields := bytes.Fields(all[bytes.LastIndexByte(all, ')')+1:]) // the third and following
	user, err1 := strconv.Atoi(string(fields[11]))
	system, err2 := strconv.Atoi(string(fields[12]))
	if err1 != nil || err2 != nil {
		s.t.Fatalf("%s", all)
	}
	return time.Duration(user+system) * 10 * time.Millisecond // USER_HZ is 100
}

// overflows are the connections that the server's kernel dropped because an accept queue was full.
func (s *server) overflows() int {
	s.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/netstat", s.cmd.Process.Pid))
	if err != nil {
		s.t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if at := slices.Index(names, "ListenOverflows"); at > 0 && f[0] == "TcpExt:" {
			n, err := strconv.Atoi(f[at])
			if err != nil {
				s.t.Fatal(err)
			}
			return n
		}
		names = f
	}
	s.t.Fatalf("no ListenOverflows in %s", b)
	return 0
}

var buildFaulty = sync.OnceValues(func() (string, error) { return buildClients("faulty") })

// faulty is a process with many clients that do harm.
type faulty struct{ *swarm }

// begin starts n of them and waits until they have begun. prefix is a command to run them with, such as ip netns exec.
func begin(t *testing.T, prefix []string, addr, mode string, n int, args ...string) *faulty {
	t.Helper()
	raiseFiles(t)
	path, err := buildFaulty()
	if err != nil {
		t.Fatal(err)
	}
	line := slices.Concat(prefix, []string{path, "-addr", addr, "-mode", mode, "-n", strconv.Itoa(n)}, args)
	w := newSwarm(t, exec.CommandContext(t.Context(), line[0], line[1:]...))
	if got := w.line(); got != "ready" {
		t.Fatalf("faulty: %q", got)
	}
	return &faulty{w}
}

// facts gives the answer to an order: what the clients count.
func (f *faulty) facts(order string) map[string]int {
	f.t.Helper()
	f.say(order)
	facts := map[string]int{}
	words := strings.Fields(f.line())
	for i := 0; i+1 < len(words); i += 2 {
		n, err := strconv.Atoi(words[i+1])
		if err != nil {
			f.t.Fatal(words, err)
		}
		facts[words[i]] = n
	}
	return facts
}

// port gives a port on the loopback that is free now.
func port(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	return ln.Addr().String()
}

// under starts the server with its standard error on stderr and, by sh, after the commands of before. It waits until it serves.
func under(t *testing.T, before string, stderr *os.File, args ...string) *server {
	t.Helper()
	addr := port(t)
	p := &process{t: t, stdout: newLines(), stderr: newLines(), ended: make(chan struct{})}
	p.cmd = exec.Command("sh", append([]string{"-c", before + ` exec "$0" "$@"`, binary, "serve", "--listen=" + addr}, args...)...)
	p.cmd.Stderr = p.stderr
	if stderr != nil {
		p.cmd.Stderr = stderr
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.ended
	})
	eventually(t, "the server serves", func() bool {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return false
		}
		return conn.Close() == nil
	})
	return &server{p, "http://" + addr}
}
