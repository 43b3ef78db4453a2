package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"fanfare/loop"
)

// manager is the end of NOTIFY_SOCKET that systemd would have.
type manager struct {
	t    *testing.T
	conn *net.UnixConn
	env  []string
}

func newManager(t *testing.T) *manager {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &manager{t, conn, []string{"NOTIFY_SOCKET=" + path}}
}

// next gives the next message.
func (m *manager) next() string {
	m.t.Helper()
	_ = m.conn.SetReadDeadline(time.Now().Add(patience))
	b := make([]byte, 4096)
	n, err := m.conn.Read(b)
	if err != nil {
		m.t.Fatal(err)
	}
	return string(b[:n])
}

// wait gives the next message that holds part.
func (m *manager) wait(part string) string {
	m.t.Helper()
	for {
		if s := m.next(); strings.Contains(s, part) {
			return s
		}
	}
}

func TestSystemdIsTold(t *testing.T) {
	m := newManager(t)
	s := serveOn(t, m.env, "--listen=127.0.0.1:0")
	if got := m.next(); !strings.HasPrefix(got, "READY=1\n") {
		t.Errorf("first message %q", got)
	}
	if status, _ := s.request("GET", "/livez", ""); status != 200 {
		t.Errorf("ready, but /livez is %d", status)
	}
	s.signal(syscall.SIGHUP)
	if got := m.wait("RELOADING=1"); !regexp.MustCompile(`\nMONOTONIC_USEC=\d+$`).MatchString(got) {
		t.Errorf("reload: %q", got)
	}
	m.wait("READY=1")
	s.signal(syscall.SIGTERM)
	if got := m.wait("STOPPING=1"); !strings.Contains(got, "\nEXTEND_TIMEOUT_USEC=50000000") { // the drain's 10 s and 30 s, and 10 s
		t.Errorf("stop: %q", got)
	}
	if code := s.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestWatchdogAndLiveNumbers(t *testing.T) {
	m := newManager(t)
	s := serveOn(t, append(m.env, "WATCHDOG_USEC=400000"), "--listen=127.0.0.1:0")
	dial(t, s.ws("topic=news"))
	dial(t, s.ws("topic=news"))
	for range 3 {
		m.wait("WATCHDOG=1")
	}
	m.wait("STATUS=2 connections, ")
	for range 100 {
		s.request("POST", "/broadcast?topic=news", "x")
	}
	for {
		if got := m.wait("deliveries/s"); !strings.HasSuffix(got, " 0 deliveries/s") {
			break
		}
	}
	s.signal(syscall.SIGSTOP)
	for { // what was sent before
		_ = m.conn.SetReadDeadline(time.Now().Add(600 * time.Millisecond))
		if _, err := m.conn.Read(make([]byte, 4096)); err != nil {
			break
		}
	}
	s.signal(syscall.SIGCONT)
	m.wait("WATCHDOG=1")
	s.stop()
}

// status gives the text of the next message that has one.
func (m *manager) status() string {
	m.t.Helper()
	_, text, _ := strings.Cut(m.wait("STATUS="), "STATUS=")
	text, _, _ = strings.Cut(text, "\n")
	return text
}

// TestRefusedReloadIsInTheStatus: systemctl reload sees a server that goes on, so the status says that nothing has changed, until a
// reload is taken.
func TestRefusedReloadIsInTheStatus(t *testing.T) {
	m := newManager(t)
	file := writeFile(t, "f.yaml", "max-batch: 5\n")
	s := serveOn(t, append(m.env, "WATCHDOG_USEC=400000"), "--listen=127.0.0.1:0", "--config="+file)
	m.wait("READY=1")
	for text, want := range map[string]string{
		"max-batch: 5\npublish-key: s3cret\n": file + ":2:1: unknown setting",
		"max-batch: [s3cret\n":                file + ":1:",
		"max-batch: many\n":                   file + ":1:12: max-batch: ",
		"publish-key-file: /does/not/exist\n": "/does/not/exist",
	} {
		s.rewrite(file, text)
		m.wait("RELOADING=1")
		if got := m.wait("READY=1"); !strings.Contains(got, "\nSTATUS=0 connections, ") {
			t.Errorf("%q: %q", text, got)
		}
		for range 2 { // it stays
			got := m.status()
			_, why, _ := strings.Cut(got, "; last reload refused: ")
			if !strings.Contains(why, want) || strings.Contains(got, "s3cret") {
				t.Errorf("%q: %q", text, got)
			}
		}
	}
	s.rewrite(file, "max-batch: 6\n")
	m.wait("RELOADING=1")
	if got := m.wait("READY=1"); strings.Contains(got, "refused") {
		t.Errorf("after a good one: %q", got)
	}
	if got := m.status(); strings.Contains(got, "refused") {
		t.Errorf("after a good one: %q", got)
	}
	s.stop()
}

// TestDrainStaysInTheStatus: the live numbers do not take its place.
func TestDrainStaysInTheStatus(t *testing.T) {
	m := newManager(t)
	s := serveOn(t, append(m.env, "WATCHDOG_USEC=400000"), "--listen=127.0.0.1:0", "--drain-wait=10m")
	dial(t, s.ws("topic=news"))
	gone := dial(t, s.ws("topic=news"))
	m.wait("STATUS=2 connections, ")
	s.signal(syscall.SIGTERM)
	if got := m.wait("STOPPING=1"); !strings.Contains(got, "\nSTATUS=draining: 2 connections left") {
		t.Errorf("got %q", got)
	}
	_ = gone.conn.Close()
	for got := ""; got != "draining: 1 connections left"; {
		if got = m.status(); !strings.HasPrefix(got, "draining: ") {
			t.Fatalf("got %q", got)
		}
	}
	s.signal(syscall.SIGTERM)
	s.exit()
}

func TestShortErrors(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"a\nb", "a"},
		{strings.Repeat("é", 150), strings.Repeat("é", 100) + "…"},
		{"x" + strings.Repeat("é", 150), "x" + strings.Repeat("é", 99) + "…"},
	} {
		if got := short(errors.New(c.text)); got != c.want {
			t.Errorf("%q", got)
		}
	}
	if got := short(nil); got != "" {
		t.Errorf("nothing is %q", got)
	}
}

func TestNobodyIsToldWithoutASocket(t *testing.T) {
	s := serveOn(t, []string{"NOTIFY_SOCKET=" + filepath.Join(t.TempDir(), "nobody"), "WATCHDOG_USEC=x"}, "--listen=127.0.0.1:0")
	s.stop()
}

func TestStalledNamesTheLoop(t *testing.T) {
	now := time.Now()
	loops := []loop.LoopStats{{ID: 0, Ticked: now}, {ID: 1, Ticked: now.Add(-lastTick)}, {ID: 2, Ticked: now.Add(-time.Hour)}}
	if err := stalled(loops[:2], now); err != nil {
		t.Error(err)
	}
	if err := stalled(loops, now); err == nil || !strings.Contains(err.Error(), "loop 2") {
		t.Errorf("got %v", err)
	}
}

// TestWatchdogIsNotAnsweredForAStalledLoop: systemd hears nothing of the watchdog until the loop ticks again.
func TestWatchdogIsNotAnsweredForAStalledLoop(t *testing.T) {
	m := newManager(t)
	t.Setenv("NOTIFY_SOCKET", strings.TrimPrefix(m.env[0], "NOTIFY_SOCKET="))
	var log strings.Builder
	looks := 0
	s := &service{log: slog.New(slog.NewTextHandler(&log, nil)), read: func() numbers { return numbers{} }, stalled: func() error {
		if looks++; looks <= 3 {
			return errors.New("loop 1 has not ticked")
		}
		return nil
	}}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.watch(ctx, 40*time.Millisecond)
	}()
	m.wait("WATCHDOG=1")
	stop()
	<-done
	if looks < 4 || strings.Count(log.String(), "loop 1 has not ticked") != 3 {
		t.Errorf("answered after %d looks: %s", looks, log.String())
	}
}
