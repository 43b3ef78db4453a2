package limit_test

import (
	"net/netip"
	"sync"
	"testing"

	"fanfare/proto/limit"
)

func TestAddresses(t *testing.T) {
	var a limit.Addresses
	a.Init()
	take := func(s string, want bool) limit.Holder {
		t.Helper()
		h, ok := a.Take(netip.MustParseAddr(s), 2)
		if ok != want {
			t.Errorf("%s: %v", s, ok)
		}
		return h
	}
	h := take("10.0.0.1", true)
	if take("::ffff:10.0.0.1", true) != h {
		t.Error("a mapped address is another one")
	}
	take("10.0.0.1", false)
	take("10.0.0.2", true)
	six := take("2001:db8::1", true)
	if take("2001:db8::ffff:1:2%eth0", true) != six || take("2001:db8:0:1::1", true) == six {
		t.Error("a /64 counts as one")
	}
	take("2001:db8::2", false)
	a.Give(h)
	take("10.0.0.1", true)
	a.Give(h)
	a.Give(h)
	a.Give(h) // once too often
	if a.Len() != 3 {
		t.Error(a.Len())
	}
}

func TestAddressesReturnMemory(t *testing.T) {
	var a limit.Addresses
	a.Init()
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			held := make([]limit.Holder, 0, 5000)
			for i := range 5000 {
				h, ok := a.Take(netip.AddrFrom4([4]byte{byte(g), 1, byte(i >> 8), byte(i)}), 1000)
				if !ok {
					t.Error("refused")
				}
				held = append(held, h)
			}
			for _, h := range held {
				a.Give(h)
			}
		})
	}
	wg.Wait()
	if a.Len() != 0 {
		t.Error(a.Len())
	}
}

func TestClient(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	if a := limit.Client(netip.Addr{}, "6.6.6.6, 1.1.1.1", nil); a != netip.MustParseAddr("1.1.1.1") {
		t.Error(a)
	}
	if a := limit.Client(netip.Addr{}, "", trusted); a.IsValid() {
		t.Error(a)
	}
	for _, tt := range []struct{ peer, forwarded, want string }{
		{"192.0.2.1", "", "192.0.2.1"},
		{"192.0.2.1", "1.1.1.1", "192.0.2.1"}, // who is not trusted speaks for himself
		{"10.0.0.1", "", "10.0.0.1"},
		{"10.0.0.1", "1.1.1.1", "1.1.1.1"},
		{"::ffff:10.0.0.1", "1.1.1.1", "1.1.1.1"},
		{"10.0.0.1", "6.6.6.6, 1.1.1.1", "1.1.1.1"},
		{"10.0.0.1", "6.6.6.6, 1.1.1.1 ,10.0.0.2", "1.1.1.1"},
		{"10.0.0.1", "10.0.0.3,10.0.0.2", "10.0.0.3"},
		{"10.0.0.1", "1.1.1.1:1234", "1.1.1.1"},
		{"fd00::1", "[2001:db8::1]:1234", "2001:db8::1"},
		{"fd00::1", "[2001:db8::1]", "2001:db8::1"},
		{"fd00::1", "2001:db8::1", "2001:db8::1"},
		{"10.0.0.1", "1.1.1.1, garbage", "10.0.0.1"},
		{"10.0.0.1", "1.1.1.1, unknown, 10.0.0.2", "10.0.0.2"},
		{"10.0.0.1", ",", "10.0.0.1"},
	} {
		if got := limit.Client(netip.MustParseAddr(tt.peer), tt.forwarded, trusted); got != netip.MustParseAddr(tt.want) {
			t.Errorf("%s %q: %s", tt.peer, tt.forwarded, got)
		}
	}
}
