//go:build bench

package floor

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"fanfare/bench/result"
)

// floor's whole CPU for a delivery, everything around the sends included, against a bare loop of sends on the same sockets: the
// check that decides whether a report is valid, with its own bound.
func TestBenchCost(t *testing.T) {
	const subscribers, rounds = 2000, 40
	s := serve(t, nil, "--threads", "1")
	drain(s.subscribe(t, subscribers))
	body := strings.Repeat("x", 128)
	ratio := 0.0
	for range 3 { // a busy machine may spoil one
		before := cpu(t, s.cmd.Process.Pid)
		for i := range rounds {
			s.post(t, "/broadcast", body)
			for health := s.health(t); health["sent"]+health["dropped"] < float64((i+1)*subscribers); health = s.health(t) {
				time.Sleep(time.Millisecond)
			}
		}
		own := float64(cpu(t, s.cmd.Process.Pid)-before) / (rounds * subscribers)
		bare := s.post(t, "/plain?n="+strconv.Itoa(rounds), body)
		ratio = own / bare["ns_per_send"]
		t.Logf("%.0f ns for a delivery, %.0f for a bare send (%v failed): %.2f", own, bare["ns_per_send"], bare["failed"], ratio)
		if (&result.Floor{Ratio: ratio}).Valid() && bare["failed"] == 0 {
			return
		}
		s.stop(t)
		s = serve(t, nil, "--threads", "1")
		drain(s.subscribe(t, subscribers))
	}
	t.Errorf("%.2f times a bare send: the bench would call its reports invalid", ratio)
}

// drain reads all they get, in little memory.
func drain(conns []net.Conn) {
	for _, conn := range conns {
		go func() {
			for buffer := make([]byte, 4096); ; {
				if _, err := conn.Read(buffer); err != nil {
					return
				}
			}
		}()
	}
}

// cpu is the time that a process has had, in nanoseconds.
func cpu(t *testing.T, pid int) int64 {
	t.Helper()
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		t.Fatal(err)
	}
	var sum int64
	for _, thread := range threads {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/schedstat", pid, thread.Name()))
		if err != nil {
			t.Fatal(err)
		}
		ns, err := strconv.ParseInt(strings.Fields(string(line))[0], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += ns
	}
	return sum
}
