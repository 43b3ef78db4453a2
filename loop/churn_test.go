package loop

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fanfare/loop/http1"
	"fanfare/loop/ws"
)

// crowd is a Handler that keeps each loop's members and a Worker that broadcasts to them and kicks some during its walk.
type crowd struct {
	*fake
	stop  atomic.Bool
	loops []*gang
}

// gang is what one loop owns.
type gang struct {
	l       *Loop
	f       *fake
	stop    *atomic.Bool
	members []Ref
	at      int
	number  int
	kicks   int
	r       *rand.Rand
}

func (g *gang) leave(ref Ref) {
	for i, m := range g.members {
		if m == ref {
			g.members[i] = g.members[len(g.members)-1]
			g.members = g.members[:len(g.members)-1]
			return
		}
	}
}

// Work walks over its members: to each a frame or several, now and then a kick of the member in hand or of another one, also of
// those that are gone.
func (g *gang) Work(n int) (more bool) {
	if g.stop.Load() {
		return false
	}
	g.f.within(g.l, "Work", func() {
		for range min(n, 16, len(g.members)) {
			g.at = (g.at + 1) % len(g.members)
			ref := g.members[g.at]
			g.number++
			frames := [][]byte{numbered(g.number, 100+g.number%5000)}
			if g.number%7 == 0 {
				frames = append(frames, numbered(g.number, 20))
			}
			g.l.Send(uint64(ref), 1, uint8(g.number%2), g.number%3 == 0, frames)
			if k := g.r.IntN(400); k < 3 {
				victim := g.members[g.r.IntN(len(g.members))]
				if c := g.l.slab.find(victim); c != nil {
					g.kicks++
					switch k {
					case 0:
						c.Close(4000, "kicked")
					case 1:
						g.l.kill(c, ByServer)
					default:
						g.l.kill(c, ByServer)
						g.l.Send(uint64(victim), 1, Disconnect, false, frames)
					}
				}
			}
		}
	})
	return len(g.members) > 0
}

// TestChurn: hundreds of clients connect, talk, half close, reset, go over to plain HTTP or break the protocol while each loop's
// worker broadcasts to them and kicks some. Everybody who behaves gets whole frames, everybody gets an end, nothing is left.
func TestChurn(t *testing.T) {
	const loops, workers, rounds = 2, 16, 30
	all := &crowd{fake: &fake{}}
	all.head = func(c *Conn, r *http1.Request) Verdict {
		if !r.WantsUpgrade() {
			return Verdict{Do: HTTP}
		}
		g := all.loops[c.Loop().ID()]
		g.members = append(g.members, c.Ref())
		c.SetDue(time.Duration(1+g.r.IntN(3)) * tick)
		return Verdict{Do: Upgrade, Greeting: text("hello")}
	}
	all.due = func(c *Conn) { c.Ping(10*tick, 8*tick) }
	all.closed = func(c *Conn, _ Reason) { all.loops[c.Loop().ID()].leave(c.Ref()) }
	s := plane(t, all.fake, Config{Loops: loops, Limits: Limits{Backlog: 30000}})
	for i, l := range s.Loops() {
		g := &gang{l: l, f: all.fake, stop: &all.stop, r: rand.New(rand.NewPCG(1, uint64(i)))}
		all.loops = append(all.loops, g)
	}
	for i, l := range s.Loops() {
		on(t, l, func() { s.Attach(i, all.loops[i]) })
	}
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 7))
			for i := range rounds {
				if err := churner(s.addr, r.IntN(10)); err != nil {
					t.Errorf("client %d, round %d: %v", w, i, err)
					return
				}
			}
		})
	}
	wg.Wait()
	eventually(t, "the end of all", func() bool { return s.Stats().Conns == 0 })
	all.stop.Store(true)
	checkSlabs(t, s.Group)
	n := s.Stats()
	ends := int64(0)
	for _, k := range n.Closed {
		ends += k
	}
	if n.Accepted != workers*rounds || ends != n.Accepted || n.Panics != 0 || n.Queued != 0 || n.QueueNodes != 0 {
		t.Errorf("%+v", n)
	}
	kicks := 0
	for i, l := range s.Loops() {
		on(t, l, func() {
			kicks += all.loops[i].kicks
			if m := len(all.loops[i].members); m > 0 {
				t.Errorf("loop %d has %d members left", i, m)
			}
		})
	}
	t.Logf("%d kicks, ends by reason %v", kicks, n.Closed)
}

// churner is the life of one client; its kind is how it behaves.
func churner(addr net.Addr, kind int) error {
	conn, err := net.DialTimeout("tcp", addr.String(), patience)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return fmt.Errorf("not TCP: %T", conn)
	}
	_ = conn.SetDeadline(time.Now().Add(patience))
	cl := &client{Conn: conn, br: newReader(conn)}
	switch kind {
	case 0: // leaves before it has said anything, or in the middle
		_, err = conn.Write([]byte(upgradeOf("/"))[:50])
		return err
	case 1:
		return plainly(cl)
	}
	if _, err := conn.Write([]byte(upgradeOf("/"))); err != nil {
		return err
	}
	if err := skipHead(cl.br); err != nil {
		return fmt.Errorf("handshake: %w", err)
	}
	if op, p, err := cl.hear(); err != nil || op != ws.OpText || string(p) != "hello" {
		return fmt.Errorf("greeting %x %.40q: %w", op, p, err)
	}
	for i := range 5 {
		if _, err := conn.Write(masked(ws.OpText, strconv.Itoa(i))); err != nil {
			return nil // it was kicked
		}
		if err := cl.whole(3); err != nil {
			return err
		}
	}
	switch kind {
	case 2, 3:
		_ = tcp.SetLinger(0)
	case 4, 5:
		_ = tcp.CloseWrite()
	case 6:
		_, _ = conn.Write([]byte("\x81\x01a"))
	case 7:
		return nil
	default:
		_, _ = conn.Write(maskedClose(1000, ""))
	}
	if kind > 3 {
		return cl.whole(1 << 20)
	}
	return nil
}

// whole reads up to n frames and checks each of the numbered ones; the end may come between two frames.
func (c *client) whole(n int) error {
	for range n {
		op, p, err := c.hear()
		switch {
		case err != nil:
			return atBoundary(err)
		case op == ws.OpClose:
			return nil
		case op == ws.OpBinary && string(p) != string(payload(numberOf(p), len(p))):
			return fmt.Errorf("frame of %d bytes is torn", len(p))
		case op != ws.OpBinary && op != ws.OpText && op != ws.OpPing:
			return fmt.Errorf("frame %x", op)
		}
	}
	return nil
}

func plainly(cl *client) error {
	if _, err := cl.Write([]byte("GET /plain HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")); err != nil {
		return err
	}
	line, err := cl.br.ReadString('\n')
	if err != nil || !has(line, "200") {
		return fmt.Errorf("%q: %w", line, err)
	}
	return nil
}
