package http1

import "strings"

// class is a set of places where a byte may stand.
type class uint8

const (
	inToken  class = 1 << iota // tchar, RFC 9110 section 5.6.2
	inHost                     // Host header
	inName                     // registered name in the authority of an absolute target
	inTarget                   // request target; like net/http, bytes above ASCII are let through
	inValue                    // header value: visible, space, tab, obs-text
	inBase64                   // standard alphabet, without padding
	inDigits
)

// all reports whether each byte of s is in c.
func all(s string, c class) bool {
	for i := range len(s) {
		if classes[s[i]]&c == 0 {
			return false
		}
	}
	return true
}

func isToken(s string) bool {
	return s != "" && all(s, inToken)
}

// equalFold compares without regard to ASCII case. (strings.EqualFold takes the Kelvin sign for a k.)
func equalFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if a[i] != b[i] && lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		c |= 0x20
	}
	return c
}

// trim cuts optional white space (RFC 9110, section 5.6.3) off both ends.
func trim(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for s != "" && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}

// escaped reports whether each % in s begins a percent-encoded byte (RFC 3986, section 2.1).
func escaped(s string) bool {
	for {
		i := strings.IndexByte(s, '%')
		if i < 0 {
			return true
		}
		if len(s) < i+3 || unhex(s[i+1]) < 0 || unhex(s[i+2]) < 0 {
			return false
		}
		s = s[i+3:]
	}
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
