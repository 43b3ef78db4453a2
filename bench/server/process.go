package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"fanfare/bench/target"
)

// Options are what Start needs beyond the target.
type Options struct {
	Threads int
	// Limiter is what the command is put behind, to set its limit of descriptors.
	Limiter []string
	Within  time.Duration // until it serves
}

// Process is a server that was started, or one that ran already.
type Process struct {
	Address string // IPv4 address and port

	pid  int // 0: not known
	cmd  *exec.Cmd
	dir  string
	tail tail
	done chan struct{}
	err  error // once done is closed: how it ended
}

// Attach is a server that runs already; without its pid, what it costs is not known.
func Attach(address string, pid int) *Process {
	return &Process{Address: address, pid: pid, done: make(chan struct{})}
}

// Start starts a server and waits until it serves.
func Start(ctx context.Context, t *target.Target, o Options) (*Process, error) {
	if len(t.Start) == 0 {
		return nil, fmt.Errorf("%s: there is no command that starts it", t.Name)
	}
	p := &Process{done: make(chan struct{})}
	port, err := target.FreePort() //nolint:contextcheck // it does not wait
	if err != nil {
		return nil, err
	}
	p.Address = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	if p.dir, err = os.MkdirTemp("", "bench-"+t.Name+"-"); err != nil {
		return nil, err
	}
	if err := p.start(ctx, t, o); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", t.Name, err), os.RemoveAll(p.dir))
	}
	if err := p.ready(ctx, t, o.Within); err != nil {
		p.Stop()
		return nil, fmt.Errorf("%s: %w", t.Name, err)
	}
	return p, nil
}

func (p *Process) start(ctx context.Context, t *target.Target, o Options) error {
	_, port, err := net.SplitHostPort(p.Address)
	if err != nil {
		return err
	}
	fill := func(text string) string {
		return target.Fill(text, "port", port, "dir", p.dir, "threads", strconv.Itoa(o.Threads))
	}
	for name, content := range t.Files {
		name = fill(name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(name, []byte(fill(content)), 0o600); err != nil {
			return err
		}
	}
	line := append([]string(nil), o.Limiter...)
	for _, part := range t.Start {
		line = append(line, fill(part))
	}
	p.cmd = exec.CommandContext(context.WithoutCancel(ctx), line[0], line[1:]...) // Stop ends it, not the context
	p.cmd.Env = os.Environ()
	for _, e := range t.Env {
		p.cmd.Env = append(p.cmd.Env, fill(e))
	}
	p.cmd.Stdout, p.cmd.Stderr = &p.tail, &p.tail
	p.cmd.WaitDelay = time.Second // its own children may keep the pipes
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return err
	}
	p.pid = p.cmd.Process.Pid
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return nil
}

// ready waits until it serves.
func (p *Process) ready(ctx context.Context, t *target.Target, within time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, within, fmt.Errorf("it did not serve within %s%s", within, p.Tail()))
	defer cancel()
	for {
		if p.serves(ctx, t.Ready) {
			return nil
		}
		select {
		case <-p.done:
			return p.Died()
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (p *Process) serves(ctx context.Context, path string) bool {
	if path == "" {
		d := net.Dialer{Timeout: time.Second}
		conn, err := d.DialContext(ctx, "tcp4", p.Address)
		if err != nil {
			return false
		}
		return conn.Close() == nil
	}
	answer, err := get(ctx, "http://"+p.Address+path)
	return err == nil && answer.StatusCode/100 == 2 && answer.Body.Close() == nil
}

// get asks once, over a connection that is not kept.
func get(ctx context.Context, url string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
	return client.Do(request)
}

// Done is closed when it has ended; of one that ran already that is not seen.
func (p *Process) Done() <-chan struct{} { return p.done }

// Died says how it ended, with its last lines.
func (p *Process) Died() error {
	how := "with status 0"
	if p.err != nil {
		how = "with " + p.err.Error()
	}
	return fmt.Errorf("the server ended by itself, %s%s", how, p.Tail())
}

// Tail is the last lines that it printed, each on a line of its own.
func (p *Process) Tail() string { return p.tail.String() }

// grace is how long a server may take to end.
const grace = 5 * time.Second

// Stop ends it: politely, then not. Of one that ran already it does nothing.
func (p *Process) Stop() {
	if p.cmd == nil {
		return
	}
	_ = syscall.Kill(-p.pid, syscall.SIGINT) // if it is gone, so much the better
	select {
	case <-p.done:
	case <-time.After(grace):
	}
	_ = syscall.Kill(-p.pid, syscall.SIGKILL) // what is left of the group
	<-p.done
	_ = os.RemoveAll(p.dir) // scratch
}

// tail keeps the last that is written to it.
type tail struct {
	mu   sync.Mutex
	kept []byte
}

const tailMax = 2 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, b...)
	if over := len(t.kept) - tailMax; over > 0 {
		t.kept = append(t.kept[:0], t.kept[over:]...)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := strings.TrimSpace(string(bytes.ToValidUTF8(t.kept, []byte("?"))))
	if text == "" {
		return ""
	}
	lines := strings.Split(text, "\n")
	if len(lines) > 8 {
		lines = lines[len(lines)-8:]
	}
	return "\n  | " + strings.Join(lines, "\n  | ")
}
