package main

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// activated starts fanfare as systemd does that hands sockets over: descriptors from 3 on, their names, and whose they are.
func activated(t *testing.T, names string, listeners []net.Listener, args ...string) *process {
	t.Helper()
	p := &process{t: t, stdout: newLines(), stderr: newLines(), ended: make(chan struct{})}
	p.cmd = exec.Command("sh", append([]string{"-c", `LISTEN_PID=$$ exec "$0" "$@"`, binary, "serve"}, args...)...)
	p.cmd.Env = append(os.Environ(), "LISTEN_FDS="+string(rune('0'+len(listeners))), "LISTEN_FDNAMES="+names)
	for _, l := range listeners {
		var file *os.File
		var err error
		switch l := l.(type) {
		case *net.TCPListener:
			file, err = l.File()
		case *net.UnixListener:
			file, err = l.File()
		}
		if err != nil {
			t.Fatal(err)
		}
		p.cmd.ExtraFiles = append(p.cmd.ExtraFiles, file)
	}
	p.cmd.Stdout, p.cmd.Stderr = p.stdout, p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for i, file := range p.cmd.ExtraFiles {
		_ = file.Close()
		_ = listeners[i].Close()
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
			t.Logf("fanfare wrote:\n%s", p.stderr.all())
		}
	})
	return p
}

func listenTCP(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestSocketActivation(t *testing.T) {
	clients, admin := listenTCP(t), listenTCP(t)
	p := activated(t, "admin:ws", []net.Listener{admin, clients})
	s := &server{p, servedURL.FindString(p.stderr.wait(t, "serving"))}
	if s.address() != clients.Addr().String() {
		t.Errorf("it serves %s, handed over was %s", s.url, clients.Addr())
	}
	p.stderr.wait(t, "address="+admin.Addr().String())
	c := dial(t, s.ws("topic=news"))
	if status, answer := s.request(http.MethodPost, "/broadcast?topic=news", "x"); status != http.StatusAccepted {
		t.Errorf("broadcast: %d %s", status, answer)
	}
	if got, _ := c.next(); got != "x" {
		t.Errorf("got %q", got)
	}
	if status, _ := request(t, oneShot(nil), http.MethodGet, "http://"+admin.Addr().String()+"/livez", ""); status != http.StatusOK {
		t.Errorf("admin: %d", status)
	}
	s.stop()
}

// TestSocketActivationBesideAddresses: --listen that was set is served, too.
func TestSocketActivationBesideAddresses(t *testing.T) {
	clients := listenTCP(t)
	p := activated(t, "ws", []net.Listener{clients}, "--listen=127.0.0.1:0")
	first := servedURL.FindString(p.stderr.wait(t, "serving"))
	second := servedURL.FindString(p.stderr.wait(t, "serving"))
	if first == "http://"+clients.Addr().String() || second != "http://"+clients.Addr().String() {
		t.Errorf("served are %s and %s", first, second)
	}
	for _, url := range []string{first, second} {
		if status, _ := request(t, oneShot(nil), http.MethodGet, url+"/livez", ""); status != http.StatusOK {
			t.Errorf("%s: %d", url, status)
		}
	}
}

func TestSocketsThatAreNotUnderstood(t *testing.T) {
	for name, tt := range map[string]struct {
		names string
		count int
		args  []string
		says  string
	}{
		"unknown name":   {"fanfare.socket", 1, nil, `"fanfare.socket" is neither ws nor admin`},
		"two for admin":  {"admin:admin", 2, nil, "one socket named admin"},
		"admin is taken": {"admin", 1, []string{"--admin-listen=127.0.0.1:0", "--listen=127.0.0.1:0"}, "--admin-listen"},
	} {
		t.Run(name, func(t *testing.T) {
			listeners := make([]net.Listener, 0, tt.count)
			for range tt.count {
				listeners = append(listeners, listenTCP(t))
			}
			p := activated(t, tt.names, listeners, tt.args...)
			if code := p.exit(); code != exitSetting || !strings.Contains(p.stderr.all(), tt.says) {
				t.Errorf("exit code %d: %s", code, p.stderr.all())
			}
		})
	}
}
