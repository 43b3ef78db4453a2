// Package loop moves bytes between sockets and a Handler. It knows transports, not topics: what a message means is the
// Handler's affair, who gets one is the Worker's.
//
// # What is where
//
// A Group is all the loops of a server. A Loop is one of netpoll's own polls (its epoll set, its wait loop, its goroutine) with
// what we register there: a listening socket per address (shared by SO_REUSEPORT), an eventfd that is the door for everything
// from outside, a timerfd, and one operator per connection. A Conn is a slot in its loop's slab: 160 bytes with the operator,
// which the kernel knows by address, one 16-byte closure and 4 bytes of due tick. An ext is added while a frame, a message or a
// decision is incomplete, and goes again. No connection has a goroutine, a timer, a channel or a buffer of its own.
//
// netpoll.Connection would be the ordinary way; it costs 15 KB idle (3.4 KB at best) and parks a goroutine on a slow peer.
// Registering our own netpoll.FDOperator on netpoll's polls costs 0.2 KB. netpoll has no accessor for its polls: poll.go reads
// one private field at start-up, hangup.go another one later, names and types checked.
//
// # Who owns what
//
// Only its loop touches a Conn, its queue, its slab: there are no locks on them. Everybody else has a Ref and Group.Post. In race
// builds every entry asserts the goroutine. The one lock, Loop.mu, guards the list of posts and the published counters; nothing
// is called under it. What loops share are atomics: how many connections each has, how many there are (for Admission), what the
// queues of all hold (once a turn), and each loop's pace, which can be read while it hangs (Group.LoopStats).
//
// Slot 0 of each loop is its canary: a record without a socket that is in no count. Whoever checks that a loop delivers sends to
// it like to any member and looks whether CanaryCount has moved.
//
// # A turn
//
// A turn is one run of the door's callback. Whatever leaves work for later (a post, a frame to flush, a dead connection) writes
// the eventfd once. The turn does, in this order: posted functions; reads that were cut short; one slice of the Worker; times
// that are due; close frames of a Drain; flushes; what the total of all queues asks for; descriptors and slots that have rested;
// Closed calls. netpoll offers no later hook, so reads of the same
// batch of events may run before or after the turn: a connection's order holds because all its output goes through its queue.
//
// # The order of a connection's callbacks
//
//	                Head  Message  Failed  Due  Closed
//	bad head        -     -        1       -    1
//	handed to HTTP  1     -        -       -    1
//	refused         1     -        1       -    1
//	upgraded        1     0..n     0..n    0..n 1
//
// None is called inside another one, none inside Send or Work. Each runs inside a recover: a panic closes that connection with
// 1011; ten in a minute end the process.
//
// # What netpoll demands
//
// Each rule is behaviour of netpoll that its documentation does not promise, and each has a test.
//
//   - Read to EAGAIN or the end: after an event with a hang-up netpoll detaches the operator, and no further event comes. After
//     16 reads the rest is taken in later turns.
//   - OnHup knows no connection: netpoll calls it later, on another goroutine, when the slot may be somebody else's. It only asks
//     the next tick to look for operators that netpoll has detached: about one reset in 50,000 comes without a readable event.
//   - OnWrite, once set, stays until the slot is free: a writable event may be in the batch already.
//   - No operator is freed: ours are copies of a template that netpoll made, which carries its poll.
//   - A connection that dies is detached and shut down at once, but its slot and its descriptor's number rest until the second
//     wake: netpoll touches both until the batch of events is done.
//   - The poll's Reset is replaced: it would double netpoll's event batch, for ever, each time a batch comes full.
//   - A callback never blocks: it would stop its loop.
//
// # Writing
//
// There is one way out, Loop.submit. A frame leaves at once when nothing waits before it and nothing is known to follow; else it
// is queued and leaves with the rest in one writev when the turn ends: four frames in one call cost a quarter of four calls. The
// queue is a list of 40-byte nodes that share the frame's bytes with every other receiver. A frame that is partly out is pinned:
// no policy drops it. What waits behind the head frame is limited in bytes, the oldest frame in age; beyond either the policy of
// the frame's class applies. Replies and control frames (room 0) are never dropped while the connection lives. A close frame is
// the last thing out: what can leave before it does, the rest is dropped.
//
//	             no room for a frame       the head is too old      always, while the client does not read
//	Disconnect   close 1008                close 1008               -
//	DropOldest   the oldest go             what is as old goes      -
//	Conflate     as DropOldest             -                        replace what waits for the same room
//	DropNewest   the frame itself goes     frames that come go      -
//
// A policy that drops makes room for replies. Beyond Limits.BacklogTotal the connections of each loop give, the one with the
// oldest head first: what their policies let go; else they are closed.
//
// # Who comes in
//
// Admission limits connections, accepts a second and memory in use. Who comes beyond is answered in HTTP at once (503, or 429 for
// the rate), before his request is read and without a record; his descriptor lingers for half a second, so that no reset takes
// the answer away. When descriptors are out, a spare one is closed to accept, answer and close one that waits; when that fails
// too, accepting pauses until the next tick. The kernel shares connections out blindly: when the fullest loop has more than 64 and
// 20 % more than the emptiest, the emptiest gets what any loop accepts.
//
// A connection whose first request is plain HTTP goes to net/http, and counts for Admission until it ends. If an upgrade comes on
// it later, Group.Adopt takes it back: it begins anew on the emptiest loop, with the request as its first input.
//
// # The way out
//
// Group.Drain empties the accept queues and closes the listening sockets, on every loop before it goes on; then every connection
// gets a close frame, so many a tick that they fill the window. Group.Close ends the rest with 1001.
//
// # An upgrade, from the outside in
//
// The listener's callback accepts -> Admission -> a loop -> a slot -> the head is parsed in the loop's buffer and checked in full
// -> Handler.Head decides -> gobwas/ws writes the 101 into a scratch buffer -> it leaves with the greeting in one call -> idle: 180
// bytes and an epoll entry.
package loop
