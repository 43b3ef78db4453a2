//go:build faults

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// jumper is the file of the package that moves the clock which time.Now reads by an hour: at SIGUSR1 forward, at SIGUSR2 back.
const jumper = `package main

import (
	"os"
	"os/signal"
	"syscall"
	"time"
)

func init() {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGUSR1, syscall.SIGUSR2)
	go func() {
		for s := range signals {
			if s == syscall.SIGUSR1 {
				time.Jumped.Add(3600)
			} else {
				time.Jumped.Add(-3600)
			}
		}
	}()
}
`

// buildJumping builds fanfare with a clock that can jump. Neither a library that is loaded first nor a time namespace moves the clock of
// a static binary, and the machine's own clock is not ours; so the standard library that is built in is a changed one.
func buildJumping(t *testing.T) (path string) {
	t.Helper()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	original := filepath.Join(strings.TrimSpace(string(root)), "src", "time", "time.go")
	text, err := os.ReadFile(original)
	if err != nil {
		t.Fatal(err)
	}
	changed := string(text) + "\n// Jumped is what Now adds, in seconds.\nvar Jumped atomic.Int64\n"
	for place, added := range map[string]string{
		"import (\n": "\t\"sync/atomic\"\n",
		"func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n": "\tsec += Jumped.Load()\n",
	} {
		if strings.Count(changed, place) != 1 {
			t.Fatalf("%s has changed, it does not have this once: %q", original, place)
		}
		changed = strings.Replace(changed, place, place+added, 1)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {
		original:                       writeFile(t, "time.go", changed),
		filepath.Join(here, "jump.go"): writeFile(t, "jump.go", jumper), // which is only in the overlay
	}})
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "fanfare")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-overlay", writeFile(t, "overlay.json", string(overlay)), "-o", path, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// TestFaultClock: the clock jumps an hour forward, two back and one forward, which is longer than any deadline. Nobody is disconnected, pings
// go on, and a request head that does not come is given up at its time, no matter on which side of the jump it began.
func TestFaultClock(t *testing.T) {
	const clients, deadline = 50, 4 * time.Second
	p := startOf(t, buildJumping(t), nil, "serve", "--listen=127.0.0.1:0", "--ping=2s", "--ping-grace=2s", "--backlog-age=2s",
		"--handshake-timeout", deadline.String())
	s := &server{p, servedURL.FindString(p.stderr.wait(t, "serving"))}
	s.timersAreMonotonic()
	c := watch(t, s, patience)
	pings := countPings(t, s)
	before := c.calm()
	w := connect(t, s, clients)
	clock := time.Duration(0) // where that of the server stands
	for round, jumps := range [][]time.Duration{{time.Hour}, {-time.Hour, -time.Hour}, {time.Hour}} {
		pinged := pings.Load()
		early := s.halfHead()
		for _, by := range jumps {
			clock += by
			s.signal(map[bool]os.Signal{true: syscall.SIGUSR1, false: syscall.SIGUSR2}[by > 0])
			eventually(t, "the log's time has jumped", func() bool { return (s.clock() - clock).Abs() < time.Minute })
		}
		late := s.halfHead()
		s.broadcast("x")
		eventually(t, "everybody is served", func() bool { return w.allHave(clients, 2*round+1) })
		c.ready(deadline + time.Second) // a round of pings and grace, and the deadline of the heads
		for name, head := range map[string]<-chan ended{"before": early, "after": late} {
			h := <-head
			t.Logf("clock at %v: head from %s the jump closed after %v: %q", clock, name, h.after.Round(time.Millisecond), h.answer)
			if h.after < deadline-time.Second || h.after > deadline+2*time.Second || !strings.HasPrefix(h.answer, "HTTP/1.1 408 ") {
				t.Errorf("clock at %v: head from %s the jump closed after %v: %q", clock, name, h.after, h.answer)
			}
		}
		if n := pings.Load() - pinged; n < 2 {
			t.Errorf("clock at %v: %d pings in %v", clock, n, deadline+time.Second)
		}
		s.broadcast("y")
		eventually(t, "everybody is still served", func() bool { return w.allHave(clients, 2*round+2) })
	}
	if n := c.dropped()["server"]; n != 2*3 {
		t.Errorf("%v connections ended by the server, not only the 6 heads", n)
	}
	c.noneDropped("server")
	w.kill()
	c.restored(before)
	c.finish()
	s.stop()
}

// timersAreMonotonic: those of the kernel, which no changed library reaches, do not follow the clock that may jump.
func (s *server) timersAreMonotonic() {
	s.t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/fdinfo/*", s.cmd.Process.Pid))
	if err != nil {
		s.t.Fatal(err)
	}
	timers := 0
	for _, file := range files {
		text, _ := os.ReadFile(file) // some are gone by now
		if _, id, ok := strings.Cut(string(text), "clockid: "); ok {
			timers++
			if !strings.HasPrefix(id, "1\n") { // CLOCK_MONOTONIC
				s.t.Errorf("%s: %s", file, text)
			}
		}
	}
	if timers == 0 {
		s.t.Error("no timer found")
	}
}

var stamp = regexp.MustCompile(`time=(\S+)`)

// clock is by how much the time in the server's log is ahead of ours.
func (s *server) clock() time.Duration {
	s.t.Helper()
	s.signal(syscall.SIGHUP) // which always writes a line
	line := s.stderr.wait(s.t, "reloaded")
	at, err := time.Parse(time.RFC3339, stamp.FindStringSubmatch(line)[1])
	if err != nil {
		s.t.Fatal(line, err)
	}
	return time.Until(at)
}

// ended is how the server ended a connection, and when.
type ended struct {
	answer string // its first line
	after  time.Duration
}

// halfHead sends half of a request head, and waits elsewhere for what becomes of it.
func (s *server) halfHead() <-chan ended {
	s.t.Helper()
	start, result := time.Now(), make(chan ended, 1)
	conn, err := net.Dial("tcp", s.address())
	if err != nil {
		s.t.Fatal(err)
	}
	_ = conn.SetDeadline(start.Add(patience))
	_, _ = io.WriteString(conn, "GET /ws?topic=a HTTP/1.1\r\nHost: x\r\n")
	go func() {
		all, _ := io.ReadAll(conn)
		_ = conn.Close()
		line, _, _ := strings.Cut(string(all), "\r\n")
		result <- ended{line, time.Since(start)}
	}()
	return result
}

// countPings answers and counts the pings of a subscriber until the test ends.
func countPings(t *testing.T, s *server) *atomic.Int64 {
	t.Helper()
	count, sub := new(atomic.Int64), dial(t, s.ws("topic=pings"))
	_ = sub.conn.SetDeadline(time.Time{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			head, err := ws.ReadHeader(sub.rw)
			if err != nil || head.Length > ws.MaxControlFramePayloadSize { // nobody publishes to it
				return
			}
			payload := make([]byte, head.Length)
			if _, err := io.ReadFull(sub.rw, payload); err != nil {
				return
			}
			if head.OpCode == ws.OpPing {
				count.Add(1)
				_ = ws.WriteFrame(sub.conn, ws.MaskFrame(ws.NewPongFrame(payload)))
			}
		}
	}()
	t.Cleanup(func() {
		_ = sub.conn.Close()
		<-done
	})
	return count
}
