package fanout

import "sync"

// queue is a list of rooms through room.next. A room is in at most one queue, exactly when it is dirty, so a queue needs no memory.
type queue struct{ head, tail *room }

func (q *queue) push(r *room) {
	if q.head == nil {
		q.head = r
	} else {
		q.tail.next = r
	}
	q.tail = r
}

func (q *queue) pop() *room {
	r := q.head
	q.head, r.next = r.next, nil
	if q.head == nil {
		q.tail = nil
	}
	return r
}

// join moves all rooms of other to the end of q.
func (q *queue) join(other queue) {
	switch {
	case other.head == nil:
	case q.head == nil:
		*q = other
	default:
		q.tail.next, q.tail = other.head, other.tail
	}
}

// inbox is where publishers leave rooms for a loop.
type inbox struct {
	mu    sync.Mutex
	rooms queue
}

// push reports whether the loop must be woken: it does not know of the inbox yet.
func (b *inbox) push(r *room) (wake bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	wake = b.rooms.head == nil
	b.rooms.push(r)
	return wake
}

// take empties the inbox.
func (b *inbox) take() queue {
	b.mu.Lock()
	defer b.mu.Unlock()
	q := b.rooms
	b.rooms = queue{}
	return q
}
