package http1

import (
	"iter"
	"strings"
)

// Header returns the value of the first header line with that name, in any case, without the white space around it; ""
// if there is none.
func (r *Request) Header(name string) string {
	for i := range r.fields {
		if equalFold(r.fields[i].name, name) {
			return r.fields[i].value
		}
	}
	return ""
}

// Values gives the values of all header lines with that name, in any case, in the order sent.
func (r *Request) Values(name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range r.fields {
			if equalFold(r.fields[i].name, name) && !yield(r.fields[i].value) {
				return
			}
		}
	}
}

// Headers gives all header lines in the order sent.
func (r *Request) Headers() iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for i := range r.fields {
			if !yield(r.fields[i].name, r.fields[i].value) {
				return
			}
		}
	}
}

// Tokens gives the members of a comma-separated list that may extend over several header lines (RFC 9110, section 5.6.1),
// such as the subprotocols in Sec-WebSocket-Protocol. Empty members are left out. It does not know quoted strings.
func (r *Request) Tokens(name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for list := range r.Values(name) {
			for more := true; more; {
				var member string
				member, list, more = strings.Cut(list, ",")
				if member = trim(member); member != "" && !yield(member) {
					return
				}
			}
		}
	}
}

// HasToken reports whether the comma-separated list in all header lines with that name holds the token, in any case.
func (r *Request) HasToken(name, token string) bool {
	for t := range r.Tokens(name) {
		if equalFold(t, token) {
			return true
		}
	}
	return false
}
