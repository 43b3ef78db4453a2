package fanout

import "sync"

// segmentEvents is the length of a segment, and of the longest batch.
const segmentEvents = 64

type segment [segmentEvents]*Event

// window is the list of segments of a log that is not empty: list[first:].
type window struct {
	list  []*segment
	first int
}

func (w *window) segments() []*segment { return w.list[w.first:] }

// add appends a segment. Where half of the list or more has been passed, the rest moves to the front rather than into a longer list:
// it moves at most as many as were passed since the last time.
func (w *window) add(seg *segment) {
	if len(w.list) == cap(w.list) && w.first > 0 && w.first >= len(w.list)/2 {
		n := copy(w.list, w.list[w.first:])
		clear(w.list[n:])
		w.list, w.first = w.list[:n], 0
	}
	w.list = append(w.list, seg)
}

// drop takes the first segment out.
func (w *window) drop() {
	w.list[w.first] = nil
	w.first++
	if w.first == len(w.list) {
		w.list, w.first = w.list[:0], 0
	}
}

// longWindow is the capacity from which a window is not worth keeping.
const longWindow = 64

// pools hold segments and windows for all logs of a hub.
type pools struct{ segments, windows sync.Pool }

// log keeps the events (base, head] of a topic in segments, so that neither end ever moves events: append and pop cost the same
// however much is undelivered. An empty log holds nothing but its offsets. Guarded by the topic's lock.
type log struct {
	base, head uint64
	window     *window // its first segment holds offset base+1; nil while the log is empty
}

// push appends an event; its offset is then head.
func (l *log) push(ev *Event, from *pools) {
	if l.window == nil {
		l.window = pooled[window](&from.windows)
	}
	i := l.head % segmentEvents
	if i == 0 || len(l.window.list) == 0 {
		l.window.add(pooled[segment](&from.segments))
	}
	l.window.list[len(l.window.list)-1][i] = ev
	l.head++
}

// pooled takes one from the pool, or makes it.
func pooled[T any](pool *sync.Pool) *T {
	if v, ok := pool.Get().(*T); ok {
		return v
	}
	return new(T)
}

// at returns the event at an offset in (base, head].
func (l *log) at(offset uint64) *Event {
	i := offset - 1
	return l.window.segments()[i/segmentEvents-l.base/segmentEvents][i%segmentEvents]
}

// read copies the events after offset from into batch, which must not be longer than what is there.
func (l *log) read(batch []*Event, from uint64) {
	for len(batch) > 0 {
		seg := l.window.segments()[from/segmentEvents-l.base/segmentEvents]
		n := copy(batch, seg[from%segmentEvents:])
		batch, from = batch[n:], from+uint64(n)
	}
}

// pop removes the oldest event.
func (l *log) pop(to *pools) *Event {
	i := l.base % segmentEvents
	seg := l.window.segments()[0]
	ev := seg[i]
	seg[i] = nil
	l.base++
	if l.base == l.head || i == segmentEvents-1 {
		to.segments.Put(seg)
		l.window.drop()
	}
	if len(l.window.list) == 0 {
		if cap(l.window.list) <= longWindow {
			to.windows.Put(l.window)
		}
		l.window = nil
	}
	return ev
}
