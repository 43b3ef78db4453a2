package proto

import (
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"fanfare/proto/auth"
)

// Claim tells what an upgrade says about who sends it. Its strings die with r.
func (p Peer) Claim(r *Request) auth.Claim {
	return auth.Claim{
		Local: p.Local(), Host: r.Host, Authorization: joined(r, "Authorization"),
		Origin: joined(r, "Origin"), FetchSite: joined(r, "Sec-Fetch-Site"),
		Forwarded: forwarded(r),
	}
}

func forwarded(r *Request) bool {
	for name := range r.Headers() {
		if auth.IsForwarding(name) {
			return true
		}
	}
	return false
}

// joined gives a header that may have come in several lines.
func joined(r *Request, name string) (value string) {
	for v := range r.Values(name) {
		if value == "" {
			value = v
		} else {
			value += ", " + v
		}
	}
	return value
}

// RequestClaim tells what a plain HTTP request says about who sends it.
func RequestClaim(r *http.Request) auth.Claim {
	get := func(name string) string { return strings.Join(r.Header.Values(name), ", ") }
	return auth.Claim{
		Local: isLocal(r), Host: r.Host, Authorization: get("Authorization"),
		Origin: get("Origin"), FetchSite: get("Sec-Fetch-Site"),
		Forwarded: slices.ContainsFunc(slices.Collect(maps.Keys(r.Header)), auth.IsForwarding),
	}
}

// isLocal reports whether the peer is a loopback address or came by a unix socket.
func isLocal(r *http.Request) bool {
	if a, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && a.Network() == "unix" {
		return true
	}
	a, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && a.Addr().Unmap().IsLoopback()
}

// Forbidden is the error of a verdict that is not auth.Allowed: 401 where a key helps, else 403.
func Forbidden(v auth.Verdict) *Error {
	if v.Authenticate() {
		return &Error{
			Status: http.StatusUnauthorized, Code: CodeUnauthorized, Field: "Authorization",
			Header: "WWW-Authenticate: Bearer\r\n", Text: v.Refusal(),
		}
	}
	return &Error{Status: http.StatusForbidden, Code: CodeForbidden, Text: v.Refusal()}
}

// sameOrigin reports whether a browser, if it is one, says that the page which sends this is ours.
func sameOrigin(r *http.Request) bool {
	c := RequestClaim(r)
	return c.SameOrigin()
}

// foreign says why a request is not one of an operator's, nil if it may be one. Who comes over loopback must ask by a name of this
// machine: a page can let a name of its own stand for 127.0.0.1 (DNS rebinding), and then its origin is the host's.
func foreign(r *http.Request) error {
	c := RequestClaim(r)
	a, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	tcp := a != nil && a.Network() == "tcp"
	switch {
	case !c.SameOrigin():
		return errForeignPage
	case tcp && c.Local && !c.LocalHost():
		return errForeignHost
	}
	return nil
}
