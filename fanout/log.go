package fanout

import "sync"

// segmentEvents is the length of a segment, and of the longest batch.
const segmentEvents = 64

type segment [segmentEvents]*Event

// log keeps the events (base, head] of a topic in segments, so that neither end ever moves events: append and pop cost the same
// however much is undelivered. Segments come from a pool; an empty log holds none. Guarded by the topic's lock.
type log struct {
	base, head uint64
	segments   []*segment // the first one holds offset base+1
}

// push appends an event; its offset is then head.
func (l *log) push(ev *Event, pool *sync.Pool) {
	i := l.head % segmentEvents
	if i == 0 || len(l.segments) == 0 {
		seg, ok := pool.Get().(*segment)
		if !ok {
			seg = new(segment)
		}
		l.segments = append(l.segments, seg)
	}
	l.segments[len(l.segments)-1][i] = ev
	l.head++
}

// at returns the event at an offset in (base, head].
func (l *log) at(offset uint64) *Event {
	i := offset - 1
	return l.segments[i/segmentEvents-l.base/segmentEvents][i%segmentEvents]
}

// read copies the events after offset from into batch, which must not be longer than what is there.
func (l *log) read(batch []*Event, from uint64) {
	for len(batch) > 0 {
		seg := l.segments[from/segmentEvents-l.base/segmentEvents]
		n := copy(batch, seg[from%segmentEvents:])
		batch, from = batch[n:], from+uint64(n)
	}
}

// pop removes the oldest event.
func (l *log) pop(pool *sync.Pool) *Event {
	i := l.base % segmentEvents
	seg := l.segments[0]
	ev := seg[i]
	seg[i] = nil
	l.base++
	if l.base == l.head || i == segmentEvents-1 {
		pool.Put(seg)
		l.segments[0] = nil
		l.segments = l.segments[1:]
	}
	if len(l.segments) == 0 {
		l.segments = nil // its front is lost; one that was long must not stay
	}
	return ev
}
