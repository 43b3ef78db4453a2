package proto

import (
	"fanfare/fanout"
	"fanfare/loop"
	"fanfare/loop/http1"
	"fanfare/proto/auth"
)

// Request is the head of a request for an upgrade. It and its strings die with the call they were given to.
type Request = http1.Request

// Ref names a connection for ever; a stale one names nobody.
type Ref = loop.Ref

// Dialect is one wire protocol. It is stateless but for its configuration: what belongs to a connection is in Peer.Word and, when that
// is not enough, in Peer.State. One value may serve many listeners.
type Dialect interface {
	// Name is how --listen names the dialect.
	Name() string
	// Forms gives the encoders; Want.Form is an index into them. It is called once.
	Forms() []fanout.Encoder
	// Open decides about an upgrade. greeting, complete frames or nil, leaves with the 101. Topics joined here deliver after it. An
	// error goes to Fail and undoes the joins. ErrPending, after Peer.Slow, leaves the decision to then: Peer.Accept, and the joins
	// after it, or Peer.Fail.
	Open(p Peer, r *Request) (greeting []byte, err error)
	// Message gets one complete message; data is valid until return. An error goes to Fail.
	Message(p Peer, op byte, data []byte) error
	// Fail is the one exit for errors: those of Open and Message, and those that were met before either was called, in the request
	// head (*http1.Error) or in the stream (*ws.Error). AsError makes an *Error of any. Before the upgrade it must answer by
	// Peer.Refuse.
	Fail(p Peer, err error)
	// Due tells that the time set by Peer.SetDue or Peer.Ping has come.
	Due(p Peer)
	// Closed is the last call for a connection that Open or Fail has seen. The memberships end after it.
	Closed(p Peer)
}

// Mounter is a Dialect with HTTP routes of its own. Mount is called once for each listener of the dialect.
type Mounter interface{ Mount(rt Routes) }

// Publishing is a Dialect that knows who may publish. SetAuth may be called by any goroutine; it holds for what opens afterwards.
type Publishing interface{ SetAuth(p auth.Policy) }

// Want says how a connection wishes to receive a topic.
type Want struct {
	Form  int   // index into Dialect.Forms
	Class uint8 // policy for a slow consumer, as ParsePolicy numbers them
}

// The loop and the fan-out fit each other without an adapter and without knowing of each other.
var (
	_ loop.Handler = (*Server)(nil)
	_ fanout.Sink  = (*loop.Loop)(nil)
	_ loop.Worker  = (*fanout.Shard)(nil)
)
