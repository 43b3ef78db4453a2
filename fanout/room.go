package fanout

// room is one topic on one loop.
type room struct {
	topic *topic
	shard *Shard
	id    uint32 // its number in shard.rooms

	// Written by the loop under the topic's lock: the loop reads them freely, others under the lock.
	cursor uint64 // every member in a group has what came up to here, but for the batch under way
	forms  uint32 // a bit for each form some member has

	dirty bool  // in the inbox or in the run queue; guarded by the topic's lock
	next  *room // in that queue

	// Owned by the loop.
	members int
	batch   int // events after cursor that are being delivered, 0 between batches
	at      int // the group that is being served
	groups  []group
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
	return len(r.groups) - 1
}

// served says that every group has had the batch.
func (r *room) served() bool { return r.at == len(r.groups) }

// rewind makes the groups ready for a new batch.
func (r *room) rewind() {
	r.at = 0
	for i := range r.groups {
		g := &r.groups[i]
		g.visited, g.unseen = 0, len(g.late)
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
