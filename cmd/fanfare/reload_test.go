package main

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"fanfare/proto/prototest"
)

// rewrite replaces a settings file and asks for a reload.
func (s *server) rewrite(file, text string) {
	s.t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.signal(syscall.SIGHUP)
}

func TestReloadChangesWhatItCan(t *testing.T) {
	keys := writeFile(t, "keys", "first-key\n")
	file := writeFile(t, "f.yaml", "log-level: warn\nmax-batch: 5\nmax-head: 8KiB\npublish-key-file: "+keys+"\n")
	s := serve(t, "--log-level=info", "--config", file) // a flag that wins stays
	publish := func(key string) int {
		status, _ := s.request(http.MethodPost, "/broadcast?topic=news", "x", "Authorization: Bearer "+key)
		return status
	}
	c := dial(t, s.ws("topic=news"))
	if got := publish("first-key"); got != http.StatusAccepted {
		t.Errorf("first key: %d", got)
	}
	c.next()
	if err := os.WriteFile(keys, []byte("second-key\nthird-key\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.rewrite(file, "log-level: debug\nmax-batch: 6\nmax-head: 16KiB\nper-address: 1\npublish-key-file: "+keys+"\n")
	line := s.stderr.wait(t, "reloaded")
	for _, want := range []string{`changed.per-address="0 -> 1"`, `changed.max-batch="5 -> 6"`, `needs-restart.max-head="8KiB -> 16KiB"`, "changed.publish-keys.before=1 changed.publish-keys.now=2"} {
		if !strings.Contains(line, want) {
			t.Errorf("no %s in %s", want, line)
		}
	}
	if strings.Contains(line, "-key\"") || strings.Contains(line, "second") || strings.Contains(line, "log-level") {
		t.Errorf("too much in %s", line)
	}
	if first, second := publish("first-key"), publish("second-key"); first != http.StatusUnauthorized || second != http.StatusAccepted {
		t.Errorf("first key %d, second key %d", first, second)
	}
	if got, _ := c.next(); got != "x" { // who was there stays
		t.Errorf("got %q", got)
	}
	dial(t, s.ws("topic=news")) // one more for the address, the first one was not counted
	if status, answer := s.upgradeStatus(); status != http.StatusTooManyRequests {
		t.Errorf("over --per-address: %d %s", status, answer)
	}
	if got := s.metric("fanfare_config_last_reload_successful"); got != 1 {
		t.Errorf("fanfare_config_last_reload_successful is %v", got)
	}
	s.signal(syscall.SIGHUP)
	if line := s.stderr.wait(t, "reloaded"); !strings.Contains(line, `changed=nothing needs-restart.max-head="8KiB -> 16KiB"`) { // it still does
		t.Errorf("got %s", line)
	}
	s.rewrite(file, "log-level: debug\nmax-batch: 6\nper-address: 1\nmax-head: 8KiB\npublish-key-file: "+keys+"\n")
	if line := s.stderr.wait(t, "reloaded"); !strings.Contains(line, "changed=nothing") || strings.Contains(line, "needs-restart") {
		t.Errorf("as it began: %s", line)
	}
}

// upgradeStatus is what a socket that is not let in is answered.
func (s *server) upgradeStatus() (status int, answer string) {
	s.t.Helper()
	return s.request(http.MethodGet, "/ws?topic=news", "", "Connection: Upgrade", "Upgrade: websocket",
		"Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
}

func TestReloadChangesTheLogLevel(t *testing.T) {
	file := writeFile(t, "f.yaml", "log-level: info\n")
	s := serve(t, "--config", file)
	s.rewrite(file, "log-level: error\n")
	s.stderr.wait(t, "info -> error")
	s.signal(syscall.SIGHUP) // which changes nothing, and no line of info is let through
	s.rewrite(file, "log-level: info\n")
	if line := s.stderr.next(t); !strings.Contains(line, "error -> info") {
		t.Errorf("got %s", line)
	}
}

func TestBadReloadChangesNothing(t *testing.T) {
	keys := writeFile(t, "keys", "first-key\n")
	good := "publish-key-file: " + keys + "\nper-address: 0\n"
	file := writeFile(t, "f.yaml", good)
	s := serve(t, "--config", file)
	c := dial(t, s.ws("topic=news"))
	for _, bad := range []string{"per-address: 1\nnonsense: 1\n", "per-address: 1\npublish-key-file: /does/not/exist\n", "per-address: [\n", "origin: nowhere\n"} {
		s.rewrite(file, bad)
		if line := s.stderr.wait(t, "reload refused"); !strings.Contains(line, "f.yaml") && !strings.Contains(line, "/does/not/exist") {
			t.Errorf("%q: %s", bad, line)
		}
		if got := s.metric("fanfare_config_last_reload_successful"); got != 0 {
			t.Errorf("%q: fanfare_config_last_reload_successful is %v", bad, got)
		}
		if status, _ := s.request(http.MethodPost, "/broadcast?topic=news", "x", "Authorization: Bearer first-key"); status != http.StatusAccepted {
			t.Errorf("%q: %d", bad, status)
		}
		c.next()
	}
	dial(t, s.ws("topic=news"))
	dial(t, s.ws("topic=news"))
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	s.signal(syscall.SIGHUP)
	s.stderr.wait(t, "reload refused")
	s.rewrite(file, good)
	s.stderr.wait(t, "reloaded")
	if got := s.metric("fanfare_config_last_reload_successful"); got != 1 {
		t.Errorf("after a good one fanfare_config_last_reload_successful is %v", got)
	}
	s.stop()
}

func TestReadmeNamesWhatNeedsARestart(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, list, ok := strings.Cut(string(readme), "waits for a restart: ")
	list, _, end := strings.Cut(list, ".\n")
	if !ok || !end {
		t.Fatal("the README has no list of what waits for a restart")
	}
	for _, flag := range serveFlags(t) {
		named := strings.Contains(list, "`"+flag.Name+"`")
		if named == isLive(flag) {
			t.Errorf("%s: said to need a restart: %v; changed by a reload: %v", flag.Name, named, isLive(flag))
		}
	}
}

// TestReloadWithoutAFile: HUP does not end a server that has nothing to read.
func TestReloadWithoutAFile(t *testing.T) {
	s := serve(t)
	s.signal(syscall.SIGHUP)
	s.stderr.wait(t, "reloaded")
	s.stop()
}

// closeFrame reads the server's close frame.
func (c *client) closeFrame() (code ws.StatusCode, reason string) {
	c.t.Helper()
	head, err := ws.ReadHeader(c.rw)
	if err != nil || head.OpCode != ws.OpClose || head.Length > ws.MaxControlFramePayloadSize {
		c.t.Fatalf("got %+v, %v", head, err)
	}
	body := make([]byte, head.Length)
	if _, err := io.ReadFull(c.rw, body); err != nil {
		c.t.Fatal(err)
	}
	return ws.ParseCloseFrameData(body)
}

func TestDrain(t *testing.T) {
	s := serve(t, "--drain-wait=1s", "--drain-window=1s")
	clients := make([]*client, 20)
	for i := range clients {
		clients[i] = dial(t, s.ws("topic=news"))
	}
	start := time.Now()
	s.signal(syscall.SIGTERM)
	eventually(t, "readiness is off", func() bool {
		status, _ := s.request(http.MethodGet, "/readyz", "")
		return status == http.StatusServiceUnavailable
	})
	if status, _ := s.request(http.MethodPost, "/broadcast?topic=news", "last"); status != http.StatusAccepted {
		t.Errorf("while it waits: %d", status)
	}
	var first, last time.Duration
	for _, c := range clients {
		if got, _ := c.next(); got != "last" {
			t.Errorf("got %q", got)
		}
	}
	for _, c := range clients {
		if code, reason := c.closeFrame(); code != 1012 || reason == "" {
			t.Fatalf("close frame with %d %q", code, reason)
		}
		last = time.Since(start)
		if first == 0 {
			first = last
		}
		_ = c.conn.Close()
	}
	if first < time.Second {
		t.Errorf("the first close came after %v", first)
	}
	if code := s.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if line := s.stderr.wait(t, "drained"); !strings.Contains(line, "cut_off=0") {
		t.Error(line)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("it took %v, the last close came after %v", took, last)
	}
}

// TestDrainHasADeadline: a client that does not answer the close frame delays it no longer than it may.
func TestDrainHasADeadline(t *testing.T) {
	s := serve(t, "--drain-window=0s", "--drain-timeout=1s", "--close-timeout=10m")
	dial(t, s.ws("topic=news"))
	start := time.Now()
	s.signal(syscall.SIGTERM)
	if code := s.exit(); code != 0 || time.Since(start) > 5*time.Second {
		t.Errorf("exit code %d after %v", code, time.Since(start))
	}
	if line := s.stderr.wait(t, "drained"); !strings.Contains(line, "cut_off=1") {
		t.Error(line)
	}
}

func TestSecondSignalEndsADrain(t *testing.T) {
	s := serve(t, "--drain-wait=10m")
	c := dial(t, s.ws("topic=news"))
	s.signal(syscall.SIGTERM)
	s.stderr.wait(t, "stopping")
	s.signal(syscall.SIGTERM)
	s.exit()
	if _, err := io.ReadAll(c.conn); err != nil && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	if state, ok := s.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || state.Signal() != syscall.SIGTERM {
		t.Errorf("it ended by %v", s.cmd.ProcessState)
	}
}

func TestInterruptDoesNotWait(t *testing.T) {
	s := serve(t, "--drain-wait=10m")
	start := time.Now()
	s.signal(os.Interrupt)
	if code := s.exit(); code != 0 || time.Since(start) > 5*time.Second {
		t.Errorf("exit code %d after %v", code, time.Since(start))
	}
}

func TestAdminListen(t *testing.T) {
	s := serve(t, "--admin-listen=127.0.0.1:0")
	line := s.stderr.wait(t, "msg=admin")
	_, address, _ := strings.Cut(line, "address=")
	for _, path := range []string{"/livez", "/readyz", "/metrics", "/stats", "/debug/pprof/"} {
		if status, _ := request(t, oneShot(nil), http.MethodGet, "http://"+address+path, ""); status != http.StatusOK {
			t.Errorf("admin %s: %d", path, status)
		}
		if status, _ := s.request(http.MethodGet, path, ""); status != http.StatusNotFound {
			t.Errorf("%s where clients come: %d", path, status)
		}
	}
	if _, stderr, code := finish(t, "", nil, "serve", "--listen=127.0.0.1:0", "--admin-listen="+address); code == 0 || !strings.Contains(stderr, address) {
		t.Errorf("an address that is taken: exit code %d, %s", code, stderr)
	}
}

func TestAdmissionSettingsHold(t *testing.T) {
	s := serve(t, "--origin=https://good.example")
	if status, _ := s.request(http.MethodGet, "/ws?topic=news", "", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Origin: https://evil.example"); status != http.StatusForbidden {
		t.Errorf("foreign origin: %d", status)
	}
	s = serve(t, "--max-connections=2")
	dial(t, s.ws("topic=news"))
	dial(t, s.ws("topic=news"))
	// The refusal may come before the request is written, which net/http's client takes for an error.
	if c, refused, err := prototest.Open(s.address(), "/ws?topic=news", ""); c != nil || err != nil || refused.Status != http.StatusServiceUnavailable {
		t.Errorf("over --max-connections: %+v, %v", refused, err)
	}
}

// TestReloadChangesLimits: sockets that are open already have the new limits, of the dialect and of the loops.
func TestReloadChangesLimits(t *testing.T) {
	file := writeFile(t, "f.yaml", "max-subscriptions: 1\nmax-message: 125\ncommand-rate: 1000\nmax-payload: 1KiB\n")
	s := serve(t, "--config", file)
	c := dial(t, s.ws("topic=a"))
	ask := func(command, want string) {
		t.Helper()
		c.send(command)
		if got, _ := c.next(); !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", command, got, want)
		}
	}
	ask(`{"subscribe":["b"]}`, `"too_many_subscriptions"`)
	s.rewrite(file, "max-subscriptions: 2\nmax-message: 1KiB\ncommand-rate: 1\nmax-payload: 10\n")
	s.stderr.wait(t, "reloaded")
	ask(`{"subscribe":["b"]}`+strings.Repeat(" ", 200), `"subscribed"`) // longer than was allowed
	answer := ""
	for tries := 0; !strings.Contains(answer, `"rate_limited"`); tries++ { // the second one, unless a second has passed
		if tries == 100 {
			t.Fatalf("not limited: %s", answer)
		}
		c.send(`{"subscribe":["b"]}`)
		answer, _ = c.next()
	}
	if status, answer := s.request(http.MethodPost, "/broadcast?topic=a", "more than ten"); status != http.StatusRequestEntityTooLarge {
		t.Errorf("%d %s", status, answer)
	}
}
