package fanout

import (
	"strconv"
	"testing"
)

// One event to n members of one loop with a sink that does nothing; ns/member covers Publish and Work.
func BenchmarkFanout(b *testing.B) {
	for _, members := range []int{1, 100, 10_000, 1_000_000} {
		b.Run(strconv.Itoa(members), func(b *testing.B) {
			h := NewHub(Config{})
			shared := make([]byte, 128)
			if _, err := h.Form(func(*Event) []byte { return shared }); err != nil {
				b.Fatal(err)
			}
			s := h.Shard(nullSink{})
			for slot := range uint64(members) {
				s.Join(1<<24|slot, Key{Name: "t"}, Want{})
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := h.Publish(&Event{Key: Key{Name: "t"}}); err != nil {
					b.Fatal(err)
				}
				rest(s)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(members), "ns/member")
		})
	}
}

// A burst of 64 events to 1,000 members: one send each for all of them.
func BenchmarkBurst(b *testing.B) {
	h, s := benchHub(b)
	for slot := range uint64(1000) {
		s.Join(1<<24|slot, Key{Name: "t"}, Want{})
	}
	b.ReportAllocs()
	for b.Loop() {
		for range segmentEvents {
			if _, err := h.Publish(&Event{Key: Key{Name: "t"}}); err != nil {
				b.Fatal(err)
			}
		}
		rest(s)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000/segmentEvents, "ns/frame")
}

// Publish alone, to a topic whose loop never works, on one topic and on many.
func BenchmarkPublish(b *testing.B) {
	for _, topics := range []int{1, 100_000} {
		b.Run(strconv.Itoa(topics), func(b *testing.B) {
			h, s := benchHub(b)
			names := make([]string, topics)
			for i := range names {
				names[i] = strconv.Itoa(i)
				s.Join(1<<24|uint64(i), Key{Name: names[i]}, Want{})
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if _, err := h.Publish(&Event{Key: Key{Name: names[i%topics]}}); err != nil {
					b.Fatal(err)
				}
				if i++; i%256 == 0 {
					rest(s)
				}
			}
		})
	}
}

// Join and Leave of a connection with one topic that others keep alive.
func BenchmarkJoinLeave(b *testing.B) {
	_, s := benchHub(b)
	s.Join(1<<24, Key{Name: "t"}, Want{})
	b.ReportAllocs()
	for b.Loop() {
		s.Join(1<<24|1, Key{Name: "t"}, Want{})
		s.LeaveAll(1<<24 | 1)
	}
}

// Join and Leave of a topic that nobody else has.
func BenchmarkTopicLife(b *testing.B) {
	_, s := benchHub(b)
	b.ReportAllocs()
	for b.Loop() {
		s.Join(1<<24|1, Key{Name: "t"}, Want{})
		s.LeaveAll(1<<24 | 1)
	}
}

// Publishers on all processors, each with a topic of its own.
func BenchmarkPublishParallel(b *testing.B) {
	h, s := benchHub(b)
	for i := range 64 {
		s.Join(1<<24|uint64(i), Key{Name: strconv.Itoa(i)}, Want{})
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		i := 0
		for pb.Next() {
			i++
			_, _ = h.Publish(&Event{Key: Key{Name: strconv.Itoa(i % 64)}}) // busy is part of it: the loop sleeps
		}
	})
}

func benchHub(b *testing.B) (*Hub, *Shard) {
	b.Helper()
	h := NewHub(Config{})
	shared := make([]byte, 128)
	if _, err := h.Form(func(*Event) []byte { return shared }); err != nil {
		b.Fatal(err)
	}
	return h, h.Shard(nullSink{})
}
