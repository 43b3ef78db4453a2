package proto_test

import (
	"context"
	"encoding/binary"
	"net/http"
	"strings"
	"testing"
	"time"

	gobwas "github.com/gobwas/ws"

	"fanfare/proto"
	"fanfare/proto/prototest"
)

// Readiness goes off at once, sockets end with 1012 after the wait, and plain HTTP answers until the end.
func TestDrain(t *testing.T) {
	srv, _, addrs := run(t, newToy(), proto.Config{}, somewhere, true)
	clients := make([]*prototest.Client, 0, 20)
	for range cap(clients) {
		c := dial(t, addrs[0], "/?topic=a")
		want(t, c, "< welcome")
		clients = append(clients, c)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	const wait = 1500 * time.Millisecond
	done, begin := make(chan struct{}), time.Now()
	go func() {
		srv.Drain(ctx, proto.DrainOptions{Wait: wait, Window: 200 * time.Millisecond})
		close(done)
	}()
	for call(t, addrs[1], http.MethodGet, "/readyz", "").Status != http.StatusServiceUnavailable {
		if time.Since(begin) > wait {
			t.Fatal("ready")
		}
		time.Sleep(10 * time.Millisecond)
	}
	if a := call(t, addrs[1], http.MethodGet, "/livez", ""); a.Status != http.StatusOK {
		t.Error(a)
	}
	if a := call(t, addrs[0], http.MethodPost, "/publish/a", "still"); a.Status != http.StatusOK || a.Body != "20" {
		t.Error(a)
	}
	for _, c := range clients {
		want(t, c, "< still")
		op, p, err := c.Next()
		if err != nil || op != gobwas.OpClose || len(p) < 2 || binary.BigEndian.Uint16(p) != 1012 || !strings.HasPrefix(string(p[2:]), "shutdown: ") {
			t.Fatal(op, string(p), err)
		}
		_ = c.Send(gobwas.OpClose, p[:2])
		_ = c.Close()
	}
	if early := time.Since(begin); early < wait {
		t.Error(early)
	}
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		t.Fatal("not done")
	}
	if _, err := prototest.Dial(addrs[1]); err == nil {
		t.Error("the admin listener is open")
	}
}
