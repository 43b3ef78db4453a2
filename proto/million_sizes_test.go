//go:build million && !race

package proto_test

import (
	"runtime"
	"testing"
)

// alive is the heap that is in use, after a collection.
func alive() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// TestMillionSizes: a connection and its membership take at most 300 bytes of the heap, a delivery allocates nothing. (The race
// detector allocates for both.)
func TestMillionSizes(t *testing.T) {
	const size = 20 << 10 // whole chunks of the slab
	c := gather(t)
	defer c.server.Close()
	before := alive()
	c.grow(size)
	if per := float64(alive()-before) / size; per > 300 {
		t.Errorf("%.1f bytes a record", per)
	} else {
		t.Logf("%.1f bytes a record", per)
	}
	data := message(0)
	least := ^uint64(0)
	for range 10 {
		var from, to runtime.MemStats
		runtime.ReadMemStats(&from)
		c.publish(data)
		c.delivered()
		runtime.ReadMemStats(&to)
		least = min(least, to.Mallocs-from.Mallocs)
	}
	if t.Logf("%d allocations", least); least > 10 { // the publisher's: the event, its bytes, the forms
		t.Errorf("%d allocations for a message to %d", least, size)
	}
}
