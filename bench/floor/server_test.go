//go:build bench

package floor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"fanfare/bench/target"
)

// server is a running floor.
type server struct {
	addr string
	cmd  *exec.Cmd
}

// serve builds floor and starts it; before are the words of the command in front of it.
func serve(t *testing.T, before []string, flags ...string) *server {
	t.Helper()
	path, err := Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	port, err := target.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	words := append(append(append([]string{}, before...), path, strconv.Itoa(port)), flags...)
	cmd := exec.Command(words[0], words[1:]...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := &server{addr: addr, cmd: cmd}
	t.Cleanup(func() { s.stop(t) })
	for range 200 {
		if response, err := http.Get("http://" + addr + "/healthz"); err == nil {
			_ = response.Body.Close()
			return s
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("floor does not answer")
	return nil
}

// stop ends floor by the signal that it should end cleanly on.
func (s *server) stop(t *testing.T) {
	t.Helper()
	if s.cmd.ProcessState != nil {
		return
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("floor ended with %v", err)
	}
}

// post sends a body and returns the numbers of the answer.
func (s *server) post(t *testing.T, path, body string) map[string]float64 {
	t.Helper()
	request, err := http.NewRequest(http.MethodPost, "http://"+s.addr+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return numbers(t, request)
}

func (s *server) health(t *testing.T) map[string]float64 {
	t.Helper()
	request, err := http.NewRequest(http.MethodGet, "http://"+s.addr+"/healthz", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	return numbers(t, request)
}

func numbers(t *testing.T, request *http.Request) map[string]float64 {
	t.Helper()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	var found map[string]float64
	if err := json.NewDecoder(response.Body).Decode(&found); err != nil || response.StatusCode != http.StatusOK {
		t.Fatal(response.Status, err)
	}
	return found
}

// subscribe opens n subscribers.
func (s *server) subscribe(t *testing.T, n int) []net.Conn {
	t.Helper()
	conns := make([]net.Conn, n)
	for i := range conns {
		dialer := ws.Dialer{Protocols: []string{"fanfare", "other"}}
		conn, early, handshake, err := dialer.Dial(context.Background(), fmt.Sprintf("ws://%s/any/path%d?x=1", s.addr, i))
		if err != nil {
			t.Fatal(err)
		}
		if early != nil {
			t.Fatal("frames before any broadcast")
		}
		if handshake.Protocol != "fanfare" {
			t.Fatalf("subprotocol %q", handshake.Protocol)
		}
		conns[i] = conn
		t.Cleanup(func() { _ = conn.Close() })
	}
	return conns
}

// receive reads one frame of each.
func receive(t *testing.T, conns []net.Conn, op ws.OpCode, want string) {
	t.Helper()
	for i, conn := range conns {
		if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		header, err := ws.ReadHeader(conn)
		if err != nil {
			t.Fatalf("subscriber %d: %v", i, err)
		}
		if header.OpCode != op || !header.Fin || header.Masked || header.Length != int64(len(want)) {
			t.Fatalf("subscriber %d: %+v, %d bytes wanted", i, header, len(want))
		}
		payload := make([]byte, len(want))
		if _, err := io.ReadFull(conn, payload); err != nil || string(payload) != want {
			t.Fatalf("subscriber %d: %.40q %v", i, payload, err)
		}
	}
}

// silent fails if any of them has something to read.
func silent(t *testing.T, conns []net.Conn) {
	t.Helper()
	time.Sleep(100 * time.Millisecond)
	for i, conn := range conns {
		if err := conn.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if n, err := conn.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("subscriber %d: %d bytes more, %v", i, n, err)
		}
	}
}

func TestBenchEverySubscriberOnce(t *testing.T) {
	s := serve(t, nil)
	conns := s.subscribe(t, 200)
	for _, size := range []int{0, 1, 125, 126, 4096, 59_000} {
		body := strings.Repeat("x", size)
		if got := s.post(t, "/broadcast", body)["receivers"]; got != 200 {
			t.Errorf("%v receivers", got)
		}
		receive(t, conns, ws.OpText, body)
	}
	silent(t, conns)
	if health := s.health(t); health["sent"] != 6*200 || health["dropped"] != 0 || health["subscribers"] != 200 {
		t.Error(health)
	}
}

// Messages of one publisher arrive in order and whole on a single kept-alive connection, in as many pieces as it likes.
func TestBenchKeepAliveInPieces(t *testing.T) {
	s := serve(t, nil)
	conns := s.subscribe(t, 20)
	publisher, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = publisher.Close() }()
	for i := range 50 {
		body := "message " + strconv.Itoa(i)
		request := fmt.Sprintf("POST /broadcast HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		cut := i % len(request)
		for _, piece := range []string{request[:cut], request[cut:]} {
			if _, err := io.WriteString(publisher, piece); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Millisecond)
		}
	}
	for i := range 50 {
		receive(t, conns, ws.OpText, "message "+strconv.Itoa(i))
	}
	silent(t, conns)
	if got := s.health(t)["subscribers"]; got != 20 {
		t.Errorf("%v subscribers: a publisher counts as one", got)
	}
}

func TestBenchCloseAndLeave(t *testing.T) {
	s := serve(t, nil)
	conns := s.subscribe(t, 3)
	if err := wsutil.WriteClientText(conns[0], []byte("thrown away")); err != nil {
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond) // a close that shares a segment with something else is not looked for
	closing, err := ws.CompileFrame(ws.MaskFrame(ws.NewCloseFrame(nil)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conns[0].Write(closing); err != nil {
		t.Fatal(err)
	}
	receive(t, conns[:1], ws.OpClose, "")
	_ = conns[1].Close()
	time.Sleep(100 * time.Millisecond)
	if got := s.post(t, "/broadcast", "last")["receivers"]; got != 1 {
		t.Errorf("%v receivers", got)
	}
	receive(t, conns[2:], ws.OpText, "last")
}

// A subscriber that does not read is cut off at the first send that the kernel does not take whole.
func TestBenchNothingIsKept(t *testing.T) {
	s := serve(t, nil)
	s.subscribe(t, 1)
	body := strings.Repeat("x", 50_000)
	for range 2000 {
		if s.post(t, "/broadcast", body)["receivers"] == 0 {
			break
		}
	}
	if health := s.health(t); health["dropped"] != 1 || health["subscribers"] != 0 {
		t.Error(health)
	}
}

func TestBenchPing(t *testing.T) {
	s := serve(t, nil, "--ping", "1")
	conns := s.subscribe(t, 130)
	receive(t, conns, ws.OpPing, "")
	began := time.Now()
	receive(t, conns, ws.OpPing, "")
	receive(t, conns, ws.OpPing, "")
	if took := time.Since(began); took < 1200*time.Millisecond || took > 3*time.Second {
		t.Errorf("two more pings took %v, every second wanted", took)
	}
}

func TestBenchPlain(t *testing.T) {
	s := serve(t, nil, "--threads", "1")
	conns := s.subscribe(t, 50)
	plain := s.post(t, "/plain?n=10", "bare")
	if plain["sends"] != 500 || plain["failed"] != 0 || plain["ns_per_send"] < 100 {
		t.Error(plain)
	}
	for range 10 {
		receive(t, conns, ws.OpText, "bare")
	}
	silent(t, conns)
}

// A delivery costs one send: of all other system calls there are as many for 20 subscribers as for 200, beside what it takes to
// open and close a connection.
func TestBenchOneSendPerDelivery(t *testing.T) {
	const rounds = 20
	others := map[int]int{}
	for _, n := range []int{20, 200} {
		calls := traced(t, n, rounds)
		if calls["sendto"] != n*rounds {
			t.Errorf("%d sendto for %d deliveries: %v", calls["sendto"], n*rounds, calls)
		}
		const start = 80 // the loader, the threads, the sockets of floor itself, its health
		idle := traced(t, n, 0)
		for name, count := range calls {
			if name != "sendto" {
				others[n] += count - idle[name]
			}
		}
		if others[n] > rounds*20+start {
			t.Errorf("%d other calls for %d broadcasts to %d: %v, without them %v", others[n], rounds, n, calls, idle)
		}
	}
	if grown := others[200] - others[20]; grown > rounds*4 {
		t.Errorf("%d more other calls for 180 more subscribers", grown)
	}
	t.Logf("other calls beside %d broadcasts: %v", rounds, others)
}

// traced counts floor's system calls over n subscribers and so many broadcasts.
func traced(t *testing.T, n, rounds int) map[string]int {
	t.Helper()
	log := filepath.Join(t.TempDir(), "strace")
	s := serve(t, []string{"strace", "-c", "-f", "-U", "calls,name", "-o", log})
	conns := s.subscribe(t, n)
	for i := range rounds {
		s.post(t, "/broadcast", strconv.Itoa(i))
		receive(t, conns, ws.OpText, strconv.Itoa(i))
	}
	return counts(t, s, log)
}
