package proto

import (
	"bytes"
	"net/netip"
	"strings"
	"time"

	"fanfare/fanout"
	"fanfare/loop"
)

// Peer is a dialect's view of one connection. It is valid for the call it was given to, on that connection's loop; keep Ref instead.
type Peer struct {
	c *loop.Conn
	s *Server
}

// Ref names the connection for ever.
func (p Peer) Ref() Ref { return p.c.Ref() }

// Word points at 8 bytes that belong to the dialect, zero at first. The pointer must not outlive the call.
func (p Peer) Word() *uint64 { return p.c.Word() }

// State gives the object set by SetState, nil if there is none.
func (p Peer) State() any { return p.c.State() }

// SetState keeps an object until the connection ends; nil takes it back. It costs memory for each connection: prefer Word.
func (p Peer) SetState(v any) { p.c.SetState(v) }

// Local reports whether the peer is on this machine: a loopback address or a unix socket.
func (p Peer) Local() bool { return p.c.Local() }

// Remote asks the kernel for the peer's address; it is invalid for unix sockets and peers that are gone.
func (p Peer) Remote() netip.AddrPort { return p.c.Remote() }

// Upgraded reports whether the 101 is out, so that errors are told in frames and no longer over HTTP.
func (p Peer) Upgraded() bool { return p.c.Upgraded() }

// Reply queues one complete frame, which leaves before anything sent later. The bytes are kept, not copied.
func (p Peer) Reply(frame []byte) { p.c.Reply(frame) }

// Close starts the closing handshake: what waits for the client is dropped, the close frame goes last. Code 0 sends no code.
func (p Peer) Close(code uint16, text string) { p.c.Close(code, text) }

// Refuse answers a request for an upgrade by JSON over HTTP and ends the connection. After the upgrade it does nothing.
func (p Peer) Refuse(err error) {
	e := AsError(err)
	header := e.header()
	if id := &p.s.ids[p.c.Loop().ID()]; *id != "" { // logged just now
		header += requestID + ": " + *id + "\r\n"
		*id = ""
	}
	p.c.Refuse(e.Status, header, contentJSON, e.body())
}

// Fail hands err to Dialect.Fail, counted and logged like an error that Open or Message has returned: for what fails elsewhere.
func (p Peer) Fail(err error) { p.s.Failed(p.c, err) }

// SetDue asks for Dialect.Due in d, a quarter of a second exact; a further call replaces it, d <= 0 ends it.
func (p Peer) SetDue(d time.Duration) { p.c.SetDue(d) }

// Ping is what Due calls for a keep-alive: a ping now, the end of the connection if not a byte comes within grace, the next Due an
// interval after this one.
func (p Peer) Ping(interval, grace time.Duration) { p.c.Ping(interval, grace) }

// Join makes the connection a member of a topic in its listener's namespace. The first event comes after all that was replied before
// and within this call. topic may be a part of a buffer that is used again.
func (p Peer) Join(topic string, w Want) fanout.Joined {
	l := p.listener()
	return p.shard().Join(uint64(p.c.Ref()), fanout.Key{Space: l.space, Name: topic}, fanout.Want{Form: l.forms[w.Form], Class: w.Class})
}

// Leave ends one membership and reports whether there was one.
func (p Peer) Leave(topic string) bool {
	return p.shard().Leave(uint64(p.c.Ref()), fanout.Key{Space: p.listener().space, Name: topic})
}

// Count is the number of memberships.
func (p Peer) Count() int { return p.shard().Count(uint64(p.c.Ref())) }

// Publish sends data to everybody in a topic, this connection too if it is a member. kind is what the encoders make of it. Topic and
// data are copied.
func (p Peer) Publish(topic string, data []byte, kind uint8) (fanout.Receipt, error) {
	key := fanout.Key{Space: p.listener().space, Name: strings.Clone(topic)}
	return p.s.hub.Publish(&fanout.Event{Key: key, Data: bytes.Clone(data), Kind: kind})
}

// Accept upgrades a connection whose Open returned ErrPending: the 101 and greeting leave in one write. Topics are joined after it.
// Else it does nothing.
func (p Peer) Accept(greeting []byte) {
	before := p.c.Upgraded()
	if p.c.Accept("", greeting); !before && p.c.Upgraded() {
		p.counted()
	}
}

func (p Peer) listener() *listener  { return p.s.listeners[p.c.Listener()] }
func (p Peer) shard() *fanout.Shard { return p.s.shards[p.c.Loop().ID()] }
