package loop

import (
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fanfare/loop/ws"
)

// isRefused reads the answer of a refusal that came without a request, and its end.
func (c *client) isRefused(status int, why Refusal) {
	c.tb.Helper()
	r := c.answer()
	if r.status != status || r.header.Get("Retry-After") != "1" || !r.last || !has(r.body, `{"error":{"code":"`+why.String()+`","message":"`) {
		c.tb.Errorf("%+v, want %d for %s", r, status, why)
	}
	c.ends()
}

// TestAdmitConns: so many in all loops, and no more; the limit may change, and who leaves makes room.
func TestAdmitConns(t *testing.T) {
	s := start(t, &fake{}, Config{Loops: 2, Admission: Admission{Conns: 3}})
	cl, _ := s.join()
	s.join()
	s.join()
	for range 3 {
		dial(t, s.addr).isRefused(503, FullConns)
	}
	s.Admit(Admission{Conns: 4})
	s.join()
	dial(t, s.addr).isRefused(503, FullConns)
	_ = cl.Close()
	eventually(t, "a place", func() bool { return s.gate.open.Load() == 3 })
	s.join()
	dial(t, s.addr).isRefused(503, FullConns)
	s.Admit(Admission{})
	s.join()
	eventually(t, "the count", func() bool { n := s.Stats(); return n.Refused[FullConns] == 5 && n.Accepted == 6 && n.Conns == 5 })
}

// TestAdmitCountsHTTP: who is with net/http takes a place until that connection ends.
func TestAdmitCountsHTTP(t *testing.T) {
	s := plane(t, &fake{}, Config{Admission: Admission{Conns: 2}})
	plain := dial(t, s.addr)
	plain.http("GET", "/", nil)
	eventually(t, "a free slot", func() bool { n := s.Stats(); return n.Conns == 0 && n.HTTP == 1 && s.gate.open.Load() == 0 })
	s.join()
	dial(t, s.addr).isRefused(503, FullConns)
	plain.http("GET", "/again", nil)
	_ = plain.Close()
	eventually(t, "the end of the HTTP connection", func() bool { return s.Stats().HTTP == 0 })
	s.join()
}

// TestAdmitRate: bursts of a second, then one by one.
func TestAdmitRate(t *testing.T) {
	f := &fake{}
	t.Cleanup(func() { f.check(t) })
	before := descriptors()
	g := group(t, Config{Loops: 2, Handler: f, Admission: Admission{Rate: 5}})
	var now atomic.Int64
	g.clock = now.Load
	_, addr, err := g.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	begin(t, g, before)
	s := &server{Group: g, fake: f, tb: t, addr: addr}
	for range 5 {
		s.join()
	}
	dial(t, s.addr).isRefused(429, FullRate)
	now.Add(int64(200 * time.Millisecond))
	s.join()
	dial(t, s.addr).isRefused(429, FullRate)
	if n := s.gate.open.Load(); n != 6 {
		t.Errorf("%d places taken by 6", n)
	}
}

func TestRatePasses(t *testing.T) {
	for _, rate := range []int64{1, 3, 50, 1000, 70000} {
		var x gate
		for _, at := range []int64{0, 5, 500} { // a burst after a long rest, in s
			n := int64(0)
			for x.pass(at*int64(time.Second), rate) {
				n++
			}
			if n != rate {
				t.Errorf("%d a second: a burst of %d", rate, n)
			}
		}
		n, began := int64(0), 1000*int64(time.Second)
		for i := range int64(100_000) { // 10 s of attempts, one every 100 us
			if x.pass(began+i*100_000, rate) {
				n++
			}
		}
		if most := min(11*rate, 100_000); n > most || n < min(10*rate, 99_000) {
			t.Errorf("%d a second: %d in 10 s", rate, n)
		}
	}
}

// TestAdmitMemory: above the watermark nobody comes in, below it everybody again; who is there stays.
func TestAdmitMemory(t *testing.T) {
	s := start(t, &fake{}, Config{})
	cl, _ := s.join()
	s.Admit(Admission{Memory: 1})
	advance(t, s.Group, tick)
	dial(t, s.addr).isRefused(503, FullMemory)
	cl.say("still here")
	cl.expect(ws.OpText, "still here")
	s.Admit(Admission{Memory: 1 << 50})
	advance(t, s.Group, tick)
	s.join()
	s.Admit(Admission{Memory: 1})
	advance(t, s.Group, tick)
	s.Admit(Admission{})
	s.join()
	if n := s.gauge.inUse(); n < 1<<18 || n > 1<<33 {
		t.Errorf("%d bytes in use", n)
	}
	eventually(t, "the end of the collection", func() bool { return !s.gauge.busy.Load() })
}

// TestRefusedReadsWhy: who sends its request only after the refusal gets the whole answer, and an end without a reset; later
// the descriptor is gone.
func TestRefusedReadsWhy(t *testing.T) {
	s := start(t, &fake{}, Config{Admission: Admission{Conns: 1}})
	s.join()
	l := s.loop()
	early, late := dial(t, s.addr), dial(t, s.addr)
	eventually(t, "two refusals", func() bool { return ask(t, l, func() int64 { return l.count.refused[FullConns] }) == 2 })
	late.request("/")
	advance(t, s.Group, lingerTicks*tick)
	if n := ask(t, l, func() int { return len(l.lingering) }); n != 0 {
		t.Errorf("%d linger on", n)
	}
	for _, cl := range []*client{early, late} {
		if r := cl.answer(); r.status != 503 {
			t.Errorf("%+v", r)
		}
		if b, err := io.ReadAll(cl.br); len(b) > 0 || err != nil {
			t.Errorf("%q, %v", b, err)
		}
	}
}

// TestLingerersAreFew: however many are refused at once, each gets its answer and few descriptors are kept.
func TestLingerersAreFew(t *testing.T) {
	s := start(t, &fake{}, Config{Admission: Admission{Conns: 1}})
	s.join()
	l := s.loop()
	on(t, l, func() { l.lingerers = 10 })
	refused := make([]*client, 40)
	for i := range refused {
		refused[i] = dial(t, s.addr)
	}
	eventually(t, "40 refusals", func() bool { return s.Stats().Refused[FullConns] == 40 })
	if n := ask(t, l, func() int { return len(l.lingering) }); n > 10 {
		t.Errorf("%d linger", n)
	}
	for _, cl := range refused {
		cl.isRefused(503, FullConns)
	}
}

// TestNoFiles: who comes when the last descriptor is gone is told so, by means of the spare one, which is there again afterwards.
func TestNoFiles(t *testing.T) {
	s := start(t, &fake{}, Config{})
	cl, _ := s.join()
	addr, ok := s.addr.(*net.TCPAddr)
	if !ok {
		t.Fatal("not TCP")
	}
	var fds [3]int
	for i := range fds {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		fds[i] = fd
		defer func() { _ = unix.Close(fd) }()
	}
	restore := exhaust(t)
	for i, fd := range fds {
		if err := unix.Connect(fd, &unix.SockaddrInet4{Port: addr.Port, Addr: [4]byte(addr.IP.To4())}); err != nil {
			restore()
			t.Fatal(err)
		}
		b := make([]byte, 1024)
		n, err := unix.Read(fd, b)
		if err != nil || !has(string(b[:n]), "HTTP/1.1 503") || !has(string(b[:n]), `"code":"descriptors_full"`) {
			t.Errorf("connection %d: %q, %v", i, b[:n], err)
		}
		cl.say("the others are served")
		cl.expect(ws.OpText, "the others are served")
	}
	restore()
	eventually(t, "the counts", func() bool { n := s.Stats(); return n.Refused[NoFiles] == 3 && n.Accepted == 1 && n.AcceptErrors >= 3 })
	if fd := ask(t, s.loop(), func() int { return s.loop().spare }); fd < 0 {
		t.Error("there is no spare descriptor")
	}
	s.join()
}

// TestSkew: when one loop has many more than another, the new ones go to the emptiest, whoever accepts them.
func TestSkew(t *testing.T) {
	s := start(t, &fake{}, Config{Loops: 3})
	for i, n := range []int64{1000, 500, 2000} {
		s.loops[i].load.Add(n)
		defer s.loops[i].load.Add(-n)
	}
	for range 60 {
		if _, ref := s.join(); ref.Loop() != 1 {
			t.Fatalf("went to loop %d", ref.Loop())
		}
	}
	eventually(t, "the count", func() bool { n := s.Stats(); return n.Accepted == 60 && n.Moved > 0 && n.Moved < 60 })
	if n := s.loops[1].load.Load(); n != 560 {
		t.Errorf("the load is %d", n)
	}
	for _, x := range []struct {
		most, least int64
		want        bool
	}{{64, 0, false}, {65, 0, true}, {65, 60, false}, {120, 100, false}, {121, 100, true}} {
		if got := skewed(x.most, x.least); got != x.want {
			t.Errorf("%d and %d: %t", x.most, x.least, got)
		}
	}
	s.loops[1].pulse.ticked.Store(s.clock() - int64(time.Hour))
	if l := s.emptiest(); l.id != 0 && l.id != 1 { // 1: it ticked meanwhile
		t.Errorf("chose loop %d", l.id)
	}
}

func TestRefusals(t *testing.T) {
	seen := make(map[string]bool)
	for r := range refusals + 1 {
		if s := r.String(); s == "" || seen[s] || (s == "unknown") != (r == refusals) {
			t.Errorf("%d: %q", r, s)
		}
		seen[r.String()] = true
	}
}
