package native_test

import (
	"runtime"
	"testing"

	"fanfare/proto/native"
	"fanfare/proto/prototest"
)

// upgradeGarbage gives what the process allocates for an upgrade to two topics that exist, over what it allocates for a connection that
// sends nothing: n of each come and go, one after the other, so that slots and memberships are used again and only garbage is counted.
func upgradeGarbage(tb testing.TB, n int) (bytes, objects float64) {
	tb.Helper()
	addr := one(tb, native.Config{})
	for range 32 { // on each loop there is a member
		_ = dial(tb, addr, "/ws?topic=a&topic=b&format=json")
	}
	head := []byte(prototest.Head(addr, "/ws?topic=a&topic=b&format=json", "Origin: http://page.example\r\nUser-Agent: bench\r\n"))
	answer := make([]byte, 512)
	visit := func(request []byte) {
		conn, err := prototest.Dial(addr)
		if err != nil {
			tb.Fatal(err)
		}
		if request != nil {
			if _, err := conn.Write(request); err != nil {
				tb.Fatal(err)
			}
			if _, err := conn.Read(answer); err != nil || string(answer[:12]) != "HTTP/1.1 101" {
				tb.Fatal(err, string(answer))
			}
		}
		_ = conn.Close()
	}
	measure := func(request []byte) (bytes, objects float64) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range n {
			visit(request)
		}
		runtime.ReadMemStats(&after)
		return float64(after.TotalAlloc-before.TotalAlloc) / float64(n), float64(after.Mallocs-before.Mallocs) / float64(n)
	}
	measure(head) // slabs and scratch grow
	idleBytes, idleObjects := measure(nil)
	bytes, objects = measure(head)
	return bytes - idleBytes, objects - idleObjects
}

// BenchmarkUpgrade reports the garbage of an upgrade.
func BenchmarkUpgrade(b *testing.B) {
	bytes, objects := upgradeGarbage(b, 5000)
	b.ReportMetric(bytes, "B/upgrade")
	b.ReportMetric(objects, "objects/upgrade")
	b.ReportMetric(0, "ns/op")
}
