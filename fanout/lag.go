package fanout

import (
	"cmp"
	"slices"
	"time"
)

// Lag says how far the slowest cursors are behind: each number is the largest over all topics, so they may be of different ones.
type Lag struct {
	Events int           // published and not yet passed by every loop
	Bytes  int           // of these, as limited by Config
	Age    time.Duration // of the oldest of these
}

// Lag looks at every topic, one stripe of the hub at a time, unless nothing at all is undelivered.
func (h *Hub) Lag() (lag Lag) {
	if h.undelivered.Load() == 0 {
		return Lag{}
	}
	now := time.Since(h.start)
	h.each(func(t *topic) {
		floor := t.floor()
		if floor >= t.log.head || floor < t.log.base {
			return
		}
		lag.Events = max(lag.Events, int(t.log.head-floor))
		lag.Bytes = max(lag.Bytes, t.bytes)
		lag.Age = max(lag.Age, now-t.log.at(floor+1).at)
	})
	return lag
}

// TopicSize is a topic and its members.
type TopicSize struct {
	Key     Key
	Members int
}

// Top gives the n topics with the most members, the largest first. It looks at every topic, one stripe of the hub at a time.
func (h *Hub) Top(n int) []TopicSize {
	top := make([]TopicSize, 0, max(n, 0)+1)
	h.each(func(t *topic) {
		if len(top) == n && (n == 0 || top[n-1].Members >= int(t.members)) {
			return
		}
		i, _ := slices.BinarySearchFunc(top, int(t.members), func(a TopicSize, members int) int { return cmp.Compare(members, a.Members) })
		top = slices.Insert(top, i, TopicSize{t.key, int(t.members)})
		top = top[:min(n, len(top))]
	})
	return top
}

// each calls f for every topic with members that is not hidden, with its lock held.
func (h *Hub) each(f func(t *topic)) {
	for i := range h.stripes {
		st := &h.stripes[i]
		st.mu.RLock()
		for _, t := range st.topics {
			if t.key.hidden() {
				continue
			}
			t.mu.Lock()
			if !t.gone {
				f(t)
			}
			t.mu.Unlock()
		}
		st.mu.RUnlock()
	}
}
