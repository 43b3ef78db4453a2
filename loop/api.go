package loop

import (
	"log/slog"
	"time"

	"fanfare/loop/http1"
	"fanfare/loop/ws"
)

// Handler gives bytes their meaning. Every method is called on the connection's own loop, never nested in another call, and
// inside a recover: a panic closes that connection with 1011 and costs nothing else. A Handler must not block.
type Handler interface {
	// Head decides about a request whose whole head is here. r and every string in it die with the call.
	Head(c *Conn, r *http1.Request) Verdict
	// Message gets one complete data message, text checked as UTF-8. p is valid until return. An error goes to Failed.
	Message(c *Conn, op byte, p []byte) error
	// Failed is the one exit for errors: those that Message returned, *ws.Error of the codec, *http1.Error of a bad head. Before
	// the upgrade (see Conn.Upgraded) it answers with Refuse, after it with Reply or Close. A connection whose error ends it is
	// closed by the loop when Failed has not done so.
	Failed(c *Conn, err error)
	// Due tells that the time set by Conn.SetDue has come.
	Due(c *Conn)
	// Closed is called exactly once for each connection that Head or Failed saw, at the end of a turn; c is still readable.
	Closed(c *Conn, why Reason)
}

// Worker is work that shares a loop with its sockets.
type Worker interface {
	// Work runs one slice of about n sends and reports whether more is left; the loop serves its sockets before the next slice.
	Work(n int) (more bool)
}

// Do is what becomes of a connection whose request head has been read.
type Do uint8

// The verdicts of Handler.Head.
const (
	Refuse  Do = iota // Handler.Failed gets Verdict.Err
	Upgrade           // 101, then Verdict.Greeting, in one write
	HTTP              // hand the connection to net/http (Group.HTTP)
	Wait              // undecided: Conn.Accept or Conn.Refuse follows by Group.Post
)

// Verdict is Head's answer.
type Verdict struct {
	Do       Do
	Err      error  // Refuse: why
	Protocol string // Upgrade: the subprotocol chosen, empty for none
	Greeting []byte // Upgrade: complete frames that leave with the 101
}

// Reason is why a connection ended; String is its label in logs and metrics.
type Reason uint8

// The reasons, in the order in which metrics list them.
const (
	ByClient       Reason = iota // the client sent a close frame or ended the stream
	ByServer                     // the handler closed or refused it
	HandedOver                   // it belongs to net/http now
	Reset                        // the socket failed
	Slow                         // backlog over its bytes or its age
	Silent                       // no answer to a ping
	HeadTimeout                  // no complete request head in time
	MessageTimeout               // no complete message in time
	BadInput                     // the stream broke RFC 6455 or a limit
	Panicked                     // a callback of it panicked
	Shutdown                     // the group closed
	reasons
)

// String gives the label used in logs and metrics.
func (r Reason) String() string {
	if r < reasons {
		return reasonNames[r]
	}
	return "unknown"
}

// Policies of a slow consumer: the class of fanout.Sink.Send.
const (
	Disconnect uint8 = iota // close 1008 when the backlog is over its bytes or age
	DropOldest              // drop whole frames from behind the one being sent, the oldest first
	Conflate                // replace the frame of the same room that waits; where there is none, as DropOldest
	DropNewest              // drop the frame that comes
	policies
)

// Refusal is why a connection was not accepted; String is its label in logs, metrics and the answer's error code.
type Refusal uint8

// The refusals, in the order in which metrics list them.
const (
	FullConns  Refusal = iota // Admission.Conns
	FullRate                  // Admission.Rate
	FullMemory                // Admission.Memory
	NoFiles                   // the process or the machine is out of descriptors
	refusals
)

// String gives the label used in logs and metrics.
func (r Refusal) String() string {
	if r < refusals {
		return refusalNames[r]
	}
	return "unknown"
}

// Admission bounds what a Group accepts. Who comes beyond is told so in HTTP before his request is read, and costs no record.
// What is accepted already stays.
type Admission struct {
	Conns  int   // connections in all loops, and those that net/http holds; 0: no limit
	Rate   int   // accepted a second, in all loops, in bursts of one second's worth; 0: no limit
	Memory int64 // bytes of Go memory in use above which nothing is accepted; 0: no limit
}

// Limits bound what one connection may cost.
type Limits struct {
	Request    http1.Limits
	Message    ws.Limits
	Backlog    int           // bytes queued behind the frame that is being sent
	BacklogAge time.Duration // age of the oldest queued frame
	Handshake  time.Duration // from accept to the end of the request head
	Unfinished time.Duration // from the first byte of a message to its last
	Close      time.Duration // from our close frame to the end of the stream
	HTTPConns  int           // connections that net/http may hold

	// BacklogTotal bounds what all queues of the process hold: 40 bytes a frame that waits, and the frame's own bytes once for
	// each loop, however many wait for it. 0: no limit.
	BacklogTotal int64
}

// Config is what a Group is made of.
type Config struct {
	Loops     int // 0: as many as GOMAXPROCS says
	Handler   Handler
	Limits    Limits    // zero fields take the defaults
	Admission Admission // until Group.Admit changes it
	Log       *slog.Logger
}

func (l Limits) withDefaults() Limits {
	def(&l.Request.Head, 8<<10)
	def(&l.Request.Headers, 100)
	def(&l.Message.Message, 64<<10)
	def(&l.Message.Frames, 1024)
	def(&l.Backlog, 256<<10)
	def(&l.BacklogAge, 15*time.Second)
	def(&l.Handshake, 10*time.Second)
	def(&l.Unfinished, 30*time.Second)
	def(&l.Close, 5*time.Second)
	def(&l.HTTPConns, 1024)
	return l
}

func def[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}
