//go:build race

package loop

import (
	"bytes"
	"runtime"
)

// owner is the goroutine that the loop's callbacks run on: netpoll's wait loop.
type owner struct{ id string }

// own panics when it is called on another goroutine than the loop's first callback was.
func (l *Loop) own() {
	var buf [64]byte
	id := string(bytes.Fields(buf[:runtime.Stack(buf[:], false)])[1])
	if l.owner.id == "" {
		l.owner.id = id
	}
	if l.owner.id != id {
		panic("loop: used on goroutine " + id + ", owned by " + l.owner.id)
	}
}
