package limit

import (
	"hash/maphash"
	"maps"
	"net/netip"
	"strings"
	"sync"
)

// Holder stands for an address that holds something, in 30 bits: a keyed hash of the IPv4 address or of the /64 of the IPv6 one. Two
// addresses that meet in one number, of a million about one in a thousand does, are counted together.
type Holder uint32

const holderBits = 30

// Addresses counts holdings by address. The zero value must be made ready by Init; any goroutine may use it then.
type Addresses struct {
	seed maphash.Seed

	mu   sync.Mutex
	held map[Holder]uint32
	peak int // the most addresses this map has had
}

// Init makes a ready.
func (a *Addresses) Init() {
	a.seed = maphash.MakeSeed()
	a.held = make(map[Holder]uint32)
}

// Take counts one more for the address, unless it holds most already.
func (a *Addresses) Take(addr netip.Addr, most int) (h Holder, ok bool) {
	h = a.holder(addr)
	a.mu.Lock()
	defer a.mu.Unlock()
	if int(a.held[h]) >= most {
		return h, false
	}
	a.held[h]++
	a.peak = max(a.peak, len(a.held))
	return h, true
}

// Give takes one back.
func (a *Addresses) Give(h Holder) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.held[h]--; a.held[h] > 0 && a.held[h] != ^uint32(0) {
		return
	}
	delete(a.held, h)
	const small = 1024
	if a.peak > small && len(a.held) < a.peak/8 { // a map never shrinks
		held := make(map[Holder]uint32, len(a.held))
		maps.Copy(held, a.held)
		a.held, a.peak = held, len(held)
	}
}

// Len is the number of addresses that hold something.
func (a *Addresses) Len() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.held)
}

func (a *Addresses) holder(addr netip.Addr) Holder {
	const net6 = 64
	if addr = addr.Unmap(); addr.Is6() {
		p, _ := addr.WithZone("").Prefix(net6)
		addr = p.Addr()
	}
	b := addr.As16()
	return Holder(maphash.Bytes(a.seed, b[:]) & (1<<holderBits - 1))
}

// Client finds the address of who speaks through proxies: with a peer that is trusted, the last one of X-Forwarded-For that is not.
// A peer without an address, on a unix socket, is trusted. A header that came in several lines is given as all of them, joined by commas. Whatever is no address ends the search: the proxy
// before it counts.
func Client(peer netip.Addr, forwarded string, trusted []netip.Prefix) netip.Addr {
	client := peer.Unmap()
	for (!client.IsValid() || contains(trusted, client)) && forwarded != "" {
		i := strings.LastIndexByte(forwarded, ',')
		a, err := parse(strings.TrimSpace(forwarded[i+1:]))
		if err != nil {
			return client
		}
		client, forwarded = a, forwarded[:max(i, 0)]
	}
	return client
}

// parse reads an address with or without a port, as some proxies write them.
func parse(s string) (netip.Addr, error) {
	if p, err := netip.ParseAddrPort(s); err == nil {
		return p.Addr().Unmap(), nil
	}
	a, err := netip.ParseAddr(strings.Trim(s, "[]"))
	return a.Unmap(), err
}

func contains(list []netip.Prefix, a netip.Addr) bool {
	for _, p := range list {
		if p.Contains(a.WithZone("")) {
			return true
		}
	}
	return false
}
