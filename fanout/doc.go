// Package fanout decides who receives what. It knows neither sockets nor the meaning of a payload: a Sink takes finished frames, an
// Encoder makes them.
//
// # A topic is a log with one cursor per loop
//
// A topic keeps the events that some loop has not delivered, once for all loops. Each loop that has members keeps a room: how far it
// has come, and its members in groups that get the same bytes under the same policy. A publisher appends to the log and tells the
// loops whose room was at rest; a loop reads up to 64 events from its cursor and hands each member all of them in one Send. No
// publisher waits for a socket, no loop waits for another one. Publishing allocates a few small objects whatever the number of
// members, delivering allocates nothing.
//
//	Publish   position, append                        under the topic's lock
//	          the forms in use are made               no lock
//	          commit: rooms at rest -> inboxes        under the topic's lock
//	          one wake for each loop that was asleep  no lock
//	Work      inbox -> run queue                      under the inbox's lock
//	          up to 64 events from the cursor         under the topic's lock
//	          one Send a member, 256 a turn           no lock
//	Join      position, count, forms                  under the topic's lock: the cut
//	          into a group, or the late list          the loop's own
//
// A topic exists exactly as long as it has members. Publishing to another name creates nothing and has no position; a topic that
// comes back has a new epoch.
//
// # Who may call what
//
// A Shard belongs to one loop: its methods must be called on the loop's goroutine, which builds with the race detector assert. The
// methods of Hub may be called from anywhere, Form and Shard at start-up only. Locks are taken in this order: stripe of the hub, topic,
// inbox. No encoder and no sink is called under any of them. A critical section copies or drops at most 64 events; two rare ones copy
// more: the list of a log's segments when it grows, one pointer for 64 events, and the map of a stripe when it shrinks.
//
// # Why an event is committed after it has its position
//
// An encoder needs the position, and must run neither under a lock nor on a loop, which would have all its connections wait for it.
// So an event gets its position first and is encoded then, and loops read only up to the last event before which all are complete:
// the publisher that closes a gap makes everything behind it readable. The forms to make are those that had members when the
// position was taken. That is enough, and it is exact: a member is owed only events after its own cut, and the cut marks its form
// as in use under the same lock. So each form is made once, by the publisher, and there is no second chance to make one. The price is
// a second short lock for each event, and that an event waits for the encoders of the ones before it on the same topic. An encoder that
// panics holds back nothing: the event is committed without the forms that are missing.
//
// # Why latecomers need no log
//
// A member that joins while its room is behind waits in a late list with the position of its cut. The cut is never before the cursor
// of its room, nor before the end of the batch under way. So whatever a latecomer is owed of a batch is the end of that very batch:
// it gets that in one Send and is an ordinary member of its group from then on. A cursor moves when its batch is delivered, not when
// it is read; until then the events stay in the log and count as undelivered.
//
// # Members that leave during a walk
//
// The nodes of a group are dense, the ones that have the batch first. A leaving member's place is filled with the last of its own
// region, and the gap at the border with the last node of all. Where both are the same place nothing moves: what stands there has
// moved already, and touching it would spoil its back index.
//
// # Limits
//
// Undelivered bytes are bounded per topic and per process; above, Publish answers ErrBusy. They are given back as the slowest room
// goes on, or when the last member leaves. A connection that reads slowly is the business of its loop: to the hub it has what was sent.
//
// # What can be read
//
// Stats, Lag, Top and Latency stop neither a loop nor a publisher. Lag and Top look at every topic, one stripe of the hub at a time; a
// publisher or a loop waits for one topic at most, who creates or ends a topic for the stripe. Lag costs nothing when nothing is
// undelivered. Latency runs from an event's position to when it leaves the log, passed by every room: the last member's frame has been
// handed to its sink, and the loop has come back for more. It takes one reading of the clock for each publish and each batch.
//
// Topics of a hidden namespace are in none of these and under no limit of the process, so that a probe can use the real way without
// being seen.
//
// # Guarantee
//
// A member gets exactly the events after its cut, in order, without gap or repeat, until it leaves or its sink drops them. Events of
// one publisher on one topic keep their order. Nothing is said about the order across topics.
//
// # Left simple
//
// A topic with a single member is a topic and a room with a group in it: 360 bytes with its name, its node and its share of the map.
// Should a measurement find that too dear, they fold into one object until a second loop, group or event comes. Inboxes and topics have plain mutexes; a publisher
// holds one for some tens of nanoseconds.
package fanout
