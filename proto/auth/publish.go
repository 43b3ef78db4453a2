package auth

import (
	"net/netip"
	"strings"
)

// Policy says who may publish: with keys, whoever has one. Without, only programs and pages on this machine, unless Open.
type Policy struct {
	Keys Keys
	Open bool // without keys: anybody
}

// Claim is what a request tells about who sends it. A header that came in several lines is given as all of them, joined by ", ".
type Claim struct {
	Local         bool // the peer is a loopback address or a unix socket
	Host          string
	Authorization string
	Origin        string
	FetchSite     string // Sec-Fetch-Site
	Forwarded     bool   // a proxy speaks for somebody else: a header says so, see IsForwarding
}

// IsForwarding reports whether a header of that name is one that proxies add. (A proxy that adds none cannot be told from a client.)
func IsForwarding(name string) bool {
	for _, known := range []string{"Forwarded", "Via", "X-Real-IP", "X-Client-IP", "CF-Connecting-IP", "True-Client-IP"} {
		if strings.EqualFold(name, known) {
			return true
		}
	}
	const family = "X-Forwarded-"
	return len(name) > len(family) && strings.EqualFold(name[:len(family)], family)
}

// Verdict is a Policy's answer; it fits into a byte of a connection's record.
type Verdict uint8

// The verdicts; the zero value is none of them.
const (
	Allowed     Verdict = iota + 1
	NoKey               // a key is needed and none was given
	WrongKey            // a key is needed and another was given
	NotLocal            // there is no key, and the peer is elsewhere
	ForeignHost         // there is no key, and the Host header is not this machine's: perhaps a page whose name resolves to here
	CrossSite           // there is no key, and a page of another site sends this
)

// Check decides whether the claim may publish.
func (p *Policy) Check(c Claim) Verdict {
	switch {
	case p.Keys.Len() > 0:
		return p.checkKey(c.Authorization)
	case p.Open:
		return Allowed
	case !c.Local || c.Forwarded:
		return NotLocal
	case !isLocalHost(c.Host):
		return ForeignHost
	case !sameSite(c):
		return CrossSite
	}
	return Allowed
}

func (p *Policy) checkKey(authorization string) Verdict {
	scheme, key, ok := strings.Cut(authorization, " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") { // RFC 6750, section 2.1
		return NoKey
	}
	if !p.Keys.Has(strings.TrimLeft(key, " ")) {
		return WrongKey
	}
	return Allowed
}

const settings = "set FANFARE_PUBLISH_KEY or --publish-key-file and send the key"

// Refusal says in words why the verdict is not Allowed.
func (v Verdict) Refusal() string {
	switch v {
	case Allowed:
		return ""
	case NoKey:
		return "publishing needs a key: Authorization: Bearer KEY"
	case WrongKey:
		return "this key may not publish"
	case NotLocal:
		return "without a publish key only clients on this machine may publish: " + settings
	case ForeignHost:
		return "without a publish key the Host must be localhost, 127.0.0.0/8 or [::1]: " + settings
	case CrossSite:
		return "without a publish key no page of another site may publish: " + settings
	}
	return "publishing is not allowed"
}

// Authenticate reports whether a key would help where none or a wrong one was given: status 401 rather than 403.
func (v Verdict) Authenticate() bool { return v == NoKey || v == WrongKey }

// isLocalHost reports whether a Host header names this machine: localhost, 127.0.0.0/8 or [::1], with any port.
func isLocalHost(host string) bool {
	name := host
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		name = host[:i]
		if !isPort(host[i+1:]) {
			return false
		}
	}
	if strings.EqualFold(name, "localhost") {
		return true
	}
	bracketed := strings.HasPrefix(name, "[") && strings.HasSuffix(name, "]")
	if bracketed {
		name = name[1 : len(name)-1]
	}
	a, err := netip.ParseAddr(name)
	return err == nil && a.IsLoopback() && a.Is6() == bracketed && !a.Is4In6() && a.Zone() == ""
}

func isPort(s string) bool { return len(s) <= 5 && strings.Trim(s, "0123456789") == "" }

// sameSite reports whether a browser, if it is one, says that the page is ours. Other programs send neither header.
func sameSite(c Claim) bool {
	if c.FetchSite != "" && c.FetchSite != "none" && c.FetchSite != "same-origin" {
		return false
	}
	if c.Origin == "" {
		return true
	}
	scheme, host, ok := strings.Cut(c.Origin, "://")
	return ok && (scheme == "http" || scheme == "https") && strings.EqualFold(host, c.Host)
}
