package proto

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"fanfare/loop"
	"fanfare/proto/auth"
	"fanfare/proto/limit"
)

// Reloadable is what may change while the server runs. It holds for what comes after; connections that are open stay.
type Reloadable struct {
	Auth       auth.Policy    // who may publish, for dialects that are Publishing
	Origins    auth.Origins   // pages that may open sockets
	PerAddress int            // sockets of one address, or one /64 of IPv6; 0 is no limit
	Proxies    []netip.Prefix // whose X-Forwarded-For tells the address; if there are any, unix sockets are trusted as well
	Admission  loop.Admission // of the group

	// BacklogTotal is that of the group's limits, for readiness to compare with; 0 is no limit.
	BacklogTotal int64
}

var (
	errOrigin = &Error{
		Status: http.StatusForbidden, Code: CodeOrigin, Field: "Origin", Text: "pages of this origin may not open a socket here", Fatal: true,
	}
	errAddress = &Error{
		Status: http.StatusTooManyRequests, Code: CodeAddress, Text: "too many connections from this address", Fatal: true, Retry: true,
	}
)

// Reload takes all settings, or none if it returns an error. Any goroutine may call it, once Attach was called.
func (s *Server) Reload(r Reloadable) error {
	if err := r.check(); err != nil {
		s.ReloadFailed()
		return err
	}
	s.reloading.Lock()
	defer s.reloading.Unlock()
	s.live.Store(&r)
	s.group.Admit(r.Admission)
	for _, d := range s.dialects {
		if p, ok := d.dialect.(Publishing); ok {
			p.SetAuth(r.Auth)
		}
	}
	s.counts.reload.Store(time.Now().UnixMilli())
	s.counts.failed.Store(false)
	return nil
}

// ReloadFailed tells metrics that new settings could not be read, so that the old ones stay.
func (s *Server) ReloadFailed() { s.counts.failed.Store(true) }

func (r *Reloadable) check() error {
	if r.PerAddress < 0 || r.BacklogTotal < 0 || r.Admission.Conns < 0 || r.Admission.Rate < 0 || r.Admission.Memory < 0 {
		return errors.New("proto: a limit is below 0")
	}
	for _, p := range r.Proxies {
		if !p.IsValid() {
			return fmt.Errorf("proto: trusted proxy %s is no network", p)
		}
	}
	return nil
}

// What Conn.Tag holds: whether the connection is counted among its dialect's, and as whose it is counted.
const (
	tagCounted = 1 << 31
	tagHolds   = 1 << 30
)

// enter checks what every dialect asks of an upgrade.
func (s *Server) enter(p Peer, r *Request) error {
	set := s.live.Load()
	if !set.Origins.Any() && !set.Origins.Allow(joined(r, "Origin")) {
		return errOrigin
	}
	if set.PerAddress == 0 {
		return nil
	}
	forwarded := ""
	if len(set.Proxies) > 0 {
		forwarded = joined(r, "X-Forwarded-For")
	}
	addr := limit.Client(p.Remote().Addr(), forwarded, set.Proxies)
	if !addr.IsValid() { // a unix socket without a proxy
		return nil
	}
	h, ok := s.addresses.Take(addr, set.PerAddress)
	if !ok {
		return errAddress
	}
	*p.c.Tag() |= tagHolds | uint32(h)
	return nil
}

// leave gives back what enter and count took.
func (s *Server) leave(p Peer) {
	tag := p.c.Tag()
	if *tag&tagHolds != 0 {
		s.addresses.Give(limit.Holder(*tag &^ (tagHolds | tagCounted)))
	}
	if *tag&tagCounted != 0 {
		p.listener().open.Add(-1)
	}
	*tag = 0
}

// counted adds the connection to those of its dialect.
func (p Peer) counted() {
	*p.c.Tag() |= tagCounted
	p.listener().open.Add(1)
}
