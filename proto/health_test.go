package proto_test

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fanfare/fanout"
	"fanfare/loop"
	"fanfare/loop/ws"
	"fanfare/proto"
	"fanfare/proto/prototest"
)

var somewhere = proto.Listen{Dialect: "toy", Addr: "127.0.0.1:0", Namespace: "n"}

// A loop that hangs is found within two and a half seconds, and so is that it goes on.
func TestStalledLoop(t *testing.T) {
	_, group, addrs := run(t, newToy(), proto.Config{}, somewhere, true)
	admin := addrs[1]
	for _, path := range []string{"/livez", "/readyz", "/healthz"} {
		if a := call(t, admin, http.MethodGet, path, ""); a.Status != http.StatusOK || a.Body != `{"status":"ok"}`+"\n" || a.Header.Get("Cache-Control") != "no-store" {
			t.Fatal(path, a)
		}
	}
	stalled := group.Loops()[1]
	group.Post(stalled.Canary(), func(*loop.Conn) { time.Sleep(3 * time.Second) })
	begin := time.Now()
	for _, want := range [][2]string{{"/readyz", "loop 1 did not deliver"}, {"/livez", `"loop 1","status":"failed"`}} {
		path, text := want[0], want[1]
		for {
			a := call(t, admin, http.MethodGet, path, "")
			if a.Status == http.StatusServiceUnavailable && strings.Contains(a.Body, text) && !strings.Contains(a.Body, `"loop 0"`) && !strings.Contains(a.Body, "canary 0") {
				break
			}
			if time.Since(begin) > 2500*time.Millisecond {
				t.Fatal(path, a)
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	a := call(t, admin, http.MethodGet, "/readyz?verbose", "")
	if !strings.Contains(a.Body, "[+] loop 0: ok\n[-] loop 1: failed, no tick for ") || !strings.HasSuffix(a.Body, "\nfailed\n") {
		t.Error(a.Body)
	}
	for _, path := range []string{"/livez", "/readyz"} {
		for call(t, admin, http.MethodGet, path, "").Status != http.StatusOK {
			if time.Since(begin) > 6*time.Second {
				t.Fatal(path)
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
}

// The canary is in no metric, readiness is in none but its own, and a check is shared by those who ask at once.
func TestReady(t *testing.T) {
	srv, _, addrs := run(t, newToy(), proto.Config{}, somewhere, false)
	begin := time.Now()
	done := make(chan string, 50)
	for range cap(done) {
		go func() { done <- call(t, addrs[0], http.MethodGet, "/readyz?verbose", "").Body }()
	}
	for range cap(done) {
		body := <-done
		for _, line := range []string{"loop 0: ok", "loop 1: ok", "draining: ok", "connections: ok, ", "descriptors: ok, ", "undelivered bytes: ok", "canary 0: ok", "canary 1: ok"} {
			if !strings.Contains(body, "[+] "+line) {
				t.Fatal(body)
			}
		}
	}
	if time.Since(begin) > 3*time.Second {
		t.Error(time.Since(begin))
	}
	for _, line := range []string{
		"fanfare_publishes_total 0", "fanfare_deliveries_total 0", "fanfare_encodes_total 0", "fanfare_topics 0", "fanfare_subscriptions 0",
		"fanfare_undelivered_bytes 0", "fanfare_publish_to_last_write_seconds_count 0", "fanfare_upgrades_total 0", "fanfare_backlog_frames 0",
	} {
		metric(t, addrs[0], line)
	}
	srv.SetDraining()
	a := call(t, addrs[0], http.MethodGet, "/readyz", "")
	if a.Status != http.StatusServiceUnavailable || !strings.Contains(a.Body, `"draining"`) {
		t.Error(a)
	}
	if a := call(t, addrs[0], http.MethodGet, "/livez", ""); a.Status != http.StatusOK {
		t.Error(a)
	}
}

// Readiness is off at the limits.
func TestNotReadyWhenFull(t *testing.T) {
	for want, a := range map[string]loop.Admission{"connections": {Conns: 1}, "memory": {Memory: 1 << 62}} {
		srv, _, addrs := run(t, newToy(), proto.Config{}, somewhere, true)
		dial(t, addrs[0], "/?topic=a")
		metric(t, addrs[1], "fanfare_connections 1")
		if err := srv.Reload(proto.Reloadable{Admission: a}); err != nil {
			t.Fatal(err)
		}
		answer := call(t, addrs[1], http.MethodGet, "/readyz?verbose", "")
		if full := want == "connections"; strings.Contains(answer.Body, "[-] "+want) != full || strings.Contains(answer.Body, "[+] "+want) == full {
			t.Error(want, answer.Body)
		}
	}
}

// failsAndPasses looks at one check until it fails, and until it passes again after mend.
func failsAndPasses(t *testing.T, admin, name string, mend func()) {
	t.Helper()
	for i, want := range []string{"[-] " + name + ": failed, ", "[+] " + name + ": ok"} {
		if i == 1 {
			mend()
		}
		for tries := 0; ; tries++ { // the checks that cost something are made once a second
			a := call(t, admin, http.MethodGet, "/readyz?verbose", "")
			if strings.Contains(a.Body, want) && (a.Status != http.StatusOK) == (i == 0) {
				break
			}
			if tries == 200 {
				t.Fatal("not", want, a.Body)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
}

// Readiness is off when hardly a descriptor is left.
func TestNotReadyWithoutDescriptors(t *testing.T) {
	_, _, addrs := run(t, newToy(), proto.Config{}, somewhere, true)
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	restore := func() { _ = unix.Setrlimit(unix.RLIMIT_NOFILE, &before) }
	defer restore()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	few := before
	few.Cur = uint64(len(open)) + 6 // enough to ask
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	failsAndPasses(t, addrs[1], "descriptors", restore)
}

// Readiness is off when loops do not take what is published, as long as they do not.
func TestNotReadyWhenUndelivered(t *testing.T) {
	hub := fanout.NewHub(fanout.Config{TotalBytes: 64 << 10})
	_, group, addrs := run(t, newToy(), proto.Config{Hub: hub}, somewhere, true)
	want(t, dial(t, addrs[0], "/?topic=a"), "< welcome")
	held := make(chan struct{})
	release := sync.OnceFunc(func() { close(held) })
	t.Cleanup(release)
	for _, l := range group.Loops() {
		group.Post(l.Canary(), func(*loop.Conn) { <-held })
	}
	event := fanout.Event{Key: fanout.Key{Space: hub.Space(somewhere.Namespace), Name: "a"}, Data: make([]byte, 1<<10), Kind: ws.OpText}
	for {
		next := event
		rc, err := hub.Publish(&next)
		if errors.Is(err, fanout.ErrBusy) {
			break
		}
		if err != nil || rc.Receivers != 1 {
			t.Fatal(rc, err)
		}
	}
	failsAndPasses(t, addrs[1], "undelivered bytes", release)
}

// Readiness is off when what waits for slow clients is near the total of the process.
func TestNotReadyWhenBackedUp(t *testing.T) {
	cfg := proto.Config{Reloadable: proto.Reloadable{BacklogTotal: 32 << 10}}
	_, _, addrs := run(t, newToy(), cfg, somewhere, true)
	slow := dial(t, addrs[0], "/?topic=a")
	big := strings.Repeat("x", 60<<10)
	for tries := 0; ; tries++ { // until the socket's buffers are full: nobody reads
		say(t, slow, "echo "+big)
		a := call(t, addrs[1], http.MethodGet, "/metrics", "")
		if !strings.Contains(a.Body, "\nfanfare_backlog_held_bytes 0\n") {
			break
		}
		if tries == 1000 {
			t.Fatal(a.Body)
		}
	}
	failsAndPasses(t, addrs[1], "backlog bytes", func() { _ = slow.Close() })
}

// What a loop that hangs has not delivered is told.
func TestLagIsTold(t *testing.T) {
	_, group, addrs := run(t, newToy(), proto.Config{}, somewhere, true)
	c := dial(t, addrs[0], "/?topic=a")
	want(t, c, "< welcome")
	conn, err := prototest.Dial(addrs[0])
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	kept := prototest.Raw(conn) // which belongs to net/http after its first request, and needs no loop any more
	post := func(receivers string) {
		t.Helper()
		_, _ = io.WriteString(conn, "POST /publish/a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx")
		if a, err := kept.Answer(); err != nil || a.Body != receivers {
			t.Fatal(a, err)
		}
	}
	post("1")
	want(t, c, "< x")
	const stall = 1500 * time.Millisecond
	for _, l := range group.Loops() {
		group.Post(l.Canary(), func(*loop.Conn) { time.Sleep(stall) })
	}
	time.Sleep(stall / 15)
	post("1")
	post("1")
	metric(t, addrs[1], "fanfare_cursor_lag_events 2")
	metric(t, addrs[1], "fanfare_cursor_lag_bytes 258")
	if body := call(t, addrs[1], http.MethodGet, "/metrics", "").Body; strings.Contains(body, "fanfare_cursor_lag_seconds 0\n") {
		t.Error("no age")
	}
	want(t, c, "< x", "< x")
	for _, line := range []string{
		"fanfare_cursor_lag_events 0", "fanfare_cursor_lag_seconds 0", `fanfare_publish_to_last_write_seconds_bucket{le="+Inf"} 3`,
		`fanfare_publish_to_last_write_seconds_bucket{le="0.25"} 1`,
	} {
		metric(t, addrs[1], line)
	}
}

// What the loops refuse at the door is told among the handshakes.
func TestRefusedAtTheDoor(t *testing.T) {
	var log logs
	_, _, addrs := run(t, newToy(), proto.Config{Log: log.logger(), Reloadable: proto.Reloadable{Admission: loop.Admission{Conns: 2}}}, somewhere, true)
	for range 2 {
		dial(t, addrs[0], "/?topic=a")
	}
	if a := call(t, addrs[0], http.MethodGet, "/livez", ""); a.Status != http.StatusServiceUnavailable || !strings.Contains(a.Body, `"code":"connections_full"`) || a.Header.Get("Retry-After") == "" {
		t.Error(a)
	}
	metric(t, addrs[1], `fanfare_handshakes_refused_total{reason="connections_full"} 1`)
	if a := call(t, addrs[1], http.MethodGet, "/readyz", ""); a.Status != http.StatusServiceUnavailable || !strings.Contains(a.Body, `"connections"`) {
		t.Error(a)
	}
	for range 300 {
		if strings.Contains(log.String(), `msg="handshakes refused at the door" reason=connections_full status=503 count=1`) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error(log.String())
}
