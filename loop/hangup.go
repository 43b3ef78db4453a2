package loop

import (
	"errors"
	"reflect"
	"sync/atomic"
	"unsafe"

	"github.com/cloudwego/netpoll"
)

// A reset that arrives while netpoll asks for events can come as a hang-up without a readable event, about one in 50,000. netpoll
// then detaches the operator by itself and calls OnHup on another goroutine, when the slot may be somebody else's. So OnHup is one
// function a loop, which only notes that there is something to look for, and the next tick looks for the operator that netpoll has
// given up. In the ordinary case OnRead meets the end of the stream first, and bury takes OnHup away before netpoll looks at it.

// detachedAt is where FDOperator.detached is, which netpoll does not show.
//
//nolint:gochecknoglobals // a fact about a type
var detachedAt, errDetached = findDetached(reflect.TypeFor[netpoll.FDOperator]())

func findDetached(operator reflect.Type) (uintptr, error) {
	f, ok := operator.FieldByName("detached")
	if !ok || f.Type != reflect.TypeFor[int32]() {
		return 0, errors.New("netpoll: FDOperator.detached is no longer an int32")
	}
	return f.Offset, nil
}

// detached reports whether the operator is out of its poll for good.
func detached(op *netpoll.FDOperator) bool {
	return atomic.LoadInt32((*int32)(unsafe.Add(unsafe.Pointer(op), detachedAt))) != 0
}

// onHup is called by netpoll, on any goroutine, also after the end of the loop.
func (l *Loop) onHup(netpoll.Poll) error {
	l.hungUp.Store(true)
	return nil
}

// findHungUp ends connections that netpoll has detached without a readable event. It reads every record once, which is why it
// waits for a tick: however many there are to find, it is done once.
func (l *Loop) findHungUp() {
	if !l.hungUp.Swap(false) {
		return
	}
	for _, ch := range l.slab.chunks {
		if ch == nil || ch.used == 0 {
			continue
		}
		for i := range ch.conns {
			c := &ch.conns[i]
			if c.state == free || c.state == dead || c.state == canary || c.flags&flagResume != 0 || !detached(&c.op) {
				continue
			}
			l.serve(c) // what it still has, and the error
			if c.state != dead && c.flags&flagResume == 0 {
				l.kill(c, Reset) // no event would ever come again
			}
		}
	}
}
