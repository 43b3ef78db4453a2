package auth

import (
	"fmt"
	"strings"
)

// Origins are the web pages that may open a socket. The zero value allows all of them. Programs that send no Origin are no pages: they
// are always allowed.
type Origins struct {
	exact  map[string]bool
	within [][2]string // what an origin begins and ends with: https:// and .example.com
}

// ParseOrigins reads a list of origins: SCHEME://HOST[:PORT], where HOST may begin with "*." and mean every name below; null, which
// pages without an origin send; or * alone, which allows all. An empty list allows all, too.
func ParseOrigins(list []string) (Origins, error) {
	var o Origins
	all := false
	for _, s := range list {
		scheme, host, ok := strings.Cut(strings.ToLower(strings.TrimSpace(s)), "://")
		switch {
		case scheme == "*" && !ok:
			all = true
		case scheme == "null" && !ok:
			o.add("null")
		case !ok || !isScheme(scheme) || !isAuthority(strings.TrimPrefix(host, "*.")):
			return Origins{}, fmt.Errorf("origin %q: must be SCHEME://HOST[:PORT], with *. before HOST for all names below it, null or *", s)
		case strings.HasPrefix(host, "*."):
			o.within = append(o.within, [2]string{scheme + "://", withoutPort(scheme, host[1:])})
		default:
			o.add(scheme + "://" + withoutPort(scheme, host))
		}
	}
	if all {
		return Origins{}, nil
	}
	return o, nil
}

func (o *Origins) add(origin string) {
	if o.exact == nil {
		o.exact = make(map[string]bool)
	}
	o.exact[origin] = true
}

// Any reports whether all pages are allowed.
func (o *Origins) Any() bool { return len(o.exact)+len(o.within) == 0 }

// Allow reports whether a request with this Origin header, "" for none, may open a socket: scheme, host and port must be those of an
// entry. A header that came in several lines is given as all of them and allowed by none.
func (o *Origins) Allow(origin string) bool {
	if origin == "" || o.Any() || o.exact[origin] {
		return true
	}
	origin = strings.ToLower(origin)
	if scheme, host, ok := strings.Cut(origin, "://"); ok {
		if !isAuthority(host) {
			return false
		}
		origin = scheme + "://" + withoutPort(scheme, host)
	}
	for _, w := range o.within {
		if len(origin) > len(w[0])+len(w[1]) && strings.HasPrefix(origin, w[0]) && strings.HasSuffix(origin, w[1]) {
			return true
		}
	}
	return o.exact[origin]
}

// withoutPort takes the port off that the scheme has anyway, which browsers do not send.
func withoutPort(scheme, host string) string {
	switch scheme {
	case "http", "ws":
		return strings.TrimSuffix(host, ":80")
	case "https", "wss":
		return strings.TrimSuffix(host, ":443")
	}
	return host
}

const letters = "abcdefghijklmnopqrstuvwxyz0123456789-."

func isScheme(s string) bool { return s != "" && strings.Trim(s, letters+"+") == "" }

// isAuthority accepts HOST[:PORT] and [IPV6][:PORT] in lower case, roughly: what is wrong beyond that equals no header of a browser.
func isAuthority(s string) bool {
	host := s
	if i := strings.LastIndexByte(s, ':'); i >= 0 && !strings.HasSuffix(s, "]") {
		if host = s[:i]; s[i+1:] == "" || !isPort(s[i+1:]) {
			return false
		}
	}
	if strings.HasPrefix(host, "[") {
		inner, ok := strings.CutSuffix(host[1:], "]")
		return ok && inner != "" && strings.Trim(inner, "0123456789abcdef:.") == ""
	}
	return host != "" && strings.Trim(host, letters+"_") == ""
}

// LocalHost reports whether the Host header names this machine: localhost, 127.0.0.0/8 or [::1]. A page whose own name was made to resolve
// to this machine sends that name.
func (c *Claim) LocalHost() bool { return isLocalHost(c.Host) }

// SameOrigin reports whether a browser, if it is one, says that the page which sends this is ours.
func (c *Claim) SameOrigin() bool { return sameSite(*c) }
