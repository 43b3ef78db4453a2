//go:build reach

package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The limits that fanfare promises, asserted on the running server over real sockets. The clients are processes of their own
// (testdata/swarm).

// TestReachIdle: the memory of an idle subscribed connection is the slope between 2,000 and 18,000 of them, in two fresh servers
// at default settings, read 3 s after the last connect and before anything else is asked of the server.
func TestReachIdle(t *testing.T) {
	const few, many, limit = 2_000, 18_000, 400
	measure := func(n int) (rss int, goroutines float64) {
		s := serve(t)
		w := connect(t, s, n)
		time.Sleep(3 * time.Second) // part of what is measured: memory goes back after an accept wave
		rss = s.rss()
		goroutines = s.metric("go_goroutines")
		if got := s.metric("fanfare_connections"); int(got) < n {
			t.Errorf("%v connections, want %d", got, n)
		}
		w.kill()
		s.stop()
		return rss, goroutines
	}
	rss1, g1 := measure(few)
	rss2, g2 := measure(many)
	slope := float64(rss2-rss1) / (many - few)
	t.Logf("RSS %d B with %d, %d B with %d: %.0f B per idle subscribed connection; goroutines %v and %v", rss1, few, rss2, many, slope, g1, g2)
	if slope > limit {
		t.Errorf("%.0f B per idle subscribed connection, at most %d", slope, limit)
	}
	if g2-g1 > 2 || g1-g2 > 2 {
		t.Errorf("%v goroutines with %d connections, %v with %d", g1, few, g2, many)
	}
}

// TestReachEpoll: the server's only epoll descriptors are netpoll's, one a loop, and the Go runtime's.
func TestReachEpoll(t *testing.T) {
	for _, loops := range []int{1, 2, 3} {
		s := serve(t, "--loops", strconv.Itoa(loops))
		connect(t, s, 100)
		s.broadcast("x")
		dir := fmt.Sprintf("/proc/%d/fd", s.cmd.Process.Pid)
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		polls := 0
		for _, e := range entries {
			if to, _ := os.Readlink(filepath.Join(dir, e.Name())); strings.Contains(to, "eventpoll") {
				polls++
			}
		}
		if polls != loops+1 {
			t.Errorf("%d epoll descriptors with %d loops, want one each and the runtime's", polls, loops)
		}
		s.stop()
	}
}

// TestReachEncodeOnce: one encoding per publish and form, however many loops and subscribers there are.
func TestReachEncodeOnce(t *testing.T) {
	s := serve(t, "--loops", "2")
	w := connect(t, s, 1000, "-path", "/ws?topic=a /ws?topic=b&format=json")
	for i, topic := range []string{"a", "b", "a", "nobody"} {
		before, delivered := s.metric("fanfare_encodes_total"), s.metric("fanfare_deliveries_total")
		if status, body := s.request(http.MethodPost, "/broadcast?topic="+topic, "x"); status != http.StatusAccepted {
			t.Fatal(status, body)
		}
		want := 1.0
		if topic == "nobody" {
			want = 0
		}
		if got := s.metric("fanfare_encodes_total") - before; got != want {
			t.Errorf("publish %d to %s: %v encodings, want %v", i, topic, got, want)
		}
		eventually(t, "500 deliveries", func() bool { return s.metric("fanfare_deliveries_total")-delivered == 500*want })
	}
	s.broadcast("y")
	both := connect(t, s, 2, "-path", "/ws?topic=a&format=json /ws?topic=a")
	before := s.metric("fanfare_encodes_total")
	s.broadcast("z")
	if got := s.metric("fanfare_encodes_total") - before; got != 2 {
		t.Errorf("a topic with two forms in use: %v encodings, want 2", got)
	}
	both.kill()
	w.kill()
	s.stop()
}

// TestReachStalled: readers that stall share what waits for them: one 64 KiB frame to 1,000 of them costs less than 1 MiB more
// memory than to one.
func TestReachStalled(t *testing.T) {
	const limit = 1 << 20
	measure := func(n int) int {
		s := serve(t, "--backlog-age", "10m", "--backlog", "1MiB", "--ping", "10m")
		w := connect(t, s, n, "-stall")
		frame := strings.Repeat("x", 64<<10)
		for int(s.metric("fanfare_backlog_frames")) < n { // first their sockets' buffers must be full
			s.broadcast(frame)
		}
		settled := s.metric("fanfare_deliveries_total")
		before := s.rss()
		s.broadcast(frame)
		eventually(t, "the frame is queued for everybody", func() bool {
			return s.metric("fanfare_deliveries_total") == settled+float64(n) && int(s.metric("fanfare_backlog_frames")) >= 2*n
		})
		after := s.rss()
		if got := s.metric("fanfare_backlog_bytes"); int(got) < n*64<<10 {
			t.Errorf("%v bytes wait for %d stalled readers", got, n)
		}
		w.kill()
		s.stop()
		return after - before
	}
	one, many := measure(1), measure(1000)
	t.Logf("RSS rises by %d B with one stalled reader, by %d B with 1,000", one, many)
	if many-one > limit {
		t.Errorf("1,000 stalled readers cost %d B more than one, at most %d", many-one, limit)
	}
}

// TestReachMallocs: what a delivery and a handshake allocate.
func TestReachMallocs(t *testing.T) {
	const clients, rounds = 15_000, 10
	s := serve(t)
	w := connect(t, s, clients)
	delivered := s.metric("fanfare_deliveries_total")
	asked := s.metric("go_memstats_mallocs_total")
	before := s.metric("go_memstats_mallocs_total")
	asking := before - asked // what reading a metric allocates
	for range rounds {
		s.broadcast("0123456789")
	}
	eventually(t, "everything is delivered", func() bool {
		return w.allHave(clients, rounds)
	})
	mallocs := s.metric("go_memstats_mallocs_total") - before - asking
	deliveries := s.metric("fanfare_deliveries_total") - delivered
	t.Logf("%v mallocs for %v deliveries: %.5f each", mallocs, deliveries, mallocs/deliveries)
	if deliveries != clients*rounds || mallocs/deliveries >= 0.01 {
		t.Errorf("%v mallocs for %v deliveries, less than 0.01 each wanted", mallocs, deliveries)
	}

	// The slots of these clients are used again by the next ones, so that what those allocate is garbage.
	w.say("close")
	if got := w.line(); got != "ended" {
		t.Fatal(got)
	}
	eventually(t, "all are gone", func() bool { return s.metric("fanfare_connections") == 0 })
	w.kill()
	keep := connect(t, s, 1) // the topic lives on
	garbage := s.metric("go_memstats_alloc_bytes_total")
	connect(t, s, clients)
	each := (s.metric("go_memstats_alloc_bytes_total") - garbage) / clients
	t.Logf("%.0f B allocated per handshake", each)
	if each > 256 {
		t.Errorf("%.0f B allocated per handshake, at most 256", each)
	}
	keep.kill()
}

// TestReachFlood: four publishers as fast as they can for 10 s to 5,000 subscribers. Memory stays under its limit, and everybody
// gets exactly what was accepted, in the order of the positions.
func TestReachFlood(t *testing.T) {
	const clients, publishers, limit = 5_000, 4, 256 << 20
	s := serveOn(t, []string{"GOMEMLIMIT=" + strconv.Itoa(limit)}, "--listen=127.0.0.1:0")
	w := connect(t, s, clients)
	end := time.Now().Add(10 * time.Second)
	all := make([][]accepted, publishers)
	var wg sync.WaitGroup
	for p := range publishers {
		wg.Go(func() { all[p] = flood(t, s, p, 600, end) })
	}
	wg.Wait()
	count, hash := want(all)
	var groups []received
	for end := time.Now().Add(4 * time.Minute); ; time.Sleep(100 * time.Millisecond) { // what is undelivered takes its time
		var closed int
		groups, closed = w.report()
		if closed > 0 {
			_, metrics := s.request(http.MethodGet, "/metrics", "")
			t.Fatalf("%d clients were closed: %s", closed, metrics)
		}
		if len(groups) == 1 && groups[0].count == count {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%d messages accepted, the clients have %+v", count, groups)
		}
	}
	if groups[0].hash != hash {
		t.Errorf("the subscribers got other messages, or another order, than was accepted")
	}
	peak := s.proc("status", "VmHWM:")
	busy := int(s.metric("fanfare_publishes_busy_total"))
	t.Logf("%d messages accepted, %d refused; each of %d subscribers got them all; peak RSS %d MiB", count, busy, clients, peak>>20)
	if peak > limit {
		t.Errorf("peak RSS %d B, limit %d", peak, limit)
	}
	if count == 0 || busy == 0 {
		t.Error("the limit of undelivered bytes was not reached: nothing is proven")
	}
}

// TestReachStopped: a client that is stopped under load (kill -STOP) is cut off by its backlog, and costs the others nothing.
func TestReachStopped(t *testing.T) {
	s := serve(t, "--backlog-age", "2s")
	well, ill := connect(t, s, 10), connect(t, s, 10)
	if err := ill.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	payload, sent := strings.Repeat("x", 32<<10), 0
	eventually(t, "the stopped clients are cut off", func() bool {
		s.broadcast(payload)
		sent++
		return s.metric(`fanfare_disconnects_total{reason="slow"}`) == 10
	})
	eventually(t, "the others have everything", func() bool { return well.allHave(10, sent) })
	if got := s.metric("fanfare_connections"); got < 10 || got > 12 {
		t.Errorf("%v connections left, want the 10 healthy ones", got)
	}
	if err := ill.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the stopped clients see their end", func() bool { _, closed := ill.report(); return closed == 10 })
}

// TestReachSuspended: a server that was stopped longer than every deadline (SIGSTOP, a suspended machine) ends nobody for it.
func TestReachSuspended(t *testing.T) {
	s := serve(t, "--ping", "2s", "--ping-grace", "1s")
	w := connect(t, s, 50)
	s.signal(syscall.SIGSTOP)
	time.Sleep(6 * time.Second) // the length of the stop is what is tested
	s.signal(syscall.SIGCONT)
	s.broadcast("x")
	eventually(t, "everybody is served", func() bool { return w.allHave(50, 1) })
	time.Sleep(4 * time.Second) // a round of pings
	s.broadcast("y")
	eventually(t, "everybody is still served", func() bool { return w.allHave(50, 2) })
}
