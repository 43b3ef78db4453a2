package fanout

import "sync/atomic"

// Shard is a loop's part of the hub: the memberships of its connections and the rooms of their topics. All its methods must be called
// by the loop that owns it; builds with the race detector assert that.
type Shard struct {
	hub   *Hub
	sink  Sink
	index int
	owner owner

	inbox inbox // any goroutine

	// Owned by the loop.
	nodes  slab[node]
	rooms  slab[*room]
	chains chains
	run    queue // the rooms with work, the one being served first

	// Scratch for one slice.
	batch    []*Event // of the room being served
	events   [segmentEvents]*Event
	frames   [segmentEvents][]byte
	several  bool // more than one room was dirty when the slice began
	upcoming bool // the room has more to deliver than this batch
	hidden   bool // its topic is

	// Written by the loop, read by Stats.
	members    atomic.Int64
	deliveries atomic.Uint64
	delivered  uint64 // of which the loop keeps the count
}

// count adds to the memberships that statistics tell.
func (s *Shard) count(k Key, n int64) {
	if !k.hidden() {
		s.members.Add(n)
	}
}
