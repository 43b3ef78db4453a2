package fanout

import (
	"hash/maphash"
	"sync/atomic"
	"time"
)

// defaultTopicBytes bounds the undelivered bytes of one topic when Config does not say.
const defaultTopicBytes = 8 << 20

// Config holds the limits of undelivered bytes: the data of events which some member is still owed, and 128 bytes for each such event.
// Encoded forms are not counted. A single event is always accepted when nothing else is undelivered, whatever its size: the limit of a
// payload is somebody else's, and an event that can never be accepted must not look like one to try again.
type Config struct {
	TopicBytes int // per topic; 0 is 8 MiB
	TotalBytes int // over all topics of the process; 0 is no limit
}

// Receipt is what a publisher gets, before any socket is touched.
type Receipt struct {
	Pos       Position // zero if the topic has no members
	Receivers int      // members at the moment the position was taken
}

// Hub finds topics by name and owns what all loops share. Its methods may be called by any goroutine, those for start-up apart.
type Hub struct {
	// Fixed after start-up.
	config   Config
	encoders []Encoder
	shards   []*Shard
	seed     maphash.Seed
	start    time.Time // of the hub's clock

	stripes [stripeCount]stripe
	spaces  spaces
	pools   pools         // for all logs
	epoch   atomic.Uint64 // the epoch given last

	undelivered atomic.Int64
	topics      atomic.Int64
	publishes   atomic.Uint64
	encodes     atomic.Uint64
	busy        atomic.Uint64
	latency     latency
}

// NewHub returns a hub without topics, forms and shards.
func NewHub(cfg Config) *Hub {
	if cfg.TopicBytes <= 0 {
		cfg.TopicBytes = defaultTopicBytes
	}
	h := &Hub{config: cfg, seed: maphash.MakeSeed(), start: time.Now()}
	for i := range h.stripes {
		h.stripes[i].topics = make(map[Key]*topic)
	}
	// Epochs go up by one per topic, from the microsecond of the start: no process makes a topic every microsecond of its life, so the
	// next one starts above all epochs of this one, and until the year 2255 they fit the integers of a JSON reader (2^53).
	h.epoch.Store(uint64(time.Now().UnixMicro()))
	return h
}

// Shard adds a loop to the hub. It must be called at start-up only, once per loop, at most 256 times: a ref has 8 bits for the loop.
func (h *Hub) Shard(s Sink) *Shard {
	sh := &Shard{hub: h, sink: s, index: len(h.shards)}
	h.shards = append(h.shards, sh)
	return sh
}

// Publish gives the event its position and to each member at that moment exactly one delivery, unless the member leaves before its
// turn. It returns as soon as the wire bytes are made and the loops are told, long before sockets are written. A topic without
// members has no position: the receipt is zero and nothing is kept. On ErrBusy nothing was published.
//
// Order: if one Publish returns before another of the same topic begins, its position is the lower one; members see positions ascend.
func (h *Hub) Publish(ev *Event) (Receipt, error) {
	if !ev.Key.hidden() {
		h.publishes.Add(1)
	}
	t := h.find(ev.Key)
	if t == nil {
		return Receipt{}, nil
	}
	rc, forms, err := t.append(ev)
	if err != nil {
		if !ev.Key.hidden() {
			h.busy.Add(1)
		}
		return Receipt{}, err
	}
	if rc.Receivers == 0 {
		return Receipt{}, nil
	}
	defer t.commit(ev) // deferred, so that an encoder that panics does not hold back the events behind this one
	h.encode(ev, forms)
	return rc, nil
}

// reserve counts size bytes as undelivered, unless they would break the limit of the process.
func (h *Hub) reserve(size int) bool {
	limit := int64(h.config.TotalBytes)
	for {
		old := h.undelivered.Load()
		if limit > 0 && old > 0 && old+int64(size) > limit {
			return false
		}
		if h.undelivered.CompareAndSwap(old, old+int64(size)) {
			return true
		}
	}
}

// wakes is a set of shards, by index.
type wakes [4]uint64

func (w *wakes) add(s *Shard) { w[s.index/64] |= 1 << (s.index % 64) }

// wake calls the loops in w. No lock may be held.
func (h *Hub) wake(w wakes) {
	for i, s := range h.shards {
		if w[i/64]&(1<<(i%64)) != 0 {
			s.sink.Wake()
		}
	}
}
