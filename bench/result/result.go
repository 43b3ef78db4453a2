// Package result is what the bench finds, as it stands in its JSON files. The load side fills it, reports and comparisons read it.
//
// Times are nanoseconds, sizes bytes, unless a field says otherwise. A figure that was not measured is absent (zero), never made up.
package result

import "time"

// Report is one file: what ran where, by which command.
type Report struct {
	Command string    `json:"command"` // as one can type it again
	Commit  string    `json:"commit"`  // of the working tree; "-dirty" when it had changes
	Began   time.Time `json:"began"`
	Machine Machine   `json:"machine"`
	Runs    []Run     `json:"runs"`
	Notes   []string  `json:"notes,omitempty"` // what could not be run, and why; what makes the report invalid
}

// Machine is what the figures depend on.
type Machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Memory int64  `json:"memory"`
	Kernel string `json:"kernel"`
	Go     string `json:"go"`
	Files  int64  `json:"files"` // descriptors that one process may have
}

// Run is one scenario against one server, once.
type Run struct {
	Scenario string `json:"scenario"`
	Server   string `json:"server"`
	Round    int    `json:"round"` // of interleaved rounds; from 1
	Shape    Shape  `json:"shape"`

	Seconds  float64  `json:"seconds"` // of the measured part
	Account  Account  `json:"account"`
	Delivery Times    `json:"delivery"` // from the begin of a publish to each receipt
	Connect  Connect  `json:"connect"`
	Reach    Reach    `json:"reach"`
	CPU      CPU      `json:"cpu"`
	Memory   Memory   `json:"memory"`
	Switches Switches `json:"switches"`
	// LoopLag is the most that a loop of the server was late, in seconds, as its own metrics say.
	LoopLag float64 `json:"loop_lag,omitempty"`
	// Allocations are those of the server for each delivery, as its own metrics say; here 0 is a figure, and nil none.
	Allocations *float64 `json:"allocations,omitempty"`
	Load        Load     `json:"load"`
	Floor       *Floor   `json:"floor,omitempty"`
	Slow        *Slow    `json:"slow,omitempty"`
	Failure     string   `json:"failure,omitempty"` // why there are no figures: refused, died, hung, garbage
}

// Shape is how large a run is.
type Shape struct {
	Connections   int `json:"connections"`
	Topics        int `json:"topics,omitempty"`
	Subscriptions int `json:"subscriptions,omitempty"` // of all connections together
	Messages      int `json:"messages,omitempty"`      // published
	Burst         int `json:"burst,omitempty"`         // of them back to back
	Size          int `json:"size,omitempty"`          // of a payload
	Stopped       int `json:"stopped,omitempty"`       // readers that stop
	Servers       int `json:"servers"`                 // processes
	Generators    int `json:"generators"`
}

// Account is exact: each connection's sequence was checked.
type Account struct {
	Expected int64 `json:"expected"` // deliveries
	Received int64 `json:"received"`
	Missing  int64 `json:"missing"`
	Repeated int64 `json:"repeated"`
	Disorder int64 `json:"disorder"`
	Garbage  int64 `json:"garbage"` // messages that were none of ours
	Refused  int64 `json:"refused"` // connections that the server turned away, publishes that it was too busy for
	Lost     int64 `json:"lost"`    // connections that ended though nobody ended them
}

// Times is a distribution, from an HDR histogram with three digits.
type Times struct {
	Count int64 `json:"count"`
	P50   int64 `json:"p50"`
	P90   int64 `json:"p90"`
	P99   int64 `json:"p99"`
	P999  int64 `json:"p999"`
	Max   int64 `json:"max"`
	// Histogram is all of it, in HdrHistogram's own compressed form (base64).
	Histogram string `json:"histogram,omitempty"`
}

// Connect is how connections came and went.
type Connect struct {
	Opened   int64   `json:"opened"`              // all in all, those that came again included
	Shakes   Times   `json:"shakes"`              // from connecting to subscribed
	Seconds  float64 `json:"seconds"`             // in which they were opened
	Teardown float64 `json:"teardown,omitempty"`  // seconds in which all were closed, each with a close frame
	InFlight int     `json:"in_flight,omitempty"` // handshakes at once
}

// Slow is what became of the readers that stopped.
type Slow struct {
	Account Account `json:"account"`
	Ended   int     `json:"ended"`  // by the server
	Gapped  int     `json:"gapped"` // left open, and miss something
}

// Reach is, for one message or one burst, when the first, the median, the 99th of a hundred and the last receiver had it, counted
// from the begin of the (first) publish: the medians over all messages or bursts.
type Reach struct {
	First  int64 `json:"first"`
	Median int64 `json:"median"`
	P99    int64 `json:"p99"`
	Last   int64 `json:"last"`
}

// CPU is the time of all server processes, user and system, softirq work in their name included.
type CPU struct {
	User   int64 `json:"user"`
	System int64 `json:"system"`
	// What it comes to, by scenario.
	PerDelivery float64 `json:"per_delivery,omitempty"`
	PerConnect  float64 `json:"per_connect,omitempty"`
	Share       float64 `json:"share,omitempty"` // of one core, over Seconds
}

// Memory is of all server processes together.
type Memory struct {
	RSSBefore int64 `json:"rss_before"` // nobody connected
	RSS       int64 `json:"rss"`        // at the end of the measured part
	// Subscribed is RSS when all were subscribed and nothing had been published.
	Subscribed int64 `json:"rss_subscribed,omitempty"`
	PSSBefore  int64 `json:"pss_before,omitempty"`
	PSS        int64 `json:"pss,omitempty"`
	Peak       int64 `json:"peak,omitempty"`
	Kernel     int64 `json:"kernel,omitempty"` // what the whole machine's kernel took meanwhile: slab, sockets, page tables

	PerConnection    float64 `json:"per_connection,omitempty"` // slope of RSS over connections
	PSSPerConnection float64 `json:"pss_per_connection,omitempty"`
	PerTopic         float64 `json:"per_topic,omitempty"` // slope of RSS over topics that have one subscriber
	// PerSubscription is the slope of RSS over further subscriptions to topics that have subscribers already.
	PerSubscription float64 `json:"per_subscription,omitempty"`
}

// Switches are context switches of the server in the measured part.
type Switches struct {
	Voluntary   int64 `json:"voluntary"`
	Involuntary int64 `json:"involuntary"`
}

// Load is what the generator itself took. Bound says that one more generator process moved p50 by over 10 %: then the figures are
// the generator's and not the server's.
type Load struct {
	CPU    int64   `json:"cpu"`
	Share  float64 `json:"share"`            // of the machine's cores
	P50    int64   `json:"p50,omitempty"`    // with one more process
	Bound  bool    `json:"bound,omitempty"`  //
	Tested bool    `json:"tested,omitempty"` // whether that was tried
	RSS    int64   `json:"rss,omitempty"`
}

// Floor says whether the physical limit is one: its cost per delivery over that of a plain send loop on the same sockets.
type Floor struct {
	Plain float64 `json:"plain"` // ns per send
	Ratio float64 `json:"ratio"`
}

// Valid is false over 1.3: then nothing in the report may be held against the floor.
func (f *Floor) Valid() bool { return f.Ratio <= 1.3 }
