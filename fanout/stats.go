package fanout

// Stats is a reading of the hub. Each number is exact at some moment of the reading, not all at the same one.
type Stats struct {
	Topics           int    // with members
	Members          int    // memberships of connections in topics
	UndeliveredBytes int    // as limited by Config
	Publishes        uint64 // calls of Publish
	Busy             uint64 // of which ended with ErrBusy
	Encodes          uint64 // calls of encoders
	Deliveries       uint64 // frames handed to sinks
}

// Config gives the limits in force.
func (h *Hub) Config() Config { return h.config }

// Stats reads the hub without stopping a loop or a publisher. Any goroutine may call it.
func (h *Hub) Stats() Stats {
	st := Stats{
		Topics:           int(h.topics.Load()),
		UndeliveredBytes: int(h.undelivered.Load()),
		Publishes:        h.publishes.Load(),
		Busy:             h.busy.Load(),
		Encodes:          h.encodes.Load(),
	}
	for _, s := range h.shards {
		st.Members += int(s.members.Load())
		st.Deliveries += s.deliveries.Load()
	}
	return st
}
