package fanout

import "math/bits"

// Form is how an event looks on the wire to one kind of receiver: dialect, framing and compression together. Hub.Form numbers them.
type Form uint8

// maxForms is the width of the masks that say which forms are in use.
const maxForms = 32

// Encoder makes the complete wire bytes of an event. It must be pure and must neither change nor keep ev. It is called on the
// publisher's goroutine with no lock held; the result is shared by all receivers and never written again. An empty result means
// that receivers with this form get nothing for this event.
type Encoder func(ev *Event) []byte

// Form registers an encoder. It must be called at start-up only, before the first Join or Publish. It returns ErrForms when there are 32 already.
func (h *Hub) Form(enc Encoder) (Form, error) {
	if len(h.encoders) == maxForms {
		return 0, ErrForms
	}
	h.encoders = append(h.encoders, enc)
	return Form(len(h.encoders) - 1), nil
}

// encode makes the given forms, each once. If an encoder panics, the forms before it stay: bytes answers nil for the others.
func (h *Hub) encode(ev *Event, forms uint32) {
	ev.wire = make([][]byte, 0, bits.OnesCount32(forms))
	for rest := forms; rest != 0; rest &= rest - 1 {
		f := bits.TrailingZeros32(rest)
		if !ev.Key.hidden() {
			h.encodes.Add(1)
		}
		ev.wire = append(ev.wire, h.encoders[f](ev))
		ev.forms |= 1 << f
	}
}
