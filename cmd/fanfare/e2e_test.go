package main

import (
	"bufio"
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
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// client is a WebSocket client that is none of ours.
type client struct {
	t    *testing.T
	conn net.Conn
	rw   io.ReadWriter
}

func dial(t *testing.T, url string) *client {
	t.Helper()
	return dialWith(t, ws.Dialer{}, url)
}

func dialWith(t *testing.T, dialer ws.Dialer, url string) *client {
	t.Helper()
	dialer.Timeout = patience
	conn, early, _, err := dialer.Dial(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	c := &client{t, conn, conn}
	if early != nil {
		c.rw = struct {
			io.Reader
			io.Writer
		}{early, conn}
	}
	_ = conn.SetDeadline(time.Now().Add(patience))
	return c
}

// next gives the next data message.
func (c *client) next() (text string, op ws.OpCode) {
	c.t.Helper()
	p, op, err := wsutil.ReadServerData(c.rw)
	if err != nil {
		c.t.Fatal(err)
	}
	return string(p), op
}

func (c *client) send(text string) {
	c.t.Helper()
	if err := wsutil.WriteClientText(c.rw, []byte(text)); err != nil {
		c.t.Fatal(err)
	}
}

// receipt is what the server answers to one accepted message.
type receipt struct {
	Topic     string
	Position  string
	Receivers int
}

func receiptOf(t *testing.T, text string) (r receipt) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return r
}

func TestPublishedReachesEveryClient(t *testing.T) {
	s := serve(t)
	plain := dial(t, s.ws("topic=news"))
	framed := dial(t, s.ws("topic=sport&topic=news&format=json"))
	listen := start(t, nil, "listen", "--url", s.url, "news")
	listenJSON := start(t, nil, "listen", "--url", s.url, "--json", "news")
	listen.stderr.wait(t, "connected")
	listenJSON.stderr.wait(t, "connected")

	const payload = `{"hello": "world" }`
	status, answer := s.request(http.MethodPost, "/broadcast?topic=news", payload)
	if r := receiptOf(t, answer); status != http.StatusAccepted || r.Topic != "news" || r.Receivers != 4 || r.Position == "" {
		t.Errorf("broadcast: %d %s", status, answer)
	}
	stdout, stderr, code := finish(t, "", nil, "publish", "--url", s.url, "news", "second")
	if r := receiptOf(t, stdout); code != 0 || r.Receivers != 4 {
		t.Errorf("publish: exit code %d, %s%s", code, stdout, stderr)
	}
	stdout, stderr, code = finish(t, "\x00\xff", nil, "publish", "--url", s.url, "--binary", "news", "-")
	if r := receiptOf(t, stdout); code != 0 || r.Receivers != 4 {
		t.Errorf("publish --binary: exit code %d, %s%s", code, stdout, stderr)
	}

	for _, want := range []struct {
		payload string
		op      ws.OpCode
	}{{payload, ws.OpText}, {"second", ws.OpText}, {"\x00\xff", ws.OpBinary}} {
		if got, op := plain.next(); got != want.payload || op != want.op {
			t.Errorf("plain client got %q (%v), want %q (%v)", got, op, want.payload, want.op)
		}
		if got := listen.stdout.next(t); got != want.payload {
			t.Errorf("listen printed %q, want %q", got, want.payload)
		}
	}
	for _, part := range []string{`"data":` + payload, `"data":"second"`, `"base64":"AP8="`} {
		for who, got := range map[string]string{"json client": first(framed.next()), "listen --json": listenJSON.stdout.next(t)} {
			if !strings.Contains(got, part) || !strings.Contains(got, `"topic":"news"`) || !strings.Contains(got, `"position":"`) {
				t.Errorf("%s got %s, want %s in it", who, got, part)
			}
		}
	}
	s.stop()
}

func first(text string, _ ws.OpCode) string { return text }

func TestCommandsOnTheSocket(t *testing.T) {
	s := serve(t)
	a, b := dial(t, s.ws("")), dial(t, s.ws("topic=x&format=json"))
	a.send(`{"subscribe":["y"],"id":1}`)
	if got, _ := a.next(); !strings.Contains(got, `"id":1`) || strings.Contains(got, `"error"`) {
		t.Errorf("subscribe: %s", got)
	}
	a.send(`{"publish":{"topic":"x","data":{"n": 1}},"id":"p"}`)
	if got, _ := a.next(); !strings.Contains(got, `"id":"p"`) || strings.Contains(got, `"error"`) {
		t.Errorf("publish: %s", got)
	}
	if got, _ := b.next(); !strings.Contains(got, `"data":{"n": 1}`) {
		t.Errorf("delivered: %s", got)
	}
	a.send(`{"dance":1}`)
	var refusal struct {
		Error struct{ Code, Message string }
	}
	if got, _ := a.next(); json.Unmarshal([]byte(got), &refusal) != nil || refusal.Error.Code == "" || refusal.Error.Message == "" {
		t.Errorf("unknown command: %s", got)
	}
	s.stop()
}

func TestSignalsEndTheServer(t *testing.T) {
	t.Parallel()
	for sig, want := range map[syscall.Signal]ws.StatusCode{syscall.SIGINT: ws.StatusGoingAway, syscall.SIGTERM: 1012} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			s := serve(t)
			c := dial(t, s.ws("topic=a"))
			s.signal(sig)
			if code, reason := c.closeFrame(); code != want {
				t.Errorf("the client saw close code %d %q, want %d", code, reason, want)
			}
			_ = c.conn.Close()
			if code := s.exit(); code != 0 {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

func TestListenConnectsAgain(t *testing.T) {
	first := serve(t)
	listen := start(t, nil, "listen", "--url", first.url, "--count=2", "news")
	listen.stderr.wait(t, "connected")
	publish := func() {
		t.Helper()
		if _, stderr, code := finish(t, "", nil, "publish", "--url", first.url, "news", "x"); code != 0 {
			t.Fatal(stderr)
		}
	}
	publish()
	listen.stdout.wait(t, "x")
	first.signal(syscall.SIGKILL)
	first.exit()
	listen.stderr.wait(t, "lost")
	second := serveOn(t, nil, "--listen="+first.address())
	listen.stderr.wait(t, "connected again")
	publish()
	listen.stdout.wait(t, "x")
	if code := listen.exit(); code != 0 {
		t.Errorf("exit code %d after --count messages", code)
	}
	second.stop()
}

func TestListenEnds(t *testing.T) {
	s := serve(t)
	listen := start(t, nil, "listen", "--url", s.url, "news")
	listen.stderr.wait(t, "connected")
	listen.signal(os.Interrupt)
	if code := listen.exit(); code != 0 {
		t.Errorf("exit code %d after an interrupt", code)
	}
	long := strings.Repeat("x", 256)
	if _, stderr, code := finish(t, "", nil, "listen", "--url", s.url, long); code != 1 || !strings.Contains(stderr, "400") {
		t.Errorf("a name that is too long: exit code %d, %s", code, stderr)
	}
	waiting := start(t, nil, "listen", "--url", "http://127.0.0.1:1", "news")
	waiting.stderr.wait(t, "fanfare serve")
	waiting.signal(syscall.SIGTERM)
	if code := waiting.exit(); code != 0 {
		t.Errorf("exit code %d while it waits", code)
	}
	s.stop()
}

func TestExitCodes(t *testing.T) {
	s := serve(t)
	unreadable := filepath.Join(t.TempDir(), "none")
	for _, tt := range []struct {
		line string
		env  string
		code int
		says string
	}{
		{"", "", 2, "serve"},
		{"serve --nonsense", "", 2, "--nonsense"},
		{"publish", "", 2, "topic"},
		{"serve --max-payload=lots", "", 78, `--max-payload (FANFARE_MAX_PAYLOAD): "lots" is not a size`},
		{"serve", "FANFARE_MAX_PAYLOAD=lots", 78, `--max-payload (FANFARE_MAX_PAYLOAD): "lots" is not a size`},
		{"serve", "FANFARE_OPEN=maybe", 78, `FANFARE_OPEN="maybe"`},
		{"serve --publish-key-file=" + unreadable, "", 78, "--publish-key-file (FANFARE_PUBLISH_KEY_FILE)"},
		{"serve --listen=nosuch=127.0.0.1:0", "", 78, "--listen (FANFARE_LISTEN)"},
		{"serve --listen=nosuch.invalid:80", "", 1, "nosuch.invalid"},
		{"serve --listen=" + s.address(), "", 1, "address already in use"},
		{"publish --url=ftp://x news x", "", 78, "--url (FANFARE_URL)"},
		{"publish --url=http://127.0.0.1:1 news x", "", 1, "start 'fanfare serve'"},
		{"publish --url=" + s.url + " " + strings.Repeat("x", 300) + " x", "", 1, "400"},
		{"version", "", 0, ""},
		{"--help", "", 0, ""},
	} {
		_, stderr, code := finish(t, "", strings.Fields(tt.env), strings.Fields(tt.line)...)
		if code != tt.code || !strings.Contains(stderr, tt.says) {
			t.Errorf("%s %q: exit code %d, want %d with %q: %s", tt.env, tt.line, code, tt.code, tt.says, stderr)
		}
	}
	s.stop()
}

func TestKeys(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(file, []byte("from-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := serveOn(t, []string{keyVariable + "=one,two"}, "--listen=127.0.0.1:0", "--publish-key-file="+file)
	for key, want := range map[string]int{"one": 202, "two": 202, "from-file": 202, "three": 401, "": 401} {
		var headers []string
		if key != "" {
			headers = []string{"Authorization: Bearer " + key}
		}
		if status, answer := s.request(http.MethodPost, "/broadcast?topic=a", "x", headers...); status != want {
			t.Errorf("key %q: %d %s", key, status, answer)
		}
	}
	if _, stderr, code := finish(t, "", nil, "publish", "--url", s.url, "a", "x"); code != 1 || !strings.Contains(stderr, "401") {
		t.Errorf("publish without a key: exit code %d, %s", code, stderr)
	}
	if _, stderr, code := finish(t, "", []string{keyVariable + "=two"}, "publish", "--url", s.url, "a", "x"); code != 0 {
		t.Errorf("publish with the variable: exit code %d, %s", code, stderr)
	}
	if _, stderr, code := finish(t, "", nil, "publish", "--url", s.url, "--key-file", file, "a", "x"); code != 0 {
		t.Errorf("publish with the file: exit code %d, %s", code, stderr)
	}
	s.stop()
	if text := s.stderr.all(); strings.Contains(text, "from-file") || strings.Contains(text, "two") {
		t.Errorf("the log shows a key:\n%s", text)
	}
}

// TestKeysAreShownNowhere: neither to who looks at the process and its pages for operators nor in the log, also when settings change.
func TestKeysAreShownNowhere(t *testing.T) {
	file := writeFile(t, "keys", "hushed-of-file\n")
	s := serveOn(t, []string{keyVariable + "=hushed-of-variable"}, "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0", "--publish-key-file="+file, "--log-level=debug")
	_, admin, _ := strings.Cut(s.stderr.wait(t, "msg=admin"), "address=")
	const wrong = "Authorization: Bearer hushed-of-client"
	if status, _ := s.request(http.MethodPost, "/broadcast?topic=a", "x", wrong); status != http.StatusUnauthorized {
		t.Errorf("a wrong key: %d", status)
	}
	if status, _ := s.request(http.MethodPost, "/broadcast?topic=a", "x", "Authorization: Bearer hushed-of-file"); status != http.StatusAccepted {
		t.Errorf("a right key: %d", status)
	}
	dial(t, s.ws("topic=a"))
	s.rewrite(file, "hushed-of-file\nhushed-of-tomorrow\n")
	s.stderr.wait(t, "reloaded")
	s.rewrite(file, "hushed of two words\n")
	s.stderr.wait(t, "reload refused")
	shown := map[string]string{}
	for _, path := range []string{"/livez?verbose", "/readyz?verbose", "/healthz", "/metrics", "/stats", "/debug/pprof/cmdline", "/debug/pprof/goroutine?debug=2"} {
		status, text := request(t, oneShot(nil), http.MethodGet, "http://"+admin+path, "", "Authorization: Bearer hushed-of-file")
		if status != http.StatusOK {
			t.Errorf("%s: %d %s", path, status, text)
		}
		shown[path] = text
	}
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", s.cmd.Process.Pid)) // as ps shows it
	if err != nil {
		t.Fatal(err)
	}
	shown["ps"] = string(line)
	s.stop()
	shown["log"] = s.stderr.all()
	for where, text := range shown {
		if strings.Contains(text, "hushed") {
			t.Errorf("%s shows a key:\n%s", where, text)
		}
	}
}

func TestWithoutKeysOtherSitesAreRefused(t *testing.T) {
	s := serve(t)
	for _, header := range []string{"Origin: https://example.org", "Sec-Fetch-Site: cross-site"} {
		status, answer := s.request(http.MethodPost, "/broadcast?topic=a", "x", header)
		if status != http.StatusForbidden || !strings.Contains(answer, "FANFARE_PUBLISH_KEY") && !strings.Contains(answer, "--publish-key-file") {
			t.Errorf("%s: %d %s", header, status, answer)
		}
	}
	s.stop()
	open := serve(t, "--open")
	if status, answer := open.request(http.MethodPost, "/broadcast?topic=a", "x", "Origin: https://example.org"); status != http.StatusAccepted {
		t.Errorf("--open: %d %s", status, answer)
	}
	open.stop()
	if !strings.Contains(open.stderr.all(), "level=WARN") {
		t.Errorf("--open gives no warning:\n%s", open.stderr.all())
	}
}

func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fanfare.sock")
	s := serve(t, "--listen=unix:"+path)
	toSocket := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
	c := dialWith(t, ws.Dialer{NetDial: toSocket}, "ws://localhost/ws?topic=a")
	status, answer := request(t, oneShot(toSocket), http.MethodPost, "http://localhost/broadcast?topic=a", "through the file")
	if status != http.StatusAccepted || receiptOf(t, answer).Receivers != 1 {
		t.Errorf("broadcast: %d %s", status, answer)
	}
	if got, _ := c.next(); got != "through the file" {
		t.Errorf("got %q", got)
	}
	s.stop()
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the socket file is still there: %v", err)
	}
}

func TestIPv6(t *testing.T) {
	if l, err := net.Listen("tcp", "[::1]:0"); err != nil {
		t.Skip("this machine has no IPv6 loopback address: ", err)
	} else {
		_ = l.Close()
	}
	s := serveOn(t, nil, "--listen=[::1]:0")
	c := dial(t, s.ws("topic=a"))
	if status, answer := s.request(http.MethodPost, "/broadcast?topic=a", "six"); status != http.StatusAccepted {
		t.Errorf("broadcast: %d %s", status, answer)
	}
	if got, _ := c.next(); got != "six" {
		t.Errorf("got %q", got)
	}
	s.stop()
}

// TestNamespaces: listeners of one namespace share topics, those of another do not.
func TestNamespaces(t *testing.T) {
	s := serve(t, "--listen=127.0.0.1:0", "--listen=native=127.0.0.1:0,namespace=other")
	sharing := servedURL.FindString(s.stderr.wait(t, "serving"))
	apart := servedURL.FindString(s.stderr.wait(t, "serving"))
	for url, want := range map[string]int{s.url: 1, sharing: 1, apart: 0} {
		c := dial(t, s.ws("topic=a"))
		status, answer := request(t, oneShot(nil), http.MethodPost, url+"/broadcast?topic=a", "x")
		if r := receiptOf(t, answer); status != http.StatusAccepted || r.Receivers != want {
			t.Errorf("through %s: %d %s, want %d receivers", url, status, answer, want)
		}
		_ = c.conn.Close()
		eventually(t, "the client has left", func() bool { return s.metric("fanfare_subscriptions") == 0 })
	}
	s.stop()
}

// TestLimitsReachTheServer gives each limit a small value and meets it.
func TestLimitsReachTheServer(t *testing.T) {
	s := serve(t, "--max-payload=10", "--max-batch=2", "--max-body=100", "--max-topic=5", "--max-subscriptions=2",
		"--max-message=200", "--max-headers=20", "--max-head=1KiB", "--max-frames=3")
	batch := func(n int) string {
		return "[" + strings.TrimSuffix(strings.Repeat(`{"topic":"a","data":1},`, n), ",") + "]"
	}
	for _, tt := range []struct {
		name, method, path, body, header string
		want                             int
	}{
		{"payload", http.MethodPost, "/broadcast?topic=a", "12345678901", "", 413},
		{"payload that fits", http.MethodPost, "/broadcast?topic=a", "1234567890", "", 202},
		{"batch", http.MethodPost, "/broadcast", batch(3), "Content-Type: application/json", 413},
		{"batch that fits", http.MethodPost, "/broadcast", batch(2), "Content-Type: application/json", 202},
		{"body", http.MethodPost, "/broadcast", batch(9), "Content-Type: application/json", 413},
		{"topic", http.MethodPost, "/broadcast?topic=123456", "x", "", 400},
		{"head", http.MethodGet, "/livez", "", "X-Long: " + strings.Repeat("x", 1<<10), 431},
	} {
		var headers []string
		if tt.header != "" {
			headers = []string{tt.header}
		}
		if status, answer := s.request(tt.method, tt.path, tt.body, headers...); status != tt.want {
			t.Errorf("%s: %d %s, want %d", tt.name, status, answer, tt.want)
		}
	}
	c := dial(t, s.ws("topic=a&topic=b"))
	c.send(`{"subscribe":["c"]}`)
	if got, _ := c.next(); !strings.Contains(got, `"error"`) {
		t.Errorf("a third topic: %s", got)
	}
	c.send(strings.Repeat(" ", 201))
	_, _, err := wsutil.ReadServerData(c.rw)
	var closed wsutil.ClosedError
	if !asClosed(err, &closed) || closed.Code != ws.StatusMessageTooBig {
		t.Errorf("a long message: %v, want close code 1009", err)
	}
	s.stop()
}

func TestLogIsJSONWhenAsked(t *testing.T) {
	s := serve(t, "--log-format=json", "--log-level=debug")
	s.stop()
	for line := range strings.Lines(s.stderr.all()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("not JSON: %s", line)
		}
	}
}

// TestSlowReader stops a client under load: a limit is kept, nobody else notices, and it goes on as the policy says.
func TestSlowReader(t *testing.T) {
	for _, tt := range []struct{ policy, metric, after string }{
		{"disconnect", `fanfare_disconnects_total{reason="slow"}`, "connected again"},
		{"drop-oldest", "fanfare_dropped_frames_total", ""},
	} {
		t.Run(tt.policy, func(t *testing.T) {
			s := serve(t, "--slow="+tt.policy, "--backlog=64KiB", "--close-timeout=1s")
			stopped := start(t, nil, "listen", "--url", s.url, "load")
			healthy := dial(t, s.ws("topic=load"))
			stopped.stderr.wait(t, "connected")
			stopped.signal(syscall.SIGSTOP)
			payload := strings.Repeat("x", 60<<10)
			eventually(t, "the policy is applied", func() bool {
				for i := range 50 {
					text := fmt.Sprint(i, payload)
					if status, answer := s.request(http.MethodPost, "/broadcast?topic=load", text); status != http.StatusAccepted {
						t.Fatalf("%d %s", status, answer)
					}
					if got, _ := healthy.next(); got != text {
						t.Fatalf("the healthy client got %.10s instead of %.10s", got, text)
					}
				}
				return s.metric(tt.metric) > 0
			})
			stopped.signal(syscall.SIGCONT)
			if tt.after != "" {
				stopped.stderr.wait(t, tt.after)
			}
			s.request(http.MethodPost, "/broadcast?topic=load", "the last")
			stopped.stdout.wait(t, "the last")
			if strings.Contains(stopped.stderr.all(), "lost") != (tt.policy == "disconnect") {
				t.Errorf("listen said:\n%s", stopped.stderr.all())
			}
			s.stop()
		})
	}
}

// TestLogPipeMayClose: a server whose log nobody reads any more goes on.
func TestLogPipeMayClose(t *testing.T) {
	near, far, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "serve", "--listen=127.0.0.1:0")
	cmd.Stderr = far
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	_ = far.Close()
	line, err := bufio.NewReader(near).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	_ = near.Close()
	url := servedURL.FindString(line)
	for _, path := range []string{"/none", "/livez"} { // the first one is logged
		request(t, oneShot(nil), http.MethodGet, url+path, "")
	}
	_ = cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// TestStartLineCanBePasted runs what the start line says through a shell.
func TestStartLineCanBePasted(t *testing.T) {
	s := serve(t, "--log-format=json")
	var shown struct{ Publish, Listen string }
	for line := range strings.Lines(s.stderr.all()) {
		if strings.Contains(line, `"serving"`) {
			if err := json.Unmarshal([]byte(line), &shown); err != nil {
				t.Fatal(err)
			}
		}
	}
	words := strings.Fields(shown.Listen)
	if len(words) < 3 || words[0] != binary || words[1] != "listen" {
		t.Fatalf("listen: %q", shown.Listen)
	}
	listen := start(t, nil, words[1:]...)
	listen.stderr.wait(t, "connected")
	if !strings.HasPrefix(shown.Publish, "curl ") || !strings.Contains(shown.Publish, "'"+s.url+"/broadcast?topic=news'") {
		t.Errorf("publish: %q", shown.Publish)
	}
	if status, answer := s.request(http.MethodPost, "/broadcast?topic=news", "hello"); status != http.StatusAccepted {
		t.Errorf("%d %s", status, answer)
	}
	listen.stdout.wait(t, "hello")
	s.stop()
}

func TestVersion(t *testing.T) {
	stdout, _, code := finish(t, "", nil, "version")
	var names []string
	for line := range strings.Lines(stdout) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		names = append(names, name)
		if strings.TrimSpace(value) == "" {
			t.Errorf("%s is empty", name)
		}
	}
	if code != 0 || !slices.Equal(names, []string{"fanfare", "commit", "go", "netpoll"}) || !strings.Contains(stdout, "netpoll v") {
		t.Errorf("exit code %d: %s", code, stdout)
	}
}

func TestHelpFitsAScreen(t *testing.T) {
	for line, most := range map[string]int{"--help": 25, "serve --help": 75, "publish --help": 24, "listen --help": 24, "doctor --help": 25} {
		stdout, _, code := finish(t, "", []string{"COLUMNS=80"}, strings.Fields(line)...)
		lines := strings.Split(strings.TrimSpace(stdout), "\n")
		if code != 0 || len(lines) > most || len(lines) < 10 {
			t.Errorf("%s: exit code %d, %d lines, at most %d:\n%s", line, code, len(lines), most, stdout)
		}
		if line != "--help" && line != "serve --help" && !strings.Contains(stdout, "    fanfare "+strings.Fields(line)[0]) {
			t.Errorf("%s shows no example:\n%s", line, stdout)
		}
		for _, l := range lines {
			if len(l) > 80 {
				t.Errorf("%s: a line of %d characters: %s", line, len(l), l)
			}
		}
	}
}

func TestHealthAndMetrics(t *testing.T) {
	s := serve(t)
	if status, answer := s.request(http.MethodGet, "/livez", ""); status != http.StatusOK {
		t.Errorf("livez: %d %s", status, answer)
	}
	before := s.metric("fanfare_encodes_total")
	for range 3 {
		c := dial(t, s.ws("topic=a"))
		defer func() { _ = c.conn.Close() }()
	}
	s.request(http.MethodPost, "/broadcast?topic=a", "x")
	if got := s.metric("fanfare_encodes_total") - before; got != 1 {
		t.Errorf("%v encodings for one message to three clients", got)
	}
	s.stop()
}
