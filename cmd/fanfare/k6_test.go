//go:build k6

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// k6Scripts are the scripts of bench/k6 that can be run.
func k6Scripts() []string { return []string{"subscribe_publish.js", "churn.js"} }

// broken is the exit code of k6 when a threshold was crossed.
const broken = 99

// k6Summary is what k6 writes at its end, by metric: numbers, and for each threshold whether it was crossed.
type k6Summary struct {
	Metrics map[string]struct {
		Count      float64
		Thresholds map[string]bool
	}
}

// crossed are the metrics of which a threshold was.
func (s *k6Summary) crossed() []string {
	var names []string
	for name, m := range s.Metrics {
		for _, crossed := range m.Thresholds {
			if crossed && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}

// k6 runs a script against the URL, with few VUs and not for long, and gives its exit code, summary and output.
func k6(t *testing.T, script, url string, env ...string) (code int, summary k6Summary, output string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	file := filepath.Join(t.TempDir(), "summary.json")
	cmd := exec.CommandContext(ctx, k6Binary(t), "run", "--quiet", "--address=", "--summary-export="+file, filepath.Join("..", "..", "bench", "k6", script))
	cmd.Env = append(os.Environ(), "K6_NO_USAGE_REPORT=true", "K6_AUTO_EXTENSION_RESOLUTION=false", "FANFARE_URL="+url, "VUS=20", "DURATION=5s", "P95=2000", "P99=5000")
	cmd.Env = append(cmd.Env, env...)
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(file); err == nil {
		if err := json.Unmarshal(text, &summary); err != nil {
			t.Fatal(err)
		}
	}
	return cmd.ProcessState.ExitCode(), summary, string(out)
}

// k6Binary finds k6 in the path or where go install puts it.
func k6Binary(t *testing.T) string {
	t.Helper()
	if path, err := exec.LookPath("k6"); err == nil {
		return path
	}
	gopath, err := exec.CommandContext(t.Context(), "go", "env", "GOPATH").Output()
	if err != nil {
		t.Fatal(err)
	}
	path, err := exec.LookPath(filepath.Join(strings.TrimSpace(string(gopath)), "bin", "k6"))
	if err != nil {
		t.Fatal("k6 is not here: go install go.k6.io/k6@v1.8.1")
	}
	return path
}

func TestK6Passes(t *testing.T) {
	for _, script := range k6Scripts() {
		t.Run(script, func(t *testing.T) {
			s := serve(t)
			code, summary, output := k6(t, script, s.url)
			if code != 0 {
				t.Fatalf("exit code %d\n%s", code, output)
			}
			for _, counter := range []string{"iterations", "messages_received", "ws_sessions"} {
				if summary.Metrics[counter].Count < 20 {
					t.Errorf("%s: %v", counter, summary.Metrics[counter].Count)
				}
			}
			for _, metric := range []string{"checks", "http_req_failed", "messages_received"} {
				if len(summary.Metrics[metric].Thresholds) == 0 {
					t.Errorf("%s has no threshold", metric)
				}
			}
			eventually(t, "nobody is left", func() bool { return s.metric("fanfare_subscriptions") == 0 })
		})
	}
}

// TestK6UsesTheKey runs against a server that lets nobody publish without its key.
func TestK6UsesTheKey(t *testing.T) {
	s := serveOn(t, []string{"FANFARE_PUBLISH_KEY=secret"}, "--listen=127.0.0.1:0")
	if code, _, output := k6(t, "churn.js", s.url, "FANFARE_PUBLISH_KEY=secret", "VUS=2", "DURATION=1s"); code != 0 {
		t.Errorf("exit code %d\n%s", code, output)
	}
	if code, summary, output := k6(t, "churn.js", s.url, "VUS=1", "DURATION=1s"); code != broken || !slices.Contains(summary.crossed(), "http_req_failed") {
		t.Errorf("exit code %d without the key\n%s", code, output)
	}
}

func TestK6FailsWithoutServer(t *testing.T) {
	for _, script := range k6Scripts() {
		code, _, output := k6(t, script, "http://"+closedAddress(t))
		if code == 0 || !strings.Contains(output, "no server is ready at") {
			t.Errorf("%s: exit code %d\n%s", script, code, output)
		}
	}
}

func TestK6FailsWhenTooSlow(t *testing.T) {
	s := serve(t)
	for script, metric := range map[string]string{"subscribe_publish.js": "delivery_time", "churn.js": "subscribe_time"} {
		code, summary, output := k6(t, script, s.url, "P95=0.0001", "DURATION=1s")
		if code != broken || !slices.Equal(summary.crossed(), []string{metric}) {
			t.Errorf("%s: exit code %d, %v\n%s", script, code, summary.crossed(), output)
		}
	}
}

// TestK6FailsWhenDeliveryIsWrong runs against servers that lose, repeat or swap messages.
func TestK6FailsWhenDeliveryIsWrong(t *testing.T) {
	for fault, crossed := range map[string][]string{
		"":       nil,
		"lose":   {"checks", "messages_missing"},
		"repeat": {"checks", "messages_out_of_order"},
		"swap":   {"checks", "messages_out_of_order"},
	} {
		t.Run("fault "+fault, func(t *testing.T) {
			server := httptest.NewServer(&spoiler{fault: fault})
			t.Cleanup(server.Close)
			code, summary, output := k6(t, "subscribe_publish.js", server.URL, "VUS=3", "DURATION=1s")
			if (code == broken) != (crossed != nil) || !slices.Equal(summary.crossed(), crossed) {
				t.Errorf("exit code %d, %v\n%s", code, summary.crossed(), output)
			}
		})
	}
}

// spoiler is a broadcast server of one topic that does something wrong to one message.
type spoiler struct {
	fault string

	mu    sync.Mutex
	conns []net.Conn
	held  []byte
}

// ServeHTTP serves the three routes that the script uses.
func (f *spoiler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch r.URL.Path {
	case "/ws":
		conn, _, _, err := ws.UpgradeHTTP(r, w)
		if err != nil {
			return
		}
		f.conns = append(f.conns, conn)
		go drain(conn)
	case "/broadcast":
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		for _, message := range f.spoil(body) {
			for _, conn := range f.conns {
				_ = wsutil.WriteServerText(conn, message)
			}
		}
		w.WriteHeader(http.StatusAccepted)
		_, _ = fmt.Fprintf(w, `{"topic":"t","receivers":%d}`, len(f.conns))
	}
}

// spoil gives what is sent for one message.
func (f *spoiler) spoil(message []byte) [][]byte {
	held := f.held
	f.held = nil
	switch {
	case held != nil:
		return [][]byte{message, held}
	case !bytes.Contains(message, []byte(`"n":3,`)), f.fault == "":
		return [][]byte{message}
	case f.fault == "swap":
		f.held = message
		return nil
	case f.fault == "repeat":
		return [][]byte{message, message}
	}
	return nil
}

// drain answers the close of the other side.
func drain(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	for {
		if _, _, err := wsutil.ReadClientData(conn); err != nil {
			return
		}
	}
}

// closedAddress is one that nobody serves.
func closedAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}
