//go:build systemd

package main

import (
	"net/http"
	"os"
	"os/exec"
	"testing"
)

// TestSystemdSocketActivate lets systemd's own tool bind the address and start the server at the first connection.
func TestSystemdSocketActivate(t *testing.T) {
	l := listenTCP(t)
	address := l.Addr().String()
	_ = l.Close()
	p := &process{t: t, stdout: newLines(), stderr: newLines(), ended: make(chan struct{})}
	p.cmd = exec.Command("systemd-socket-activate", "--listen="+address, "--fdname=ws", binary, "serve")
	p.cmd.Env = os.Environ()
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
	})
	p.stderr.wait(t, "Listening on")
	s := &server{p, "http://" + address}
	if status, _ := s.request(http.MethodGet, "/livez", ""); status != http.StatusOK { // its connection waits for the server
		t.Errorf("livez: %d", status)
	}
	c := dial(t, s.ws("topic=news"))
	if status, answer := s.request(http.MethodPost, "/broadcast?topic=news", "x"); status != http.StatusAccepted {
		t.Errorf("broadcast: %d %s", status, answer)
	}
	if got, _ := c.next(); got != "x" {
		t.Errorf("got %q", got)
	}
	s.stop()
}
