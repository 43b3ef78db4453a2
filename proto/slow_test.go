package proto_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	gobwas "github.com/gobwas/ws"

	"fanfare/proto"
	"fanfare/proto/prototest"
)

func pass(context.Context) error { return nil }

// TestSlow: while work hangs, a ping is answered and a delivery arrives; commands wait and run in order afterwards.
func TestSlow(t *testing.T) {
	d := newToy()
	addr := start(t, d, proto.Config{})
	c := dial(t, addr, "/?topic=a")
	want(t, c, "< welcome")
	say(t, c, "slow", "echo 1", "echo 2", "echo 3", "echo 4", "echo 5")
	<-d.started
	ping(t, c)
	_ = call(t, addr, http.MethodPost, "/publish/a", "news")
	want(t, c, "< news")
	d.gates <- pass
	want(t, c, "< slow done", "< 1", "< 2", "< 3", "< 4", "< 5")
}

// TestSlowChain: what waits goes on waiting when then needs more, and while one of two works is under way.
func TestSlowChain(t *testing.T) {
	d := newToy()
	c := dial(t, start(t, d, proto.Config{}), "/")
	want(t, c, "< welcome")
	say(t, c, "twice", "echo after")
	<-d.started
	d.gates <- pass
	want(t, c, "< first")
	<-d.started
	ping(t, c)
	d.gates <- pass
	want(t, c, "< second", "< after")
	say(t, c, "pair", "echo after")
	<-d.started
	<-d.started
	d.gates <- pass
	want(t, c, "< one of a pair")
	ping(t, c)
	d.gates <- pass
	want(t, c, "< one of a pair", "< after")
}

// TestSlowErrors: an error of work, a panic in it, its deadline, and too many at once; none harms the connection, and what waits comes.
func TestSlowErrors(t *testing.T) {
	d := newToy()
	addr := start(t, d, proto.Config{SlowDeadline: 50 * time.Millisecond, SlowWorks: 1})
	c := dial(t, addr, "/")
	want(t, c, "< welcome")
	d.gates <- func(context.Context) error { return &proto.Error{Code: "denied"} }
	say(t, c, "slow", "echo x")
	want(t, c, "< denied", "< x")
	slow := func(text string) { // the place of a work that has ended is free a moment later
		t.Helper()
		for range 1000 {
			say(t, c, "slow")
			got, err := c.Text()
			if got == text {
				return
			}
			if err != nil || got != "< busy" {
				t.Fatal(got, err)
			}
			time.Sleep(time.Millisecond)
		}
		t.Fatal("busy for ever")
	}
	slow("< timeout")              // nothing lets it pass until the deadline
	ignores := make(chan struct{}) // work that does not look at its context
	d.gates <- func(context.Context) error { <-ignores; return nil }
	slow("< timeout")
	say(t, c, "slow", "echo again") // the one place is taken still
	want(t, c, "< busy", "< again")
	close(ignores)
	d.gates <- pass
	slow("< slow done")

	d.gates <- func(context.Context) error { return errors.New(strings.Repeat("x", len(d.name)-9)) }
	slow("<! 1011")
	metric(t, addr, `fanfare_panics_total{where="proto"} 1`)
}

// TestSlowLimits: 16 messages wait, 64 KiB of them; what is more is closed with 1008.
func TestSlowLimits(t *testing.T) {
	for name, frames := range map[string][]string{
		"frames": strings.Split(strings.Repeat("echo x,", 17)[:17*7-1], ","),
		"bytes":  {strings.Repeat("x", 33<<10), strings.Repeat("x", 33<<10)},
	} {
		t.Run(name, func(t *testing.T) {
			d := newToy()
			c := dial(t, start(t, d, proto.Config{}), "/")
			want(t, c, "< welcome")
			say(t, c, "slow")
			<-d.started
			say(t, c, frames[:len(frames)-1]...)
			ping(t, c)
			say(t, c, frames[len(frames)-1])
			want(t, c, "<! 1008")
			d.gates <- pass
		})
	}
}

// reset ends a connection the hard way.
func reset(tb testing.TB, c net.Conn) {
	tb.Helper()
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		tb.Fatal("no TCP")
	}
	_ = tcp.SetLinger(0)
	_ = tcp.Close()
}

// TestSlowReset: a connection that is reset while work is under way is freed at once; what work returns is dropped.
func TestSlowReset(t *testing.T) {
	d := newToy()
	addr := start(t, d, proto.Config{})
	const conns = 20
	for i := range conns {
		c := dial(t, addr, "/?topic=a")
		want(t, c, "< welcome")
		say(t, c, "slow", "echo x")
		<-d.started
		ping(t, c)
		reset(t, c.Conn)
		metric(t, addr, "fanfare_subscriptions 0")
		if got := d.closed.Load(); got != int64(i+1) {
			t.Fatal(got)
		}
	}
	metric(t, addr, "fanfare_connections 0")
	for range conns {
		d.gates <- pass
	}
	c := dial(t, addr, "/") // in a slot that was used
	want(t, c, "< welcome")
	say(t, c, "echo x")
	want(t, c, "< x")
}

// TestPending: an upgrade that must ask first. Bytes behind the head are kept; topics are joined by then only.
func TestPending(t *testing.T) {
	d := newToy()
	addr := start(t, d, proto.Config{SlowDeadline: 200 * time.Millisecond})
	conn, err := prototest.Dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	bytes := append([]byte(prototest.Head(addr, "/wait?topic=w", "")), prototest.Frame(gobwas.OpText, []byte("echo 1"))...)
	if _, err := conn.Write(bytes); err != nil {
		t.Fatal(err)
	}
	<-d.started
	if a := call(t, addr, http.MethodPost, "/publish/w", "early"); a.Body != "0" {
		t.Fatal(a.Body)
	}
	if _, err := conn.Write(prototest.Frame(gobwas.OpText, []byte("echo 2"))); err != nil {
		t.Fatal(err)
	}
	d.gates <- pass
	c := prototest.Raw(conn)
	if a, err := c.Answer(); err != nil || a.Status != http.StatusSwitchingProtocols {
		t.Fatal(a, err)
	}
	want(t, c, "< welcome", "< 1", "< 2")
	if a := call(t, addr, http.MethodPost, "/publish/w", "now"); a.Body != "1" {
		t.Fatal(a.Body)
	}
	want(t, c, "< now")

	for _, s := range []struct {
		gate   func(context.Context) error
		status int
		code   string
	}{
		{func(context.Context) error { return &proto.Error{Status: 403, Code: "denied", Text: "no"} }, 403, "denied"},
		{func(context.Context) error { return errors.New("broken") }, 500, "internal"},
		{func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, 503, "timeout"},
	} {
		d.gates <- s.gate
		_, refused, err := prototest.Open(addr, "/wait?topic=w", "")
		if err != nil || refused == nil || refused.Status != s.status || !strings.Contains(refused.Body, `"code":"`+s.code+`"`) {
			t.Fatal(refused, err)
		}
		metric(t, addr, `fanfare_handshakes_refused_total{reason="`+s.code+`"} 1`)
	}

	conn, err = prototest.Dial(addr) // gone before the answer
	if err != nil {
		t.Fatal(err)
	}
	_, _ = conn.Write([]byte(prototest.Head(addr, "/wait", "")))
	<-d.started
	reset(t, conn)
	d.gates <- pass
	metric(t, addr, "fanfare_connections 1")
	say(t, c, "count")
	want(t, c, "< 1 3")
}
