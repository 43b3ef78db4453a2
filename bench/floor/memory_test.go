//go:build bench

package floor

import (
	"fmt"
	"os"
	"testing"

	"github.com/gobwas/ws"
)

// A connection costs floor no memory: thousands more, each with a message, touch no page but those of the bits.
func TestBenchMemory(t *testing.T) {
	const few, many, page = 100, 3000, 4096
	s := serve(t, nil)
	first := s.subscribe(t, few)
	s.post(t, "/broadcast", "warm")
	receive(t, first, ws.OpText, "warm")
	before := resident(t, s.cmd.Process.Pid)
	more := s.subscribe(t, many)
	s.post(t, "/broadcast", "all")
	receive(t, append(more, first...), ws.OpText, "all")
	if grown := resident(t, s.cmd.Process.Pid) - before; grown > 16*page {
		t.Errorf("%d connections more took %d bytes", many, grown)
	} else {
		t.Logf("%d connections more took %d bytes", many, grown)
	}
}

// resident is exact, unlike the counters of /proc/PID/status.
func resident(t *testing.T, pid int) int {
	t.Helper()
	file, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		t.Fatal(err)
	}
	var from, to, kb int
	var rest [4]string
	if _, err := fmt.Sscanf(string(file), "%x-%x %s %s %s %s [rollup]\nRss: %d kB", &from, &to,
		&rest[0], &rest[1], &rest[2], &rest[3], &kb); err != nil || kb == 0 {
		t.Fatalf("%v in %s", err, file)
	}
	return kb * 1024
}
