//go:build autobahn

package loop

import (
	"encoding/json" //nolint:depguard // the runner's report, not a payload
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"fanfare/loop/ws"
)

// TestAutobahn runs the Autobahn suite's sections 1-7 and 10 against the echo handler, on the production reader and writer.
// KOSOKU names the runner, a Python package of that name. Cases 9, 12 and 13 are left out: 9 and 12 measure throughput for
// hours, 12 and 13 are about compression, which is not negotiated.
func TestAutobahn(t *testing.T) {
	runner := os.Getenv("KOSOKU")
	if runner == "" {
		runner = "kosoku"
	}
	_, addr := serve(t, Config{Handler: echo{}, Limits: Limits{Message: ws.Limits{Message: 1 << 20, Frames: 1 << 20}, Backlog: 64 << 20}})
	dir := t.TempDir()
	args := autobahnArgs(addr.String(), dir)
	out, err := exec.CommandContext(t.Context(), runner, args...).CombinedOutput()
	t.Logf("%s %v: %v\n%s", runner, args, err, tail(out, 2000))
	checkAutobahn(t, dir)
}

func tail(b []byte, n int) []byte { return b[max(0, len(b)-n):] }

// checkAutobahn reads every case's verdict: the count is exact, so that a runner that ran nothing fails the test.
func checkAutobahn(t *testing.T, dir string) {
	t.Helper()
	var index map[string]map[string]struct{ Behavior, BehaviorClose string }
	files, _ := filepath.Glob(filepath.Join(dir, "index.json"))
	if len(files) != 1 {
		t.Fatalf("no index.json in the report folder: %v", files)
	}
	raw, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &index); err != nil {
		t.Fatal(err)
	}
	informational := map[string]bool{"7.1.6": true, "7.13.1": true, "7.13.2": true}
	cases, ok, info := 0, 0, 0
	for _, agent := range index {
		for id, c := range agent {
			cases++
			switch {
			case c.Behavior == "OK" && (c.BehaviorClose == "OK" || c.BehaviorClose == "INFORMATIONAL"):
				ok++
			case c.Behavior == "INFORMATIONAL" && informational[id]:
				info++
			default:
				t.Errorf("case %s: %s, close %s", id, c.Behavior, c.BehaviorClose)
			}
		}
	}
	t.Logf("%d cases: %d OK, %d informational", cases, ok, info)
	if cases != 247 {
		t.Errorf("%d cases ran, want 247", cases)
	}
}

// autobahnArgs selects the sections. Two cases run at a time: the suite's own deadlines are tight on a small machine.
func autobahnArgs(addr, dir string) []string {
	args := []string{"-m", "fuzzingclient", "-p", "2", "-o", dir}
	for _, section := range []string{"1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*"} {
		args = append(args, "-i", section)
	}
	return append(args, addr)
}
