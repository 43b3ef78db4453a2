package fanout

import (
	"hash/maphash"
	"maps"
	"strings"
	"sync"
)

const (
	stripeCount = 64
	smallStripe = 64 // a map that has never held more is not worth a copy
)

// stripe holds the topics whose names hash to it. A topic in the map may be gone already: its last member takes it out in a second
// step, because the lock of the stripe comes before the lock of the topic.
type stripe struct {
	mu     sync.RWMutex
	topics map[Key]*topic
	peak   int      // the largest number of topics this map has had
	_      [24]byte // a cache line of its own
}

func (h *Hub) stripe(k Key) *stripe {
	sum := maphash.String(h.seed, k.Name) + uint64(k.Space)
	return &h.stripes[sum%stripeCount]
}

// find returns the topic, nil if nobody is a member.
func (h *Hub) find(k Key) *topic {
	st := h.stripe(k)
	st.mu.RLock()
	defer st.mu.RUnlock()
	return st.topics[k]
}

// lockTopic returns the topic with its lock held, a new one if there is none with members.
func (h *Hub) lockTopic(k Key) *topic {
	st := h.stripe(k)
	st.mu.Lock()
	defer st.mu.Unlock()
	if t := st.topics[k]; t != nil {
		t.mu.Lock()
		if !t.gone {
			return t
		}
		t.mu.Unlock()
	}
	k.Name = strings.Clone(k.Name) // the caller's may be part of a buffer that is used again
	t := &topic{hub: h, key: k, epoch: h.epoch.Add(1)}
	t.mu.Lock()
	st.topics[k] = t
	st.peak = max(st.peak, len(st.topics))
	if !k.hidden() {
		h.topics.Add(1)
	}
	return t
}

// forget takes a topic that is gone out of its stripe, if it was not replaced meanwhile.
func (h *Hub) forget(t *topic) {
	st := h.stripe(t.key)
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.topics[t.key] == t {
		delete(st.topics, t.key)
		st.shrink()
	}
}

// shrink replaces a map that was large, as a map never shrinks by itself. The copy is paid for by the topics that have gone.
func (st *stripe) shrink() {
	if st.peak < smallStripe || len(st.topics) > st.peak/8 {
		return
	}
	small := make(map[Key]*topic, 2*len(st.topics))
	maps.Copy(small, st.topics)
	st.topics, st.peak = small, len(small)
}
