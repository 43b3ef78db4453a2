//go:build faults

package main

import (
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// slack is the memory that the server may keep after a fault that made it take much more: empty slots, buffers and what the Go
// runtime has not given back yet.
const slack = 24 << 20

// TestFaultSlowHead: 10,000 clients send their request heads one byte a second. Each is told, and closed, at the deadline.
func TestFaultSlowHead(t *testing.T) {
	const clients, deadline = 10_000, 5 * time.Second
	s := serve(t, "--handshake-timeout", deadline.String())
	c := watch(t, s, patience)
	before := c.calm()
	f := begin(t, nil, s.address(), "head", clients)
	var facts map[string]int
	eventually(t, "all are closed", func() bool {
		time.Sleep(100 * time.Millisecond) // the clients need their time
		facts = f.facts("report")
		return facts["closed"]+facts["failed"] == clients
	})
	t.Log(facts)
	if facts["closed"] != clients || facts["told"] != clients {
		t.Errorf("%d clients: %v, want all told and closed", clients, facts)
	}
	if first := time.Duration(facts["first"]) * time.Millisecond; first < deadline-time.Second {
		t.Errorf("closed %v after connecting, deadline %v", first, deadline)
	}
	c.restored(before)
	s.peak()
}

// TestFaultSlowHeader: 10,000 subscribers send the header of a frame one byte a second. At the deadline all are closed.
func TestFaultSlowHeader(t *testing.T) { slowFrames(t, "header") }

// TestFaultSlowPayload: 10,000 subscribers announce 64 KiB, the most that is allowed, and send one byte of it a second. Memory is
// for what has come, not for what was announced.
func TestFaultSlowPayload(t *testing.T) { slowFrames(t, "payload") }

func slowFrames(t *testing.T, where string) {
	t.Helper()
	const clients = 10_000
	s := serve(t, "--message-timeout=10s")
	c := watch(t, s, patience)
	before := c.calm()
	f := begin(t, nil, s.address(), where, clients)
	if served := f.facts("report")["served"]; served != clients {
		t.Errorf("%d of %d were served", served, clients)
	}
	time.Sleep(4 * time.Second) // a few bytes of each
	if facts := f.facts("report"); facts["open"] != clients {
		t.Errorf("%v after 4 s: slow is not wrong", facts)
	}
	timeouts := func() float64 { return c.metrics()[`fanfare_disconnects_total{reason="message_timeout"}`] }
	eventually(t, "all took too long", func() bool {
		time.Sleep(100 * time.Millisecond) // asking costs the server something
		return timeouts() == clients
	})
	c.restored(before) // while they still hold their ends
	f.kill()
	s.peak()
}

// TestFaultStalled: 1,000 clients with small buffers that never read, and up to 1,000 messages a second for them. All are cut off,
// those who read the same topic miss nothing, and what waited for them was shared.
func TestFaultStalled(t *testing.T) {
	const stalled, well = 1_000, 10
	s := serve(t)
	c := watch(t, s, patience)
	good := connect(t, s, well)
	before := c.calm()
	w := connect(t, s, stalled, "-stall")
	payload, sent := strings.Repeat("x", 1000), 0
	slow := func() float64 { return c.metrics()[`fanfare_disconnects_total{reason="slow"}`] }
	client := &http.Client{}
	defer client.CloseIdleConnections()
	every := time.NewTicker(time.Millisecond)
	defer every.Stop()
	start, cut := time.Now(), 0.
	for end := start.Add(2 * patience); cut < stalled && time.Now().Before(end); {
		<-every.C
		switch status, body := request(t, client, http.MethodPost, s.url+"/broadcast?topic=a", payload); status {
		case http.StatusAccepted:
			sent++
		case http.StatusServiceUnavailable:
		default:
			t.Fatal(status, body)
		}
		if sent%100 == 0 {
			cut = slow()
		}
	}
	t.Logf("%v cut off after %d messages, %v", cut, sent, time.Since(start).Round(time.Millisecond))
	if cut != stalled {
		t.Errorf("%v of %d stalled readers were cut off", cut, stalled)
	}
	eventually(t, "the others have everything", func() bool { return good.allHave(well, sent) })
	c.restored(before) // while those who do not read still hold their ends
	s.peak()
	w.kill()
}

// TestFaultWaves: three times 15,000 clients connect, subscribe and are gone at once, by RST. Who comes meanwhile is served
// within a second.
func TestFaultWaves(t *testing.T) {
	const clients = 15_000
	s := serve(t)
	c := watch(t, s, patience)
	before, overflows := c.calm(), s.overflows()
	for wave := range 3 {
		f := begin(t, nil, s.address(), "hold", clients, "-eager=512")
		eventually(t, "the wave is counted", func() bool {
			m := c.metrics()
			return m["fanfare_connections"] >= clients && m["fanfare_subscriptions"] == clients+before.subscriptions
		})
		gone := make(chan struct{})
		go func() {
			defer close(gone)
			f.say("reset")
			f.out.Scan()
		}()
		times := newcomers(t, s, gone)
		t.Logf("wave %d: %d newcomers subscribed meanwhile, after %v (median), %v at most", wave, len(times), times[len(times)/2], times[len(times)-1])
		if most := times[len(times)-1]; most > time.Second {
			t.Errorf("wave %d: a newcomer was subscribed after %v", wave, most)
		}
		f.kill()
		c.restored(before)
	}
	if n := s.overflows() - overflows; n != 0 {
		t.Errorf("%d connections were lost in the accept queue", n)
	}
	s.peak()
}

// newcomers connect and subscribe one after the other until a second after gone, and give how long each took, in order.
func newcomers(t *testing.T, s *server, gone <-chan struct{}) (times []time.Duration) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		start := time.Now()
		_ = dial(t, s.ws("topic=new")).conn.Close()
		times = append(times, time.Since(start).Round(10*time.Microsecond))
		select {
		case <-gone:
			gone, end = nil, time.Now().Add(time.Second)
		default:
		}
	}
	slices.Sort(times)
	return times
}

// TestFaultStorm: the server is stopped and started again while 5,000 clients come back as soon as they are cut off.
func TestFaultStorm(t *testing.T) {
	const clients = 5_000
	s := serve(t)
	addr := s.address()
	f := begin(t, nil, addr, "again", clients)
	for round := range 2 {
		s.signal(syscall.SIGTERM)
		if code := s.exit(); code != 0 {
			t.Errorf("exit code %d after SIGTERM", code)
		}
		time.Sleep(time.Second) // they find nobody
		start := time.Now()
		s = serveOn(t, nil, "--listen="+addr)
		c := watch(t, s, patience)
		eventually(t, "everybody is back", func() bool {
			time.Sleep(50 * time.Millisecond) // asking costs the server something
			return c.metrics()["fanfare_subscriptions"] == clients+1
		})
		t.Logf("round %d: everybody is back %v after the start", round, time.Since(start).Round(time.Millisecond))
		c.finish()
		s.peak()
	}
	c := watch(t, s, patience)
	t.Log(f.facts("stop"))
	eventually(t, "all left", func() bool { return c.metrics()["fanfare_subscriptions"] == 1 })
}

// TestFaultGarbage: 2,000 connections with random bytes, spoiled requests, random frames and spoiled commands.
func TestFaultGarbage(t *testing.T) {
	const clients = 2_000
	s := serve(t, "--handshake-timeout=3s", "--close-timeout=1s")
	c := watch(t, s, patience)
	before := c.calm()
	seed := "1" // the same garbage each time; another one finds other faults
	if garbageSeed != "" {
		seed = garbageSeed
	}
	t.Log("seed", seed)
	f := begin(t, nil, s.address(), "garbage", clients, "-seed", seed, "-eager=200")
	facts := f.facts("stop")
	t.Log(facts)
	if facts["served"] < clients/2 || facts["failed"] != 0 || facts["replies"] < clients/4 {
		t.Errorf("too few got as far as was meant: %v", facts)
	}
	f.kill()
	c.restored(before)
	s.peak()
}

// TestFaultChurn: 64 clients come, subscribe, publish and go in every way for a minute ($FANFARE_CHURN for longer). From the first
// third to the last, memory, heap, goroutines and descriptors do not rise. No ping comes meanwhile, so a connection whose end was missed
// stays and is found.
//
// What is compared are the medians of some 70 readings in each third. Connections come and go within a reading, so the numbers of
// goroutines and descriptors may differ by a quarter of the clients. The heap in use saws between collections, by about what lives in
// it (4 MiB is the runtime's least goal), and resident memory follows it: they may differ by 4 MiB. That is 20 bytes of each connection
// that comes between the thirds, 5,000 a second.
func TestFaultChurn(t *testing.T) {
	const clients, most = 64, 4 << 20
	lasts := time.Minute
	if churnFor != "" {
		var err error
		if lasts, err = time.ParseDuration(churnFor); err != nil {
			t.Fatal(err)
		}
	}
	s := serve(t, "--ping=10m")
	c := watch(t, s, patience)
	before := c.calm()
	f := begin(t, nil, s.address(), "churn", clients)
	time.Sleep(lasts / 12) // until the server has what it needs for this load
	var readings []level
	for end := time.Now().Add(lasts); time.Now().Before(end); time.Sleep(lasts / 240) {
		readings = append(readings, c.level())
	}
	facts := f.facts("stop")
	f.kill()
	t.Log(facts, len(readings), "readings")
	if facts["failed"] > 0 || facts["served"] < 1000 {
		t.Errorf("%v: too few were served", facts)
	}
	third := len(readings) / 3
	for _, what := range []struct {
		name string
		of   func(l level) float64
		most float64
	}{
		{"RSS", func(l level) float64 { return float64(l.rss) }, most},
		{"heap in use", func(l level) float64 { return l.heap }, most},
		{"goroutines", func(l level) float64 { return l.goroutines }, clients / 4},
		{"descriptors", func(l level) float64 { return float64(l.files) }, clients / 4},
		{"topics", func(l level) float64 { return l.topics }, clients},
	} {
		first, last := median(readings[:third], what.of), median(readings[len(readings)-third:], what.of)
		t.Logf("%s: %.0f in the first third, %.0f in the last", what.name, first, last)
		if last-first > what.most {
			t.Errorf("%s rises from %.0f to %.0f", what.name, first, last)
		}
	}
	c.restored(before)
}

func median(readings []level, of func(l level) float64) float64 {
	values := make([]float64, 0, len(readings))
	for _, r := range readings {
		values = append(values, of(r))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// TestFaultSuspended: the server is stopped (SIGSTOP, a suspended machine) for longer than every deadline; nobody is dropped for it.
func TestFaultSuspended(t *testing.T) {
	const clients = 50
	stopped := 30 * time.Second
	if testing.Short() {
		stopped = 8 * time.Second
	}
	s := serve(t, "--ping=2s", "--ping-grace=2s", "--backlog-age=2s", "--handshake-timeout=4s")
	c := watch(t, s, stopped+patience)
	w := connect(t, s, clients)
	half, err := net.Dial("tcp", s.address())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = half.Close() }()
	var wg sync.WaitGroup
	s.signal(syscall.SIGSTOP)
	wg.Go(func() { // who comes meanwhile waits for it
		time.Sleep(stopped / 2)
		d := &http.Client{}
		defer d.CloseIdleConnections()
		r, err := d.Get(s.url + "/livez")
		if err != nil {
			t.Error(err)
			return
		}
		_ = r.Body.Close()
	})
	time.Sleep(stopped)
	s.signal(syscall.SIGCONT)
	wg.Wait()
	s.broadcast("x")
	eventually(t, "everybody is served", func() bool { return w.allHave(clients, 1) })
	time.Sleep(5 * time.Second) // a round of pings and grace
	s.broadcast("y")
	eventually(t, "everybody is still served", func() bool { return w.allHave(clients, 2) })
	c.noneDropped("head_timeout")
}
