package fanout

// room is one topic on one loop. Most topics have one member and one room, so the fields are as small as they can be.
type room struct {
	topic   *topic
	shard   *Shard
	sibling *room  // the topic's next room; guarded by the topic's lock
	next    *room  // in the inbox or in the run queue
	id      uint32 // its number in shard.rooms

	// Written by the loop under the topic's lock: the loop reads them freely, others under the lock.
	forms  uint32 // a bit for each form some member has
	cursor uint64 // every member in a group has what came up to here, but for the batch under way

	// Owned by the loop.
	members int32
	batch   uint8  // events after cursor that are being delivered, 0 between batches
	at      uint16 // the group that is being served

	dirty bool // in a queue; guarded by the topic's lock

	groups []group
	first  [1]group // where groups begin; a second one moves them out
}

// group returns the index of the group for these wishes, a new one if need be. A group without members stays as long as its room:
// there are few kinds of members.
func (r *room) group(w Want) int {
	for i := range r.groups {
		if r.groups[i].form == w.Form && r.groups[i].class == w.Class {
			return i
		}
	}
	r.groups = append(r.groups, group{form: w.Form, class: w.Class})
	if len(r.groups) == 2 {
		r.first[0] = group{} // it has moved
	}
	return len(r.groups) - 1
}

// served says that every group has had the batch.
func (r *room) served() bool { return int(r.at) == len(r.groups) }

// rewind makes the groups ready for a new batch.
func (r *room) rewind() {
	r.at = 0
	for i := range r.groups {
		g := &r.groups[i]
		g.visited = 0
		g.late.rewind()
	}
}

// inUse returns a bit for each form that some member of the room has.
func (r *room) inUse() (forms uint32) {
	for i := range r.groups {
		if g := &r.groups[i]; !g.empty() {
			forms |= 1 << g.form
		}
	}
	return forms
}
