package fanout

import (
	"math/bits"
	"time"
)

// Key names a topic: the number of its namespace, given by Hub.Space, and its name there. Two keys are the same topic exactly when
// they are equal; no part is ever joined with another into one string.
type Key struct {
	Space uint32
	Name  string
}

// Position orders the events of one topic. Offsets count from 1 within an epoch; every new life of a topic has an epoch of its own,
// so that no position is ever given twice. The zero value is no position.
type Position struct{ Epoch, Offset uint64 }

// Event is one message on its way to the members of a topic. The publisher fills Key, Data and Kind and hands it over with
// Hub.Publish: once accepted, neither the event nor the bytes of Data may change, and it must not be published again.
type Event struct {
	Key  Key
	Data []byte
	Pos  Position // set by Hub.Publish before the first encoder sees the event
	Kind uint8    // opaque here: whatever the encoders make of it

	// Written by the publisher before it commits, read by the loops after.
	forms uint32   // a bit for each form made
	wire  [][]byte // their bytes, by ascending form

	ready bool          // all forms are made; guarded by the topic's lock
	at    time.Duration // when it got its position, on the hub's clock
}

// eventOverhead stands for what an event costs beside its data, so that empty events are bounded as well: the struct, its place in
// the log and the headers of its forms.
const eventOverhead = 128

func (ev *Event) size() int { return len(ev.Data) + eventOverhead }

// bytes returns the event in form f, nil if that form was not made: then no member with that form is owed the event.
func (ev *Event) bytes(f Form) []byte {
	bit := uint32(1) << f
	if ev.forms&bit == 0 {
		return nil
	}
	return ev.wire[bits.OnesCount32(ev.forms&(bit-1))]
}
