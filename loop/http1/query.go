package http1

import (
	"iter"
	"strings"
)

// Param is one name=value pair of a query.
type Param struct {
	Name  string
	Value string
}

// Params gives the parameters of the query, decoded, in the order sent. See the function Params.
func (r *Request) Params() iter.Seq2[Param, error] {
	return Params(r.RawQuery)
}

// Query returns the value of the first parameter with that name, decoded; ok says whether there is one. The error is that
// of Params, if a malformed parameter comes first.
func (r *Request) Query(name string) (value string, ok bool, err error) {
	for p, e := range Params(r.RawQuery) {
		if e != nil {
			return "", false, e
		}
		if p.Name == name {
			return p.Value, true, nil
		}
	}
	return "", false, nil
}

// Params gives the parameters of a query string or of an application/x-www-form-urlencoded body, decoded, in the order sent.
// "+" is a space; only "&" separates; a parameter without "=" has an empty value; empty parameters are left out. Strings
// that need no decoding are parts of query. A malformed escape ends the sequence with an *Error of status 400.
func Params(query string) iter.Seq2[Param, error] {
	return func(yield func(Param, error) bool) {
		for rest := query; rest != ""; {
			var pair string
			pair, rest, _ = strings.Cut(rest, "&")
			if pair == "" {
				continue
			}
			if !escaped(pair) {
				yield(Param{}, bad("query", "malformed percent-encoding"))
				return
			}
			name, value, _ := strings.Cut(pair, "=")
			if !yield(Param{unescape(name), unescape(value)}, nil) {
				return
			}
		}
	}
}

// unescape decodes s, whose escapes are well-formed.
func unescape(s string) string {
	i := strings.IndexAny(s, "%+")
	if i < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	b = append(b, s[:i]...)
	for ; i < len(s); i++ {
		switch c := s[i]; c {
		case '+':
			b = append(b, ' ')
		case '%':
			b = append(b, byte(unhex(s[i+1])<<4|unhex(s[i+2])))
			i += 2
		default:
			b = append(b, c)
		}
	}
	return string(b)
}
