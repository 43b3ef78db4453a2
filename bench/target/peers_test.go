//go:build bench

package target

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

const patience = 20 * time.Second

// Every peer that is here delivers to ten subscribers, by its templates: one message, then some back to back. Those that are not here are named; with
// FANFARE_PEERS=all the ones that every machine can have are wanted.
func TestBenchPeers(t *testing.T) {
	dir, err := filepath.Abs("../../bin/peers")
	if err != nil {
		t.Fatal(err)
	}
	wanted := map[string]bool{"floor": true, "gws": true, "gorilla": true, "nbio": true}
	for _, peer := range append(Peers(dir), Floor(filepath.Join(dir, "floor"), 0), Floor(filepath.Join(dir, "floor"), 1)) {
		if peer.Missing == "" {
			t.Run(peer.Name, func(t *testing.T) { delivers(t, peer) })
			continue
		}
		fmt.Printf("NOT TRIED: %s: %s\n", peer.Name, peer.Missing)
		if os.Getenv("FANFARE_PEERS") == "all" && wanted[peer.Name] {
			t.Errorf("%s is wanted: %s", peer.Name, peer.Missing)
		}
	}
}

func delivers(t *testing.T, peer Target) {
	t.Helper()
	port, err := FreePort()
	if err != nil {
		t.Fatal(err)
	}
	values := []string{"port", strconv.Itoa(port), "topic", "news", "dir", t.TempDir(), "threads", "2"}
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	run(t, peer, values)
	ready(t, "http://"+addr+Fill(peer.Ready, values...))
	conns := make([]net.Conn, 10)
	for i := range conns {
		conns[i] = subscriber(t, peer, addr, values)
	}
	// A server that confirms nothing may take a moment until a subscriber counts.
	time.Sleep(200 * time.Millisecond)
	for _, messages := range []int{1, 32} {
		for i := range messages {
			publish(t, peer, addr, values, fmt.Sprintf("message %d of %d", i, messages))
		}
		for _, conn := range conns {
			for i := range messages {
				expect(t, conn, fmt.Sprintf("message %d of %d", i, messages))
			}
		}
	}
}

// run starts the peer and ends it with the test.
func run(t *testing.T, peer Target, values []string) {
	t.Helper()
	for path, content := range peer.Files {
		if err := os.WriteFile(Fill(path, values...), []byte(Fill(content, values...)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	words := make([]string, 0, len(peer.Start))
	for _, word := range peer.Start {
		words = append(words, Fill(word, values...))
	}
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Dir = Fill("{dir}", values...) // for what it leaves
	cmd.Env = os.Environ()
	for _, variable := range peer.Env {
		cmd.Env = append(cmd.Env, Fill(variable, values...))
	}
	log, err := os.Create(filepath.Join(cmd.Dir, "output"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		kill := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		kill.Stop()
		_ = log.Close()
		if said, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("%s said: %.4000s", peer.Name, said)
		}
	})
}

func ready(t *testing.T, url string) {
	t.Helper()
	var last error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		response, err := http.Get(url)
		if last = err; err != nil {
			continue
		}
		_ = response.Body.Close()
		if response.StatusCode/100 == 2 {
			return
		}
	}
	t.Fatalf("%s is not ready: %v", url, last)
}

func subscriber(t *testing.T, peer Target, addr string, values []string) net.Conn {
	t.Helper()
	dialer := ws.Dialer{Timeout: patience}
	if peer.Protocol != "" {
		dialer.Protocols = []string{peer.Protocol}
	}
	conn, early, _, err := dialer.Dial(context.Background(), "ws://"+addr+Fill(peer.Path, values...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if early != nil { // a greeting that came with the handshake
		conn = &buffered{Conn: conn, reader: io.MultiReader(early, conn)}
	}
	if peer.Greeting != "" {
		expect(t, conn, peer.Greeting)
	}
	if peer.Subscribe != "" {
		if err := wsutil.WriteClientText(conn, []byte(Fill(peer.Subscribe, values...))); err != nil {
			t.Fatal(err)
		}
	}
	if peer.Subscribed != "" {
		expect(t, conn, peer.Subscribed)
	}
	return conn
}

type buffered struct {
	net.Conn
	reader io.Reader
}

func (b *buffered) Read(p []byte) (int, error) { return b.reader.Read(p) }

// expect reads text messages until one has the part.
func expect(t *testing.T, conn net.Conn, part string) {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	for {
		message, err := wsutil.ReadServerText(conn)
		if err != nil {
			t.Fatalf("no %q: %v", part, err)
		}
		if strings.Contains(string(message), part) {
			return
		}
		t.Logf("also said: %s", message)
	}
}

func publish(t *testing.T, peer Target, addr string, values []string, payload string) {
	t.Helper()
	values = append(slices.Clip(values), "payload", payload, "json", strconv.Quote(payload))
	path, body := Fill(peer.Publish.Path, values...), Fill(peer.Publish.Body, values...)
	if peer.Publish.Header["Content-Type"] == "application/json" && !json.Valid([]byte(body)) {
		t.Fatalf("not JSON: %s", body)
	}
	if peer.Key != nil {
		path = peer.Key.Sign(peer.Publish.Method, path, []byte(body), time.Now())
	}
	request, err := http.NewRequest(peer.Publish.Method, "http://"+addr+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range peer.Publish.Header {
		request.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	said, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode/100 != 2 {
		t.Fatalf("publish: %s %s %v", response.Status, said, err)
	}
}
