package fanout

import (
	"sync"
	"time"
)

// topic is a log of events and, for each loop with members, a room that says how far the loop has come. It exists exactly as long as
// it has members. A position is taken (head) before the forms are made, and the loops may read the event (ready) after.
type topic struct {
	hub   *Hub
	key   Key
	epoch uint64

	mu      sync.Mutex
	log     log
	ready   uint64 // events up to here are complete: loops read no further
	bytes   int    // undelivered: the sizes of the events in the log
	rooms   *room  // the first one; the next is its sibling
	members int32
	forms   uint32 // a bit for each form some member has
	gone    bool   // the last member has left; another topic may have the name by now
}

// append gives the event its position. Receivers is 0 if the topic is gone.
func (t *topic) append(ev *Event) (rc Receipt, forms uint32, err error) {
	size := ev.size()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.gone {
		return Receipt{}, 0, nil
	}
	if t.bytes > 0 && t.bytes+size > t.hub.config.TopicBytes || !t.reserve(size) {
		return Receipt{}, 0, ErrBusy
	}
	t.bytes += size
	ev.at = time.Since(t.hub.start)
	t.log.push(ev, &t.hub.pools)
	ev.Pos = t.position()
	return Receipt{Pos: ev.Pos, Receivers: int(t.members)}, t.forms, nil
}

// commit lets the loops read the event, and the ones after it that were only waiting for it.
func (t *topic) commit(ev *Event) {
	t.mu.Lock()
	ev.ready = true
	if t.gone {
		t.mu.Unlock()
		return
	}
	for t.ready < t.log.head && t.log.at(t.ready+1).ready {
		t.ready++
	}
	w := t.notify()
	more := t.trim()
	t.mu.Unlock()
	t.hub.wake(w)
	if more {
		t.trimAll()
	}
}

// notify hands the rooms that have something to read to their loops. It returns those that must be woken, which is for the caller to
// do without the lock.
func (t *topic) notify() (w wakes) {
	for r := t.rooms; r != nil; r = r.sibling {
		if !r.dirty && r.cursor < t.ready {
			r.dirty = true
			if r.shard.inbox.push(r) {
				w.add(r.shard)
			}
		}
	}
	return w
}

// position returns the position of the newest event.
func (t *topic) position() Position { return Position{Epoch: t.epoch, Offset: t.log.head} }

// room returns the room of a loop, nil if it has none.
func (t *topic) room(s *Shard) *room {
	for r := t.rooms; r != nil; r = r.sibling {
		if r.shard == s {
			return r
		}
	}
	return nil
}

// use recomputes the forms in use, after a room has changed its own.
func (t *topic) use() {
	t.forms = 0
	for r := t.rooms; r != nil; r = r.sibling {
		t.forms |= r.forms
	}
}

// detach takes out a room without members: the log keeps nothing for it any more.
func (t *topic) detach(r *room) {
	at := &t.rooms
	for *at != r {
		at = &(*at).sibling
	}
	*at, r.sibling = r.sibling, nil
}

// end marks a topic without members as gone, whatever its log still holds: nobody is owed it.
func (t *topic) end() {
	t.gone = true
	t.unreserve(t.bytes)
	if !t.key.hidden() {
		t.hub.topics.Add(-1)
	}
	t.bytes, t.log, t.rooms = 0, log{}, nil
}

// trim drops what every room has passed, at most one batch of it, and reports whether there is more.
func (t *topic) trim() (more bool) {
	floor := t.floor()
	n := min(floor-t.log.base, segmentEvents)
	if n == 0 {
		return false
	}
	now, freed := time.Since(t.hub.start), 0
	for range n {
		ev := t.log.pop(&t.hub.pools)
		freed += ev.size()
		if !t.key.hidden() {
			t.hub.latency.observe(now - ev.at)
		}
	}
	t.bytes -= freed
	t.unreserve(freed)
	return t.log.base < floor
}

// floor is how far the slowest room has come.
func (t *topic) floor() uint64 {
	floor := t.ready
	for r := t.rooms; r != nil; r = r.sibling {
		floor = min(floor, r.cursor)
	}
	return floor
}

// reserve counts bytes as undelivered in the process, unless its limit forbids it.
func (t *topic) reserve(size int) bool { return t.key.hidden() || t.hub.reserve(size) }

func (t *topic) unreserve(size int) {
	if !t.key.hidden() {
		t.hub.undelivered.Add(int64(-size))
	}
}

// trimAll trims batch by batch, with the lock free in between.
func (t *topic) trimAll() {
	for more := true; more; {
		t.mu.Lock()
		more = !t.gone && t.trim()
		t.mu.Unlock()
	}
}
