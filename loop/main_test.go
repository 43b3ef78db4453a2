package loop

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/cloudwego/netpoll"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// netpollWords is what netpoll has logged since the start: nothing, if the rules of its reactor are kept.
var netpollWords words

type words struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (w *words) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.Write(p)
}

func (w *words) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.String()
}

func TestMain(m *testing.M) { os.Exit(run(m)) }

// run sees to it that the package's tests leave nothing behind: no goroutine but netpoll's, no descriptor, no word of netpoll.
func run(m *testing.M) int {
	if err := prelude(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	before := descriptors()
	code := m.Run()
	if code != 0 {
		return code
	}
	if err := goleak.Find(goleak.IgnoreAnyFunction("github.com/cloudwego/netpoll.(*defaultPoll).Wait")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	if after := descriptors(); len(after) != len(before) {
		fmt.Fprintf(os.Stderr, "%d descriptors before, %d after: %v\n", len(before), len(after), news(before, after))
		code = 1
	}
	if s := netpollWords.String(); s != "" {
		fmt.Fprintf(os.Stderr, "netpoll has logged:\n%s", s)
		code = 1
	}
	return code
}

// prelude opens what stays open: netpoll's polls and the Go runtime's own.
func prelude() error {
	netpoll.SetLoggerOutput(&netpollWords)
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err != nil {
		return err
	}
	lim.Cur = lim.Max
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &lim); err != nil {
		return err
	}
	if _, err := polls(3); err != nil {
		return err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	return ln.Close()
}

// descriptors gives what each open descriptor of the process is.
func descriptors() map[string]string {
	d, _ := os.ReadDir("/proc/self/fd")
	m := make(map[string]string, len(d))
	for _, e := range d {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && !strings.HasPrefix(to, "/proc/") {
			m[e.Name()] = to
		}
	}
	return m
}

func news(before, after map[string]string) (s []string) {
	for fd, to := range after {
		if before[fd] != to {
			s = append(s, fd+" -> "+to)
		}
	}
	return s
}
