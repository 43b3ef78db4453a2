//go:build faults

package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestFaultFiles: with 256 descriptors, 400 clients come. The server serves those for whom it has one, does not spin for the others,
// says that it is not ready, and takes them when some have left.
func TestFaultFiles(t *testing.T) {
	const clients, files, leave = 400, 256, 100
	s := under(t, fmt.Sprintf("ulimit -n %d;", files), nil, "--max-connections=1000") // else nobody is let in who could take the last one
	c := watch(t, s, patience)
	before := c.calm()
	f := begin(t, nil, s.address(), "hold", clients, "-patchy")
	eventually(t, "no descriptor is free", func() bool { time.Sleep(50 * time.Millisecond); return s.files() >= files })
	busy, since := s.cpu(), time.Now()
	time.Sleep(4 * time.Second) // in which a loop that spins uses one processor
	used, in := s.cpu()-busy, time.Since(since)
	facts := f.facts("report")
	t.Logf("%d of %d served with %d descriptors; %v of processor time in %v", facts["open"], clients, s.files(), used, in.Round(time.Millisecond))
	if used > in/3 {
		t.Errorf("%v of processor time in %v: it spins", used, in)
	}
	eventually(t, "it says that it is not ready, and why", func() bool {
		status, body, _ := c.get("/readyz?verbose")
		return status == http.StatusServiceUnavailable && strings.Contains(body, "[-] descriptors")
	})
	open := facts["open"]
	if open < files/2 || open >= files {
		t.Errorf("%d clients are served with %d descriptors", open, files)
	}
	f.say(fmt.Sprint("leave ", leave))
	if got := f.line(); got != fmt.Sprint("left ", leave) {
		t.Fatal(got)
	}
	eventually(t, "others take the places of those who left", func() bool {
		time.Sleep(50 * time.Millisecond) // the clients need their time
		now := f.facts("report")
		return now["served"] >= open+leave-10 || now["served"]+now["failed"] == clients
	})
	f.kill()
	c.restored(before)
	eventually(t, "it is ready again", func() bool { status, _, _ := c.get("/readyz"); return status == http.StatusOK })
}

// TestFaultMemory: with a memory limit of 40 MiB, four publishers of 16 KiB as fast as they can to 1,000 subscribers, and 200 who do not
// read. What is accepted arrives, the rest is refused, and memory stays bounded.
func TestFaultMemory(t *testing.T) {
	const clients, stalled, publishers = 1_000, 200, 4
	s := serveOn(t, []string{"GOMEMLIMIT=40MiB"}, "--listen=127.0.0.1:0")
	c := watch(t, s, patience)
	before := c.calm()
	w := connect(t, s, clients)
	ill := connect(t, s, stalled, "-stall")
	end := time.Now().Add(5 * time.Second)
	all := make([][]accepted, publishers)
	var wg sync.WaitGroup
	for p := range publishers {
		wg.Go(func() { all[p] = flood(t, s, p, 16<<10, end) })
	}
	wg.Wait()
	count, hash := want(all)
	var groups []received
	for end := time.Now().Add(3 * patience); time.Now().Before(end); time.Sleep(100 * time.Millisecond) { // what is undelivered takes its time
		var closed int
		if groups, closed = w.report(); closed > 0 {
			t.Fatalf("%d healthy clients were closed", closed)
		}
		if len(groups) == 1 && groups[0].count == count {
			break
		}
	}
	busy := c.metrics()["fanfare_publishes_busy_total"]
	t.Logf("%d messages accepted, %v refused; peak RSS %d MiB", count, busy, s.proc("status", "VmHWM:")>>20)
	if busy == 0 {
		t.Error("the limit of undelivered bytes was not reached: nothing is proven")
	}
	if count == 0 || len(groups) != 1 || groups[0].count != count || groups[0].hash != hash {
		t.Errorf("%d messages accepted, the clients have %+v", count, groups)
	}
	eventually(t, "those who do not read are cut off", func() bool {
		return c.metrics()[`fanfare_disconnects_total{reason="slow"}`] == stalled
	})
	ill.kill()
	w.kill()
	c.restored(before)
	s.peak()
}

// TestFaultHalfOpen: from one moment on, no packet reaches the clients or comes from them, neither FIN nor RST: they are in a network
// namespace of their own, where nftables drops everything. They are removed after ping and grace. Needs root, ip and nft.
func TestFaultHalfOpen(t *testing.T) {
	const clients, ping, grace = 200, 2 * time.Second, 2 * time.Second
	space := fmt.Sprintf("fanfare%d", os.Getpid())
	here, there := fmt.Sprintf("ff%da", os.Getpid()), fmt.Sprintf("ff%db", os.Getpid())
	sh(t, "ip netns add "+space)
	t.Cleanup(func() { sh(t, "ip netns del "+space) })
	sh(t, fmt.Sprintf("ip link add %s type veth peer name %s netns %s", here, there, space))
	t.Cleanup(func() { sh(t, "ip link del "+here) }) // the namespace lives on as long as its sockets do
	sh(t, "ip addr add 198.18.77.1/30 dev "+here)
	sh(t, "ip link set "+here+" up")
	sh(t, fmt.Sprintf("ip -n %s addr add 198.18.77.2/30 dev %s", space, there))
	sh(t, fmt.Sprintf("ip -n %s link set %s up", space, there))

	s := serveOn(t, nil, "--listen=127.0.0.1:0", "--listen=198.18.77.1:0", "--ping", ping.String(), "--ping-grace", grace.String())
	outside := strings.TrimPrefix(servedURL.FindString(s.stderr.wait(t, "198.18.77.1")), "http://")
	c := watch(t, s, patience)
	before := c.calm()
	f := begin(t, strings.Fields("ip netns exec "+space), outside, "hold", clients, "-spread=false")
	time.Sleep(ping + grace + time.Second) // as long as packets pass, nobody is removed
	silent := func() float64 { return c.metrics()[`fanfare_disconnects_total{reason="silent"}`] }
	if got := c.metrics()["fanfare_subscriptions"]; got != clients+1 || silent() != 0 {
		t.Errorf("%v subscriptions, %v found silent", got, silent())
	}
	nft := "ip netns exec " + space + " nft "
	sh(t, nft+"add table inet off")
	sh(t, nft+"add chain inet off in { type filter hook input priority 0; policy drop; }")
	sh(t, nft+"add chain inet off out { type filter hook output priority 0; policy drop; }")
	since := time.Now()
	s.broadcast("nobody acknowledges this")
	eventually(t, "all are found silent", func() bool {
		time.Sleep(20 * time.Millisecond) // asking costs the server something
		return silent() == clients
	})
	t.Logf("removed %v after the packets stopped; ping %v, grace %v", time.Since(since).Round(time.Millisecond), ping, grace)
	if took := time.Since(since); took > ping+grace+5*time.Second {
		t.Errorf("removed after %v", took)
	}
	c.restored(before)
	sh(t, nft+"delete table inet off") // else the clients' sockets would try for minutes to say that they end
	f.kill()
}

func sh(t *testing.T, line string) {
	t.Helper()
	f := strings.Fields(line)
	if out, err := exec.Command(f[0], f[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v %s", line, err, out)
	}
}

// TestFaultLogFull: the log is on a full disk; what would be logged is lost, and nothing else.
func TestFaultLogFull(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = full.Close() }()
	servesUnlogged(t, under(t, "", full))
}

// TestFaultLogGone: nobody reads the pipe with the log any more.
func TestFaultLogGone(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s := under(t, "", w)
	_, _ = r.Close(), w.Close()
	servesUnlogged(t, s)
}

// servesUnlogged has refusals logged, one of each kind and code a second, then ends the server in order.
func servesUnlogged(t *testing.T, s *server) {
	t.Helper()
	c := watch(t, s, patience)
	before := c.calm()
	for range 3 {
		for path, want := range map[string]int{"/none": http.StatusNotFound, "/ws": http.StatusUpgradeRequired, "/livez?": http.StatusOK} {
			if got, body := s.request(http.MethodGet, path, ""); got != want {
				t.Errorf("%s: %d %s", path, got, body)
			}
		}
		if got, body := s.request(http.MethodGet, "/ws?topic=", "", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
			"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="); got != http.StatusBadRequest {
			t.Errorf("%d %s", got, body)
		}
		cl := dial(t, s.ws("topic=a"))
		cl.send("no command")
		if text, _ := cl.next(); !strings.Contains(text, "bad_json") {
			t.Error(text)
		}
		_ = cl.conn.Close()
		time.Sleep(1100 * time.Millisecond) // until the next line may be written
	}
	c.restored(before)
	c.finish()
	s.stop()
}
