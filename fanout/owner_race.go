//go:build race

package fanout

import (
	"bytes"
	"fmt"
	"runtime"
	"strconv"
	"sync/atomic"
)

// owner asserts that a shard is used by one goroutine only: the first that calls it.
type owner struct{ goroutine atomic.Uint64 }

func (o *owner) assert() {
	id := goroutine()
	if first := o.goroutine.Load(); first == id || first == 0 && o.goroutine.CompareAndSwap(0, id) {
		return
	}
	panic(fmt.Sprintf("fanout: goroutine %d uses a shard that belongs to goroutine %d", id, o.goroutine.Load()))
}

// goroutine returns the number of the calling goroutine: the stack begins "goroutine 18 [running]:".
func goroutine() uint64 {
	var buf [64]byte
	head := bytes.TrimPrefix(buf[:runtime.Stack(buf[:], false)], []byte("goroutine "))
	number, _, _ := bytes.Cut(head, []byte(" "))
	id, err := strconv.ParseUint(string(number), 10, 64)
	if err != nil {
		panic("fanout: no goroutine number in the stack: " + err.Error())
	}
	return id
}
