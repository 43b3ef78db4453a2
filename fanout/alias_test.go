package fanout

import (
	"testing"
	"unsafe"
)

type nowhere struct{}

func (nowhere) Send(uint64, uint32, uint8, bool, [][]byte) {}
func (nowhere) Wake()                                      {}

// TestNameOfABuffer: a topic's name may be part of a buffer that the caller uses again.
func TestNameOfABuffer(t *testing.T) {
	h := NewHub(Config{})
	f, err := h.Form(func(ev *Event) []byte { return ev.Data })
	if err != nil {
		t.Fatal(err)
	}
	s := h.Shard(nowhere{})
	buf := []byte("news")
	s.Join(1, Key{Name: unsafe.String(&buf[0], len(buf))}, Want{Form: f})
	copy(buf, "xxxx")
	if rc, err := h.Publish(&Event{Key: Key{Name: "news"}}); err != nil || rc.Receivers != 1 {
		t.Fatalf("receipt %+v, %v: the topic has lost its name", rc, err)
	}
	if !s.Leave(1, Key{Name: "news"}) || h.Stats().Topics != 0 {
		t.Fatal("the membership has lost its topic's name")
	}
}
