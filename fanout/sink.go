package fanout

// Sink is what a shard needs from the loop that owns it.
type Sink interface {
	// Send queues frames for a connection, in order. It must not block and must not call back into the shard: a connection that dies
	// in it is reported after the slice. room is the conflation key: never 0, which is left for replies, and one number for one topic
	// as long as the connection is a member; another topic may have the number later. class is the policy for slow consumers, as given
	// to Join; more says that this slice may send to the same connection again. Send may keep the inner slices, which nobody writes any
	// more, but not the outer one.
	Send(ref uint64, room uint32, class uint8, more bool, frames [][]byte)
	// Wake asks for a call of Shard.Work, on the loop, after this moment. Any goroutine may call it; calls may be merged.
	Wake()
}
