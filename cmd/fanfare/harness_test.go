package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patience is how long a test waits for a condition before it fails; nothing waits that long when it works.
const patience = 20 * time.Second

// binary is fanfare as make build makes it, built once for all tests.
var binary string

// forTests are variables that tests read; the others of ours are settings.
var forTests = []string{"FANFARE_CI_RUN", "FANFARE_CHURN", "FANFARE_SEED"}

func TestMain(m *testing.M) {
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	for _, entry := range os.Environ() { // the tests decide about settings, not the shell they run in
		if name, _, _ := strings.Cut(entry, "="); strings.HasPrefix(name, "FANFARE_") && !slices.Contains(forTests, name) {
			_ = os.Unsetenv(name)
		}
	}
	dir, err := os.MkdirTemp("", "fanfare")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary = filepath.Join(dir, "fanfare")
	build := exec.CommandContext(context.Background(), "go", "build", "-trimpath", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
		return 1
	}
	if code := m.Run(); code != 0 {
		return code
	}
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// process is a running fanfare. It ends with the test.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdout *lines
	stderr *lines
	ended  chan struct{}
}

// start runs fanfare with args; env is added to the environment.
func start(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	return startOf(t, binary, env, args...)
}

// startOf does so with a fanfare that was built in another way.
func startOf(t *testing.T, path string, env []string, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(path, args...), stdout: newLines(), stderr: newLines(), ended: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = p.stdout, p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait()
		p.stdout.end()
		p.stderr.end()
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.ended
		if t.Failed() {
			t.Logf("fanfare %s wrote:\n%s", strings.Join(args, " "), p.stderr.all())
		}
	})
	return p
}

// signal sends s to the process.
func (p *process) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// exit waits for the end and gives the exit code.
func (p *process) exit() int {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.t.Fatalf("fanfare does not end: %s", p.stderr.all())
	}
	return p.cmd.ProcessState.ExitCode()
}

// finish runs fanfare to its end and gives its output and exit code.
func finish(t *testing.T, stdin string, env []string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	var out, errs bytes.Buffer
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = append(os.Environ(), env...), strings.NewReader(stdin), &out, &errs
	_ = cmd.Run()
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// server is a running fanfare serve.
type server struct {
	*process
	url string // of its first TCP listener: http://127.0.0.1:port
}

var servedURL = regexp.MustCompile(`http://[^ "/]+:\d+`)

// serve starts the server on a free port and waits until it serves; args are added to its command line.
func serve(t *testing.T, args ...string) *server {
	t.Helper()
	return serveOn(t, nil, append([]string{"--listen=127.0.0.1:0"}, args...)...)
}

// serveOn starts the server with exactly these settings; one of them must be a TCP listener.
func serveOn(t *testing.T, env []string, args ...string) *server {
	t.Helper()
	p := start(t, env, append([]string{"serve"}, args...)...)
	return &server{p, servedURL.FindString(p.stderr.wait(t, "serving"))}
}

// address is the host and port of the server's URL.
func (s *server) address() string { return strings.TrimPrefix(s.url, "http://") }

// ws is the URL of a subscription.
func (s *server) ws(query string) string { return "ws://" + s.address() + "/ws?" + query }

// request asks the server as curl would, and gives the status and the body.
func (s *server) request(method, path, body string, headers ...string) (status int, answer string) {
	s.t.Helper()
	return request(s.t, oneShot(nil), method, s.url+path, body, headers...)
}

// oneShot is a client whose connections end with their request; dial may be nil.
func oneShot(dial func(ctx context.Context, network, addr string) (net.Conn, error)) *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
}

func request(t *testing.T, client *http.Client, method, url, body string, headers ...string) (status int, answer string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(b)
}

// metric reads one value from /metrics; labels are part of the name.
func (s *server) metric(name string) (value float64) {
	s.t.Helper()
	_, text := s.request(http.MethodGet, "/metrics", "")
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			if _, err := fmt.Sscan(rest, &value); err != nil {
				s.t.Fatal(err)
			}
			return value
		}
	}
	s.t.Fatalf("no metric %s in\n%s", name, text)
	return 0
}

// eventually waits until ok says true.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if ok() {
			return
		}
		time.Sleep(5 * time.Millisecond) // between two looks at a condition in another process
	}
	t.Fatalf("not after %v: %s", patience, what)
}

// stop ends the server as Ctrl-C does; it must end in order.
func (s *server) stop() {
	s.t.Helper()
	s.signal(syscall.SIGINT)
	if code := s.exit(); code != 0 {
		s.t.Errorf("exit code %d after SIGINT", code)
	}
}

// lines collects what a process writes; each line is read once.
type lines struct {
	mu      sync.Mutex
	changed *sync.Cond
	text    bytes.Buffer
	read    int
	ended   bool
}

func newLines() *lines {
	l := &lines{}
	l.changed = sync.NewCond(&l.mu)
	return l
}

// Write takes what the process wrote.
func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.changed.Broadcast()
	return l.text.Write(p)
}

func (l *lines) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	l.changed.Broadcast()
}

func (l *lines) all() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// next gives the next line, without its end.
func (l *lines) next(t *testing.T) string {
	t.Helper()
	return l.wait(t, "")
}

// wait gives the next line that contains part, and passes over those before it.
func (l *lines) wait(t *testing.T, part string) string {
	t.Helper()
	late := false
	timer := time.AfterFunc(patience, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		late = true
		l.changed.Broadcast()
	})
	defer timer.Stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		unread := bufio.NewReader(bytes.NewReader(l.text.Bytes()[l.read:]))
		for {
			line, err := unread.ReadString('\n')
			if err != nil {
				break
			}
			l.read += len(line)
			if strings.Contains(line, part) {
				return strings.TrimSuffix(line, "\n")
			}
		}
		if l.ended || late {
			t.Fatalf("no line with %q in\n%.4096s", part, l.text.String())
		}
		l.changed.Wait()
	}
}
