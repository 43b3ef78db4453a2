//go:build faults

package main

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestFaultReload: settings files with errors, one reload after the other. Each is refused whole, by a line that names the place and the
// setting; what was in force stays in force, and nobody notices.
func TestFaultReload(t *testing.T) {
	const old, fresh = "https://old.example", "https://fresh.example"
	file := writeFile(t, "f.yaml", "origin: "+old+"\nmax-connections: 5000\n")
	s := serve(t, "--config", file)
	c := watch(t, s, patience)
	before := c.calm()
	subscriber := dial(t, s.ws("topic=a"))
	origins := func(allowed, refused string) {
		t.Helper()
		for origin, want := range map[string]int{allowed: http.StatusSwitchingProtocols, refused: http.StatusForbidden} {
			if got := s.upgradeFrom(origin); got != want {
				t.Errorf("a page of %s: %d, want %d", origin, got, want)
			}
		}
	}
	taken := func() float64 { return c.metrics()["fanfare_config_last_reload_successful"] }
	for bad, want := range map[string]string{
		"max-connections: 1\norigin: " + fresh + "\nmax-conections: 1\n":   `f.yaml:3:1: unknown setting \"max-conections\"`,
		"max-connections: 1\norigin: " + fresh + "\naccept-rate: many\n":   `f.yaml:3:14: accept-rate: \"many\"`,
		"max-connections: 1\n\n\norigin:\n  - " + fresh + "\n  - nobody\n": `f.yaml:6:5: origin: `,
		"max-connections: 1\norigin: [" + fresh + "\n":                     `f.yaml:2:9: `,
		"max-connections: 1\nmax-connections: 2\norigin: " + fresh + "\n":  `f.yaml:2:1: mapping key \"max-connections\"`,
		"\xff\xfe\x00": `f.yaml`,
	} {
		s.rewrite(file, bad)
		if line := s.stderr.wait(t, "level=ERROR"); !strings.Contains(line, "reload refused") || !strings.Contains(line, want) {
			t.Errorf("%q: %s\nwant %s", bad, line, want)
		}
		if taken() != 0 {
			t.Errorf("%q: fanfare_config_last_reload_successful is not 0", bad)
		}
		origins(old, fresh)
		c.ready(200 * time.Millisecond)
	}
	s.rewrite(file, "origin: "+fresh+"\nmax-connections: 5000\n")
	if line := s.stderr.wait(t, "msg=reloaded"); !strings.Contains(line, fresh) {
		t.Error(line)
	}
	if taken() != 1 {
		t.Error("after a good file fanfare_config_last_reload_successful is not 1")
	}
	origins(fresh, old)
	s.broadcast("still here")
	if got, _ := subscriber.next(); got != "still here" {
		t.Errorf("got %q", got)
	}
	_ = subscriber.conn.Close()
	c.restored(before)
}

// upgradeFrom gives the status that a socket of a page gets.
func (s *server) upgradeFrom(origin string) int {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url+"/ws?topic=b", http.NoBody)
	if err != nil {
		s.t.Fatal(err)
	}
	for name, value := range map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Origin": origin,
	} {
		r.Header.Set(name, value)
	}
	response, err := oneShot(nil).Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode
}
