package native_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"fanfare/fanout"
	"fanfare/loop" //nolint:depguard // the tests start the real server
	"fanfare/proto"
	"fanfare/proto/auth"
	"fanfare/proto/native"
	"fanfare/proto/prototest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/cloudwego/netpoll.(*defaultPoll).Wait"))
}

// logs is a log that many goroutines write.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// server starts the real thing on a free port.
func server(tb testing.TB, cfg native.Config, hub fanout.Config, listen ...string) (addrs []string, log *logs) {
	tb.Helper()
	log = new(logs)
	logger := slog.New(slog.NewTextHandler(log, nil))
	srv, err := proto.New(proto.Config{
		Hub: fanout.NewHub(hub), Dialects: []proto.Dialect{native.New(cfg)}, Version: "test", Log: logger, BodyTimeout: time.Second,
	})
	if err != nil {
		tb.Fatal(err)
	}
	group, err := loop.New(loop.Config{Loops: 2, Handler: srv, Log: logger, Limits: loop.Limits{Handshake: time.Second}})
	if err != nil {
		tb.Fatal(err)
	}
	srv.Attach(group)
	if len(listen) == 0 {
		listen = []string{"127.0.0.1:0"}
	}
	for _, s := range listen {
		l, err := proto.ParseListen(s)
		if err != nil {
			tb.Fatal(err)
		}
		addr, err := srv.Listen(l)
		if err != nil {
			tb.Fatal(err)
		}
		a := addr.String()
		if addr.Network() == "unix" {
			a = "unix:" + a
		}
		addrs = append(addrs, a)
	}
	if err := srv.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(srv.Close)
	return addrs, log
}

func one(tb testing.TB, cfg native.Config) string {
	tb.Helper()
	addrs, _ := server(tb, cfg, fanout.Config{})
	return addrs[0]
}

// dial opens a WebSocket that ends with the test.
func dial(tb testing.TB, addr, target string, headers ...string) *prototest.Client {
	tb.Helper()
	extra := strings.Join(append(headers, ""), "\r\n")
	c, refused, err := prototest.Open(addr, target, extra)
	if err != nil {
		tb.Fatal(err)
	}
	if c == nil {
		tb.Fatalf("refused: %d %s", refused.Status, refused.Body)
	}
	tb.Cleanup(func() { _ = c.Close() })
	return c
}

func say(tb testing.TB, c *prototest.Client, text string) {
	tb.Helper()
	if err := c.Say(text); err != nil {
		tb.Fatal(err)
	}
}

func want(tb testing.TB, c *prototest.Client, text string) {
	tb.Helper()
	got, err := c.Text()
	if err != nil {
		tb.Fatal(err)
	}
	if got != text {
		tb.Fatalf("got %.300s, want %.300s", got, text)
	}
}

func call(tb testing.TB, addr, method, target, headers, body string) *prototest.Answer {
	tb.Helper()
	a, err := prototest.Call(addr, method, target, headers, body)
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

func keys(tb testing.TB, list string) auth.Policy {
	tb.Helper()
	k, err := auth.ParseKeys(list)
	if err != nil {
		tb.Fatal(err)
	}
	return auth.Policy{Keys: k}
}

// TestTranscripts replays testdata against a server of this tree, or against the one that FANFARE_TRANSCRIPT_ADDR names, which must let this
// machine publish without a key.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no transcripts", err)
	}
	addr := os.Getenv("FANFARE_TRANSCRIPT_ADDR")
	if addr == "" {
		addr = one(t, native.Config{})
	}
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) { prototest.Replay(t, addr, f) })
	}
}
