//go:build reach || faults || prometheus

package main

import (
	"bufio"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// What the suites with thousands of clients share. The clients are processes of their own (testdata), so that they neither share the
// server's memory nor its descriptors.

// swarm is a process that holds many clients.
type swarm struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

// connect starts n clients and waits until all of them are subscribed.
func connect(t *testing.T, s *server, n int, args ...string) *swarm {
	t.Helper()
	raiseFiles(t)
	w := newSwarm(t, exec.CommandContext(t.Context(), swarmBinary(t), append([]string{"-addr", s.address(), "-n", strconv.Itoa(n)}, args...)...))
	if got, want := w.line(), fmt.Sprint("connected ", n); got != want {
		t.Fatalf("swarm: %q, want %q", got, want)
	}
	w.favour()
	return w
}

// newSwarm starts the process; it ends with the test.
func newSwarm(t *testing.T, cmd *exec.Cmd) *swarm {
	t.Helper()
	w := &swarm{t: t, cmd: cmd}
	w.cmd.Stderr = os.Stderr
	var err error
	if w.in, err = w.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	w.out = bufio.NewScanner(out)
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.kill)
	return w
}

// favour lets the clients go first on the processors that they share with the server, as far as this user may: real clients have
// processors of their own.
func (w *swarm) favour() {
	tasks, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", w.cmd.Process.Pid))
	for _, task := range tasks {
		if id, err := strconv.Atoi(task.Name()); err == nil {
			_ = syscall.Setpriority(syscall.PRIO_PROCESS, id, -10)
		}
	}
}

func (w *swarm) kill() {
	_ = w.cmd.Process.Kill()
	_ = w.cmd.Wait()
}

func (w *swarm) line() string {
	w.t.Helper()
	if !w.out.Scan() {
		w.t.Fatal("the swarm ended")
	}
	return w.out.Text()
}

func (w *swarm) say(line string) {
	w.t.Helper()
	if _, err := fmt.Fprintln(w.in, line); err != nil {
		w.t.Fatal(err)
	}
}

// received is what clients have: how many of them got the same count of messages with the same hash.
type received struct {
	count, clients int
	hash           uint32
}

// report asks for what the clients received and how many of them are closed.
func (w *swarm) report() (groups []received, closed int) {
	w.t.Helper()
	w.say("report")
	for {
		var g received
		line := w.line()
		if _, err := fmt.Sscanf(line, "closed %d", &closed); err == nil {
			return groups, closed
		}
		if _, err := fmt.Sscan(line, &g.count, &g.hash, &g.clients); err != nil {
			w.t.Fatal(line, err)
		}
		groups = append(groups, g)
	}
}

var buildSwarm = sync.OnceValues(func() (string, error) { return buildClients("swarm") })

// buildClients builds a program of testdata.
func buildClients(name string) (path string, err error) {
	path = filepath.Join(filepath.Dir(binary), name)
	out, err := exec.Command("go", "build", "-o", path, "./testdata/"+name).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, out)
	}
	return path, err
}

func swarmBinary(t *testing.T) string {
	t.Helper()
	path, err := buildSwarm()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// raiseFiles lets this process, and those it starts, open as many files as the hard limit allows. (Go does so for itself, but
// hands the old limit to its children.)
func raiseFiles(t *testing.T) {
	t.Helper()
	var lim syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim); err != nil {
		t.Fatal(err)
	}
	lim.Cur = lim.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &lim); err != nil {
		t.Fatal(err)
	}
	if lim.Max < 19_000 {
		t.Fatalf("%d open files allowed; these tests need 19,000", lim.Max)
	}
}

// rss is the resident memory of the server in bytes.
func (s *server) rss() int {
	s.t.Helper()
	return s.proc("smaps_rollup", "Rss:")
}

// proc reads a line in kB of one of the server's files in /proc.
func (s *server) proc(file, name string) int {
	s.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", s.cmd.Process.Pid, file))
	if err != nil {
		s.t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == name {
			n, err := strconv.Atoi(f[1])
			if err != nil {
				s.t.Fatal(err)
			}
			return n << 10
		}
	}
	s.t.Fatalf("no %s in %s", name, b)
	return 0
}

func (s *server) broadcast(payload string) {
	s.t.Helper()
	if status, body := s.request(http.MethodPost, "/broadcast?topic=a", payload); status != http.StatusAccepted {
		s.t.Fatal(status, body)
	}
}

// allHave reports whether every client has exactly n messages.
func (w *swarm) allHave(clients, n int) bool {
	w.t.Helper()
	groups, closed := w.report()
	if closed > 0 {
		w.t.Fatalf("%d clients were closed", closed)
	}
	return len(groups) == 1 && groups[0].count == n && groups[0].clients == clients
}

type accepted struct {
	offset  int
	payload string
}

// flood publishes messages of a bit more than size bytes until end, and gives what was accepted.
func flood(t *testing.T, s *server, publisher, size int, end time.Time) (list []accepted) {
	t.Helper()
	client := &http.Client{}
	defer client.CloseIdleConnections()
	for i := 0; time.Now().Before(end); i++ {
		payload := fmt.Sprintf("%d:%d:%0*d", publisher, i, size, i)
		status, body := request(t, client, http.MethodPost, s.url+"/broadcast?topic=a", payload)
		switch status {
		case http.StatusAccepted:
			_, rest, _ := strings.Cut(body, `"position":"`)
			position, _, _ := strings.Cut(rest, `"`)
			_, offset, _ := strings.Cut(position, "-")
			n, err := strconv.Atoi(offset)
			if err != nil {
				t.Error(body, err)
				return nil
			}
			list = append(list, accepted{n, payload})
		case http.StatusServiceUnavailable:
		default:
			t.Error(status, body)
			return nil
		}
	}
	return list
}

// want is the count and the hash that a subscriber must have who got everything in order.
func want(all [][]accepted) (count int, hash uint32) {
	var list []accepted
	for _, l := range all {
		list = append(list, l...)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].offset < list[j].offset })
	castagnoli := crc32.MakeTable(crc32.Castagnoli)
	for _, a := range list {
		hash = crc32.Update(hash, castagnoli, []byte(a.payload))
	}
	return len(list), hash
}
