package proto

import (
	"errors"
	"net/http"

	"github.com/goccy/go-json"

	"fanfare/fanout"
	"fanfare/loop/http1"
	"fanfare/loop/ws"
)

// ErrPending is what Dialect.Open returns after Peer.Slow: the decision follows.
var ErrPending = errors.New("proto: the decision is pending")

// Error is an error that carries its answer. Code is a label in metrics and never holds a byte of a client's. Text and Field may: then
// Quotes is set, which keeps them out of the log.
type Error struct {
	Status int    // HTTP status; 0 is 400
	Code   string // what programs read, in snake_case
	Close  uint16 // close code if the connection ends with it
	Text   string // what people read
	Field  string // the parameter, header or JSON key that is wrong; may be empty
	Header string // header lines of the HTTP answer, each ended by CRLF
	More   []byte // further members of the JSON of the HTTP answer, separated by commas
	Fatal  bool   // an upgraded connection ends with it
	Retry  bool   // the same request may succeed later
	Quotes bool   // Text or Field quotes the client
}

// Error returns code, field and text.
func (e *Error) Error() string {
	if e.Field == "" {
		return e.Code + ": " + e.Text
	}
	return e.Code + ": " + e.Field + ": " + e.Text
}

// Codes of errors that any dialect and any HTTP route may answer with.
const (
	CodeBadRequest       = "bad_request"
	CodeUnauthorized     = "unauthorized"
	CodeForbidden        = "forbidden"
	CodeNotFound         = "not_found"
	CodeMethodNotAllowed = "method_not_allowed"
	CodeTimeout          = "timeout"
	CodeTooLarge         = "payload_too_large"
	CodeUnsupportedType  = "unsupported_media_type"
	CodeUpgradeRequired  = "upgrade_required"
	CodeHeadTooLarge     = "head_too_large"
	CodeInternal         = "internal"
	CodeNotImplemented   = "not_implemented"
	CodeBusy             = "busy"
	CodeProtocol         = "protocol_error"
	CodeNotText          = "not_utf8"
	CodePolicy           = "policy_violation"
	CodeOrigin           = "origin_not_allowed"
	CodeAddress          = "too_many_from_address"
)

// AsError makes an *Error of any error: one that is or wraps an *Error is that, those of the request head, the codec and the hub are
// translated, anything else is an internal error, whose text is not told.
func AsError(err error) *Error {
	var (
		own  *Error
		head *http1.Error
		code *ws.Error
	)
	switch {
	case errors.As(err, &own) && own.Status == 0:
		complete := *own
		complete.Status = http.StatusBadRequest
		return &complete
	case own != nil:
		return own
	case errors.As(err, &head):
		return &Error{
			Status: head.Status, Code: statusCode(head.Status), Text: head.Text, Field: head.Field, Header: head.Header,
			Fatal: true, Retry: head.Status == http.StatusServiceUnavailable,
		}
	case errors.As(err, &code):
		return broken(code)
	case errors.Is(err, fanout.ErrBusy):
		return &Error{
			Status: http.StatusServiceUnavailable, Code: CodeBusy, Close: closeTryLater,
			Text: "too many undelivered bytes: try again later", Retry: true,
		}
	}
	return &Error{Status: http.StatusInternalServerError, Code: CodeInternal, Close: closeInternal, Text: "internal error", Fatal: true}
}

// broken is the error of a stream from which nothing more can be read.
func broken(err *ws.Error) *Error {
	e := &Error{Status: http.StatusBadRequest, Code: closeCode(err.Code), Close: err.Code, Text: err.Text, Fatal: true}
	if err.Code == closeTooBig {
		e.Status = http.StatusRequestEntityTooLarge // as a body that is too large has
	}
	return e
}

// Close codes (RFC 6455, section 7.4.1, and the IANA registry).
const (
	closeUTF8     = 1007
	closePolicy   = 1008
	closeTooBig   = 1009
	closeInternal = 1011
	closeTryLater = 1013
)

func statusCode(status int) string {
	switch status {
	case http.StatusBadRequest:
		return CodeBadRequest
	case http.StatusMethodNotAllowed:
		return CodeMethodNotAllowed
	case http.StatusRequestTimeout:
		return CodeTimeout
	case http.StatusUpgradeRequired:
		return CodeUpgradeRequired
	case http.StatusRequestHeaderFieldsTooLarge:
		return CodeHeadTooLarge
	case http.StatusServiceUnavailable:
		return CodeBusy
	case http.StatusNotImplemented, http.StatusHTTPVersionNotSupported:
		return CodeNotImplemented
	}
	return CodeInternal
}

func closeCode(code uint16) string {
	switch code {
	case closeUTF8:
		return CodeNotText
	case closePolicy:
		return CodePolicy
	case closeTooBig:
		return CodeTooLarge
	}
	return CodeProtocol
}

// Reason is the text of a close frame that ends a connection with e. It begins with the code, by which the client knows what the log
// and the metrics call it. A text that is too long for a close frame is cut where the frame is made.
func (e *Error) Reason() string { return e.Code + ": " + e.Text }

// AppendJSON appends {"error":{"code","message","field"}} without the outer braces, so that a dialect may add members of its own.
func (e *Error) AppendJSON(dst []byte) []byte {
	dst = append(dst, `"error":{"code":`...)
	dst = AppendString(dst, e.Code)
	dst = append(dst, `,"message":`...)
	dst = AppendString(dst, e.Text)
	if e.Field != "" {
		dst = append(dst, `,"field":`...)
		dst = AppendString(dst, e.Field)
	}
	return append(dst, '}')
}

// body is the answer over HTTP.
func (e *Error) body() []byte {
	b := e.AppendJSON([]byte{'{'})
	if len(e.More) > 0 {
		b = append(append(b, ','), e.More...)
	}
	return append(b, "}\n"...)
}

// header is the header lines of the answer over HTTP, each ended by CRLF.
func (e *Error) header() string {
	if e.Retry {
		return e.Header + "Retry-After: 1\r\n"
	}
	return e.Header
}

// AppendString appends s as a JSON string.
func AppendString(dst []byte, s string) []byte {
	b, err := json.MarshalWithOption(s, json.DisableHTMLEscape())
	if err != nil { // no string fails
		return append(dst, `""`...)
	}
	return append(dst, b...)
}
