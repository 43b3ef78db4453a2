package loop

import (
	"net/netip"
	"time"

	"github.com/cloudwego/netpoll"
	"golang.org/x/sys/unix"

	"fanfare/loop/http1"
	"fanfare/loop/ws"
)

type state uint8

// A connection's life. From head it goes to open (by way of wait, when the handler needs time), to drain (refused) or to dead
// (handed over, gone); from open to closing (our close frame is queued), to drain (nothing more to say), to dead.
const (
	free    state = iota
	head          // the request head is being read
	wait          // the head is complete, the handler thinks
	open          // upgraded
	closing       // close frame queued; the client's is awaited
	drain         // last bytes queued, then the write side shuts; input is thrown away until the end of the stream
	dead          // detached; Closed is owed, then the slot rests
	canary        // no connection: see Loop.Canary
)

const (
	flagFlush   uint16 = 1 << iota // on the turn's flush list
	flagBlocked                    // the socket is full: writable events are asked for
	flagPinned                     // the head node is partly sent
	flagBacklog                    // on the list of those whose backlog has an age
	flagLocal                      // the peer is a loopback address or a unix socket
	flagHeld                       // data messages wait for slow work
	flagPinged                     // Ping was called and the time for an answer runs
	flagSeen                       // Head or Failed was called: Closed is owed
	flagHeard                      // a byte came since the last ping
	flagResume                     // 16 reads were not enough: the next turn goes on
	flagPartial                    // on the list of those with an incomplete message
)

// Conn is the record of one connection: everything an idle connection costs, one 16-byte closure and a due tick apart. Only its
// loop may touch it; from elsewhere use Group.Post with its Ref.
type Conn struct {
	op    netpoll.FDOperator // known to the kernel by address
	loop  *Loop
	ext   *ext // nil while idle
	ref   Ref
	word  uint64
	qhead uint32 // output queue: nodes of the loop's slab
	qtail uint32
	qsize uint32 // bytes behind the head node
	tag   uint32
	flags uint16
	state state
	why   Reason
	where uint8 // listener
}

// ext is what a connection needs only while something is under way.
type ext struct {
	part []byte      // incomplete request head; the whole head while the handler thinks
	dec  *ws.Decoder // incomplete frame or message
	obj  any         // the handler's object
	held *held
	tick uint32 // at which the incomplete message began
}

func (c *Conn) more() *ext {
	if c.ext == nil {
		c.ext = new(ext)
	}
	return c.ext
}

// tidy gives the ext back when nothing is left in it.
func (c *Conn) tidy() {
	if e := c.ext; e != nil && e.part == nil && e.dec == nil && e.obj == nil && e.held == nil {
		c.ext = nil
	}
}

// Ref names the connection; it may be kept and used anywhere.
func (c *Conn) Ref() Ref { return c.ref }

// Loop is the loop that owns the connection.
func (c *Conn) Loop() *Loop { return c.loop }

// Listener is the index that Group.Listen gave to the listener the connection came in by.
func (c *Conn) Listener() int { return int(c.where) }

// Word points at 8 bytes that belong to the handler; they are zero at the start. The pointer must not outlive the call.
func (c *Conn) Word() *uint64 { return &c.word }

// Tag points at 4 more bytes that belong to the handler; they are zero at the start. The pointer must not outlive the call.
func (c *Conn) Tag() *uint32 { return &c.tag }

// State gives the handler's object, nil when none was set.
func (c *Conn) State() any {
	if c.ext == nil {
		return nil
	}
	return c.ext.obj
}

// SetState keeps an object for the handler until Closed; nil takes it back. It costs memory: prefer Word.
func (c *Conn) SetState(v any) {
	c.loop.own()
	c.more().obj = v
	c.tidy()
}

// Local reports whether the peer is on this machine: a loopback address or a unix socket.
func (c *Conn) Local() bool { return c.flags&flagLocal != 0 }

// Remote asks the kernel for the peer's address; invalid for unix sockets and peers that are gone.
func (c *Conn) Remote() netip.AddrPort {
	sa, err := unix.Getpeername(c.op.FD)
	if err != nil {
		return netip.AddrPort{}
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), uint16(sa.Port))
	}
	return netip.AddrPort{}
}

// Upgraded reports whether the 101 has been queued, so that errors are told in frames and no longer in HTTP.
func (c *Conn) Upgraded() bool { return c.state == open || c.state == closing }

// Open reports whether messages may still be sent.
func (c *Conn) Open() bool { return c.state == open }

// Reply queues one complete frame. It is never dropped by a policy; it leaves before anything that is sent later. The bytes are
// kept, not copied. On a connection that is not open it does nothing.
func (c *Conn) Reply(frame []byte) {
	c.loop.own()
	if c.state == open {
		c.loop.write(c, frame, c.loop.unread)
	}
}

// Close starts the closing handshake (RFC 6455, 7.1.2): what waits in the queue is dropped, a frame that is partly out is
// finished, the close frame is the last thing sent. The client has Limits.Close to answer. Code 0 sends no code.
func (c *Conn) Close(code uint16, text string) { c.loop.shut(c, code, text, ByServer) }

// Refuse answers the request with an HTTP response and ends the connection: before the 101 only, else it does nothing. extra
// holds further header lines, each ended by CRLF.
func (c *Conn) Refuse(status int, extra, contentType string, body []byte) {
	c.loop.own()
	if c.state != head && c.state != wait {
		return
	}
	c.loop.last(c, http1.AppendResponse(nil, status, extra, contentType, body), ByServer)
}

// Accept upgrades a connection whose verdict was Wait: the 101 and greeting (complete frames, may be nil) leave in one write.
func (c *Conn) Accept(protocol string, greeting []byte) {
	c.loop.own()
	if c.state != wait {
		return
	}
	request := c.ext.part
	c.ext.part = nil
	c.tidy()
	*c.loop.slab.due(c.ref.Slot()) = 0
	n := http1.HeadEnd(request, 0)
	if c.loop.upgrade(c, request[:n], Verdict{Protocol: protocol, Greeting: greeting}) {
		c.loop.frames(c, request[n:])
	}
}

// SetDue asks for Handler.Due in d, a quarter of a second exact. One time a connection: a further call replaces it; d <= 0 ends
// it. It counts from Head, if that upgrades, and in upgraded connections; before and after, the loop keeps its own deadlines. After
// the verdict Wait it must be called behind Accept.
func (c *Conn) SetDue(d time.Duration) {
	c.loop.own()
	if c.state == open || c.state == head {
		c.loop.setDue(c, d)
	}
}

// Ping is one step of a keep-alive that the handler calls from Due: it sends an empty ping and sets the next due time to grace;
// when that comes without a byte from the client in between, the connection ends (Silent); else the next due time is a full
// interval after the ping.
func (c *Conn) Ping(interval, grace time.Duration) {
	l := c.loop
	l.own()
	if c.state != open {
		return
	}
	if c.flags&flagPinged == 0 {
		c.flags = c.flags&^flagHeard | flagPinged
		l.setDue(c, grace)
		l.write(c, pingFrame, false)
		return
	}
	c.flags &^= flagPinged
	if c.flags&flagHeard == 0 {
		l.kill(c, Silent)
		return
	}
	l.setDue(c, max(interval-grace, tick))
}
