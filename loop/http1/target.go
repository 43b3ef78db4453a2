package http1

import (
	"net/netip"
	"strings"
)

const portMax = 5 // digits

// cutAuthority splits an absolute target (RFC 9112, section 3.2.2) into its authority and what follows it. User names and
// percent-encoded hosts are refused.
func cutAuthority(s string) (host, path string, ok bool) {
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok || !equalFold(scheme, "http") && !equalFold(scheme, "https") {
		return "", "", false
	}
	host = rest
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		host, path = rest[:i], rest[i:]
	}
	name, port := host, ""
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		name, port = host[:i], host[i+1:]
	}
	if len(port) > portMax || !all(port, inDigits) || !isHostName(name) {
		return "", "", false
	}
	return host, path, true
}

func isHostName(s string) bool {
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		a, err := netip.ParseAddr(s[1 : len(s)-1])
		return err == nil && a.Is6() && a.Zone() == ""
	}
	return s != "" && all(s, inName)
}
