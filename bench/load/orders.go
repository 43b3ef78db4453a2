package load

import (
	"time"

	"fanfare/bench/result"
)

// Setup is the first line that a worker gets.
type Setup struct {
	Run           string        `json:"run"`
	Servers       []string      `json:"servers"`    // IPv4 address and port
	PerServer     int           `json:"per_server"` // connections of each, in the order of connections
	First         int           `json:"first"`      // number of this worker's first connection
	Count         int           `json:"count"`
	Topics        int           `json:"topics"`
	Subscriptions int           `json:"subscriptions"` // of each connection
	Timeout       time.Duration `json:"timeout"`       // of one handshake
	Dialect       Dialect       `json:"dialect"`
}

// Dialect is how a server is spoken to; the templates are those of package target.
type Dialect struct {
	Topic      string `json:"topic"` // what a topic's name begins with
	Path       string `json:"path"`
	Protocol   string `json:"protocol,omitempty"`
	Subscribe  string `json:"subscribe,omitempty"`
	Subscribed string `json:"subscribed,omitempty"`
	Greeting   string `json:"greeting,omitempty"`
	Ping       string `json:"ping,omitempty"`
	Pong       string `json:"pong,omitempty"`
}

// What a worker can be told to do. From and To are numbers of the worker's own connections, To excluded.
const (
	doOpen    = "open"    // whatever of them is not open; answered when each is open or refused
	doClose   = "close"   // answered when each is closed
	doReset   = "reset"   // the same without a word, as if the network had gone
	doStop    = "stop"    // read no more from them, and count them apart
	doResume  = "resume"  // read from them again
	doArm     = "arm"     // begin a round: Total deliveries, and Published messages at its end
	doAwait   = "await"   // answered when the round is complete, or nothing has come for Quiet
	doCount   = "count"   // answered with the account, after Published messages
	doQuit    = "quit"    // close everything without a word and end
	doNothing = "nothing" // answered at once
)

// Order is one line to a worker.
type Order struct {
	ID        int           `json:"id"`
	Do        string        `json:"do"`
	From      int           `json:"from,omitempty"`
	To        int           `json:"to,omitempty"`
	Next      uint32        `json:"next,omitempty"`      // open: first sequence they must get; 0: whichever comes first
	InFlight  int           `json:"in_flight,omitempty"` // open: handshakes at once
	Buffer    int           `json:"buffer,omitempty"`    // open: receive buffer of the socket
	Total     int64         `json:"total,omitempty"`
	Quiet     time.Duration `json:"quiet,omitempty"`
	Published int64         `json:"published,omitempty"`
}

// Answer is one line from a worker. Those with ID 0 only tell how far it is.
type Answer struct {
	ID       int    `json:"id,omitempty"`
	Open     int    `json:"open"`     // connections that are
	Received int64  `json:"received"` // deliveries, all in all
	Lost     int64  `json:"lost,omitempty"`
	Refused  int    `json:"refused,omitempty"` // by this order
	Opened   int    `json:"opened,omitempty"`  // by this order
	Why      string `json:"why,omitempty"`     // the first refusal, loss or garbage
	Shakes   string `json:"shakes,omitempty"`  // histogram: from connecting to subscribed
	Round    *Round `json:"round,omitempty"`
	Sums     *Sums  `json:"sums,omitempty"`
	Error    string `json:"error,omitempty"` // the worker itself failed
}

// Round is what came since it was armed.
type Round struct {
	Count int64  `json:"count"`
	Times string `json:"times"` // histogram: from the begin of each publish to each receipt
	Reach string `json:"reach"` // histogram: from the begin of the round's first publish to each receipt of its last
}

// Sums is the account of a worker.
type Sums struct {
	Readers result.Account `json:"readers"`
	Apart   result.Account `json:"apart"` // of those that were stopped
	// Of the readers that were stopped: those that the server ended, those that miss something and are open.
	ApartLost   int `json:"apart_lost,omitempty"`
	ApartGapped int `json:"apart_gapped,omitempty"`
}
