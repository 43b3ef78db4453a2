package loop

import (
	"log/slog"
	"net"
	"testing"

	"fanfare/loop/http1"
	"fanfare/loop/ws"
)

// echo upgrades everything and sends back what it gets: a Handler of a dozen lines, the reference for the contract.
type echo struct{}

func (echo) Head(_ *Conn, r *http1.Request) Verdict {
	if !r.WantsUpgrade() {
		return Verdict{Do: HTTP}
	}
	return Verdict{Do: Upgrade}
}

func (echo) Message(c *Conn, op byte, p []byte) error {
	c.Reply(ws.AppendFrame(nil, op, p))
	return nil
}
func (echo) Failed(*Conn, error)  {}
func (echo) Due(*Conn)            {}
func (echo) Closed(*Conn, Reason) {}

// serve starts a group on a port of its own and ends it with the test, which must leave no descriptor of it behind.
func serve(tb testing.TB, cfg Config) (*Group, net.Addr) {
	tb.Helper()
	before := descriptors()
	g := group(tb, cfg)
	_, addr, err := g.Listen("127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	begin(tb, g, before)
	return g, addr
}

// group makes a group that is not started.
func group(tb testing.TB, cfg Config) *Group {
	tb.Helper()
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	g, err := New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return g
}

// begin starts a group; at the end of the test it is closed, and no more descriptors than before may be open.
func begin(tb testing.TB, g *Group, before map[string]string) {
	tb.Helper()
	if err := g.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		checkSlabs(tb, g)
		g.Close()
		if after := descriptors(); len(after) > len(before) {
			tb.Errorf("%d descriptors before, %d after: %v", len(before), len(after), news(before, after))
		}
	})
}

// checkSlabs checks what must hold at any time between two turns.
func checkSlabs(tb testing.TB, g *Group) {
	tb.Helper()
	for _, l := range g.loops {
		for _, fault := range ask(tb, l, func() []string { return faultsOf(l) }) {
			tb.Errorf("loop %d: %s", l.id, fault)
		}
	}
}
