package http1

import (
	"bytes"
	"net/http"
	"strings"
	"unsafe"
)

// Limits bound the head of one request. They are taken as they are: there is no value that means "no limit".
type Limits struct {
	Head    int // bytes of the head, its blank line included
	Headers int // header lines
}

// Request is the head of one request. The zero value is ready for Parse, and one Request may be used for many connections
// in turn. Its strings are parts of the buffer given to Parse: they are valid until that buffer is written to or the next
// Parse. Keep them by Clone, or by strings.Clone.
type Request struct {
	Method   string
	Target   string // as sent (RFC 9112, section 3.2)
	Host     string // the authority of an absolute target, else the Host header; may be empty
	Path     string // still percent-encoded, each escape well-formed; begins with "/", or is "*"
	RawQuery string // without the "?"; escapes not checked
	Proto    string // HTTP/1.0, HTTP/1.1 or a later minor version

	head   string
	fields []field
	at     [len(critical)]int // index in fields plus one, 0 if there is none
}

type field struct {
	name, value string
}

const (
	criticalHost = iota
	criticalLength
	criticalCoding
	criticalKey
	criticalVersion
)

const (
	protoSize = len("HTTP/1.1")
	lengthMax = 18 // digits of a Content-Length; more does not fit a signed 64-bit number
)

// HeadEnd returns the length of the request head that buf begins with, its blank line included, or 0 if its end is not in
// buf. from is the number of bytes at the start of buf that an earlier call has searched in vain: whoever gets a head in
// many small pieces passes the former length, and the work for all pieces together stays linear. HeadEnd also ends a head
// at a blank line that Parse refuses (bare LF).
func HeadEnd(buf []byte, from int) int {
	for i := max(from-len("\n\r"), 0); i < len(buf); {
		n := bytes.IndexByte(buf[i:], '\n')
		if n < 0 {
			return 0
		}
		i += n + 1
		switch rest := buf[i:]; {
		case len(rest) > 0 && rest[0] == '\n':
			return i + 1
		case len(rest) > 1 && rest[0] == '\r' && rest[1] == '\n':
			return i + 2
		}
	}
	return 0
}

// Parse reads the request head that buf begins with (RFC 9112, sections 2 to 6) and returns its length, blank line
// included. While the end of the head is not in buf it returns 0 and no error; see HeadEnd for heads in many pieces. buf is
// not changed.
//
// An error is an *Error: 400 malformed, 431 head too long or too many headers, 501 unknown Transfer-Encoding, 505 another
// major version of HTTP. It is raised as soon as the first byte cannot begin a request or lim.Head bytes hold no end. The
// Request holds nothing then.
func (r *Request) Parse(buf []byte, lim Limits) (n int, err error) {
	r.reset()
	if len(buf) > 0 && classes[buf[0]]&inToken == 0 {
		return 0, bad("method", "not an HTTP request")
	}
	n = HeadEnd(buf[:min(len(buf), max(lim.Head, 0))], 0)
	if n == 0 {
		if len(buf) >= lim.Head {
			return 0, &Error{Status: http.StatusRequestHeaderFieldsTooLarge, Field: "head", Text: "request head too long"}
		}
		return 0, nil
	}
	r.head = unsafe.String(unsafe.SliceData(buf), n)
	if e := r.parse(lim.Headers); e != nil {
		r.reset()
		return 0, e
	}
	return n, nil
}

// Clone returns a copy that does not depend on the buffer that was parsed.
func (r *Request) Clone() *Request {
	c := &Request{head: strings.Clone(r.head), fields: make([]field, 0, len(r.fields))}
	if c.parse(len(r.fields)) != nil { // an empty Request: any other head has been parsed before
		c.reset()
	}
	return c
}

func (r *Request) reset() {
	*r = Request{fields: r.fields[:0]}
}

func (r *Request) parse(headers int) *Error {
	line, rest, e := cutLine(r.head)
	if e == nil {
		e = r.requestLine(line)
	}
	for e == nil {
		if line, rest, e = cutLine(rest); e != nil || line == "" {
			break
		}
		if len(r.fields) >= headers {
			return &Error{Status: http.StatusRequestHeaderFieldsTooLarge, Field: "head", Text: "too many headers"}
		}
		e = r.fieldLine(line)
	}
	if e == nil {
		e = r.checkFraming()
	}
	if e == nil {
		e = r.checkHost()
	}
	return e
}

func cutLine(s string) (line, rest string, e *Error) {
	i := strings.IndexByte(s, '\n')
	if i < 1 || s[i-1] != '\r' {
		return "", "", bad("head", "line not ended by CRLF")
	}
	return s[:i-1], s[i+1:], nil
}

// requestLine reads method, target and version (RFC 9112, section 3).
func (r *Request) requestLine(line string) *Error {
	method, line, ok := strings.Cut(line, " ")
	if !ok || !isToken(method) {
		return bad("method", "malformed request line")
	}
	target, proto, ok := strings.Cut(line, " ")
	if !ok || len(proto) != protoSize || proto[:5] != "HTTP/" || proto[6] != '.' || !all(proto[5:6], inDigits) || !all(proto[7:], inDigits) {
		return bad("version", "malformed request line")
	}
	if method == "PRI" {
		return bad("version", "HTTP/2 is not served here")
	}
	if proto[5] != '1' {
		return &Error{Status: http.StatusHTTPVersionNotSupported, Field: "version", Text: "only HTTP/1 is served here"}
	}
	r.Method, r.Target, r.Proto = method, target, proto
	return r.splitTarget()
}

// splitTarget sets Host, Path and RawQuery from the target (RFC 9112, section 3.2). CONNECT is not for servers like this.
func (r *Request) splitTarget() *Error {
	s := r.Target
	if s == "" || !all(s, inTarget) || r.Method == http.MethodConnect {
		return bad("target", "malformed or unsupported request target")
	}
	if s == "*" && r.Method == http.MethodOptions {
		r.Path = s
		return nil
	}
	if s[0] != '/' {
		host, path, ok := cutAuthority(s)
		if !ok {
			return bad("target", "malformed or unsupported request target")
		}
		r.Host, s = host, path
	}
	r.Path, r.RawQuery, _ = strings.Cut(s, "?")
	if r.Path == "" {
		r.Path = "/"
	}
	if !escaped(r.Path) {
		return bad("target", "malformed percent-encoding")
	}
	return nil
}

// fieldLine reads one header line (RFC 9112, section 5).
func (r *Request) fieldLine(line string) *Error {
	name, value, ok := strings.Cut(line, ":")
	switch {
	case line[0] == ' ' || line[0] == '\t':
		return bad("head", "folded header line")
	case !ok || !isToken(name):
		return bad("head", "malformed header name")
	case !all(value, inValue):
		return bad("head", "control byte in a header")
	}
	r.fields = append(r.fields, field{name, trim(value)})
	for i, c := range critical {
		if len(name) != len(c) || !equalFold(name, c) {
			continue
		}
		if r.at[i] != 0 {
			return bad(c, "more than one header line")
		}
		r.at[i] = len(r.fields)
	}
	return nil
}

// checkFraming checks how the end of the body is told (RFC 9112, section 6).
func (r *Request) checkFraming() *Error {
	length, coding := r.at[criticalLength], r.at[criticalCoding]
	if length != 0 {
		if v := r.fields[length-1].value; v == "" || len(v) > lengthMax || !all(v, inDigits) {
			return bad("Content-Length", "not a number")
		}
	}
	switch {
	case coding == 0:
		return nil
	case length != 0:
		return bad("Transfer-Encoding", "given together with Content-Length")
	case !r.since11():
		return bad("Transfer-Encoding", "not part of HTTP/1.0")
	case !equalFold(r.fields[coding-1].value, "chunked"):
		return &Error{Status: http.StatusNotImplemented, Field: "Transfer-Encoding", Text: "only chunked is known"}
	}
	return nil
}

// checkHost checks the Host header (RFC 9112, section 3.2).
func (r *Request) checkHost() *Error {
	i := r.at[criticalHost]
	if i == 0 {
		if r.since11() {
			return bad("Host", "missing")
		}
		return nil
	}
	v := r.fields[i-1].value
	if !all(v, inHost) {
		return bad("Host", "malformed")
	}
	if r.Host == "" {
		r.Host = v
	}
	return nil
}

func (r *Request) since11() bool {
	return r.Proto[protoSize-1] != '0'
}
