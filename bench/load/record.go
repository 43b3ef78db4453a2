package load

// record is one connection. A million of them is why it has 32 bytes.
type record struct {
	at    int64  // time in a stamp that was cut
	topic uint32 // topic in it
	seq   uint32 // sequence in it
	left  uint32 // payload bytes of the frame to come; while its header is read, the length so far
	fd    int32
	slot  uint16 // of the handshake, while there is one
	state state
	flags flags
	op    byte  // first byte of the frame
	head  uint8 // what of the header comes next
	mark  uint8 // bytes of a stamp that matched
}

// state is where a connection is in its life.
type state uint8

const (
	closed     state = iota // never opened, or closed by order
	connecting              // TCP
	upgrading               // waits for the head of the answer
	greeting                // waits for the server's first message
	subscribed              // waits for its subscriptions to be confirmed
	open
	closing // our close frame is out
	refused // never came to be open
	lost    // ended though nobody ended it
)

// flags are what else is known of a connection.
type flags uint8

const (
	inMessage flags = 1 << iota // a data message has begun and not ended
	isStamped                   // it had a stamp
	maybePing                   // it is as long as the server's own ping
	cut                         // a control frame's payload waits in the spill
	stopped                     // does not read
	apart                       // is counted apart, because it is or was stopped
)

func (f *flags) set(bit flags, on bool) {
	if on {
		*f |= bit
	} else {
		*f &^= bit
	}
}

// forget is what a new connection starts from.
func (r *record) forget() { *r = record{fd: -1, state: r.state, flags: r.flags & apart} }
