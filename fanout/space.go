package fanout

import "sync"

// spaces numbers namespaces, from 1. Numbers are never given back: namespaces come from the configuration, not from clients.
type spaces struct {
	mu     sync.Mutex
	number map[string]uint32
}

// hiddenSpace is set in the numbers of hidden namespaces.
const hiddenSpace = 1 << 31

// hidden reports whether the topic is outside of all statistics.
func (k Key) hidden() bool { return k.Space&hiddenSpace != 0 }

// Hidden is Space for a namespace of its own whose topics, members, events and deliveries are in no statistics and under no limit of the
// process: for events that only test whether events arrive.
func (h *Hub) Hidden(name string) uint32 { return h.Space("\x00"+name) | hiddenSpace }

// Space returns the number of a namespace, the same one for the same name as long as the process lives.
func (h *Hub) Space(name string) uint32 {
	h.spaces.mu.Lock()
	defer h.spaces.mu.Unlock()
	n, ok := h.spaces.number[name]
	if !ok {
		if h.spaces.number == nil {
			h.spaces.number = make(map[string]uint32)
		}
		n = uint32(len(h.spaces.number) + 1)
		h.spaces.number[name] = n
	}
	return n
}
