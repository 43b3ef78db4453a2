//go:build !race

package fanout

// owner asserts, in builds with the race detector, that a shard is used by one goroutine only.
type owner struct{}

func (owner) assert() {}
