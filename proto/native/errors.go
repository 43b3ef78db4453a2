package native

import (
	"errors"
	"net/http"
	"strconv"
	"unicode/utf8"

	"github.com/goccy/go-json/jsontext"

	"fanfare/loop/ws"
	"fanfare/proto"
)

// Codes beside those of package proto.
const (
	codeBadJSON       = "bad_json"
	codeBadTopic      = "bad_topic"
	codeBadQuery      = "bad_query"
	codeSubscriptions = "too_many_subscriptions"
	codeItems         = "too_many_items"
	codeBinary        = "binary_not_allowed"
	codeRate          = "rate_limited"
)

var (
	errPath  = &proto.Error{Status: http.StatusNotFound, Code: proto.CodeNotFound, Field: "path", Text: "WebSocket is served at " + path}
	errQuery = &proto.Error{Status: http.StatusBadRequest, Code: codeBadQuery, Field: "query", Text: "malformed percent-encoding"}
	errTwice = &proto.Error{Status: http.StatusBadRequest, Code: codeBadQuery, Field: "topic", Text: "must be given once"}

	errRate   = &proto.Error{Status: http.StatusTooManyRequests, Code: codeRate, Text: "too many commands: slow down", Retry: true}
	errBinary = &proto.Error{Status: http.StatusBadRequest, Code: codeBinary, Text: "commands are text messages"}
	errText   = &proto.Error{
		Status: http.StatusUnsupportedMediaType, Code: proto.CodeUnsupportedType, Field: "body",
		Text: "the body is not UTF-8: send it with Content-Type: application/octet-stream",
	}
	errType = &proto.Error{
		Status: http.StatusUnsupportedMediaType, Code: proto.CodeUnsupportedType, Field: "Content-Type",
		Text: "must be application/json, or give ?topic= and any body",
	}
)

// badJSON says what is wrong with the JSON of a command or a body; field may be empty.
func badJSON(field, text string) *proto.Error {
	return &proto.Error{Status: http.StatusBadRequest, Code: codeBadJSON, Field: field, Text: text}
}

// unknownKey says that a member of a JSON object is unknown.
func unknownKey(field, text string) *proto.Error {
	e := badJSON(field, "unknown: "+text)
	e.Quotes = true
	return e
}

// errParam names a parameter that nothing is done with: most likely it is a misspelt one.
func errParam(name string) error {
	return &proto.Error{
		Status: http.StatusBadRequest, Code: codeBadQuery, Field: "query", Quotes: true,
		Text: shown(name) + " is unknown: /ws has topic and format, /broadcast has topic",
	}
}

func errFormat(s string) error {
	return &proto.Error{
		Status: http.StatusBadRequest, Code: codeBadQuery, Field: "format", Text: shown(s) + " is unknown: raw or json", Quotes: true,
	}
}

// shown is a client's word in an error's text.
func shown(s string) string {
	const most = 32
	if len(s) > most || !utf8.ValidString(s) {
		return "this"
	}
	return strconv.Quote(s)
}

func (d *Dialect) errSubscriptions() error {
	return &proto.Error{
		Status: http.StatusBadRequest, Code: codeSubscriptions, Field: "topic",
		Text: "a connection has at most " + strconv.Itoa(d.cfg.Load().Subscriptions) + " subscriptions",
	}
}

func (d *Dialect) errPayload(field string) error {
	return &proto.Error{
		Status: http.StatusRequestEntityTooLarge, Code: proto.CodeTooLarge, Field: field,
		Text: "a payload has at most " + strconv.Itoa(d.cfg.Load().MaxPayload) + " bytes",
	}
}

func (d *Dialect) errItems() error {
	return &proto.Error{
		Status: http.StatusRequestEntityTooLarge, Code: codeItems, Field: "body",
		Text: "an array has at most " + strconv.Itoa(d.cfg.Load().MaxItems) + " items",
	}
}

// checkTopic checks a topic's name.
func (d *Dialect) checkTopic(s, field string) error {
	if problem := topicProblem(s, d.cfg.Load().TopicBytes); problem != "" {
		return &proto.Error{Status: http.StatusBadRequest, Code: codeBadTopic, Field: field, Text: problem}
	}
	return nil
}

// topicProblem says why s cannot be a topic's name; "" if it can.
func topicProblem(s string, most int) string {
	switch {
	case s == "":
		return "a topic must not be empty"
	case len(s) > most:
		return "a topic has at most " + strconv.Itoa(most) + " bytes"
	case !utf8.ValidString(s):
		return "a topic must be UTF-8"
	}
	for _, r := range s {
		if r < ' ' || r >= 0x7f && r < 0xa0 { // C0, DEL, C1
			return "a topic must not have control characters"
		}
	}
	return ""
}

// commandError is an error with the id of the command that it answers.
type commandError struct {
	err error
	id  jsontext.Value
}

// Error is that of the error inside.
func (e *commandError) Error() string { return e.err.Error() }

// Unwrap gives the error inside.
func (e *commandError) Unwrap() error { return e.err }

// Fail answers an error: over HTTP before the upgrade, by a frame after it, by a close if nothing more can be said.
func (d *Dialect) Fail(p proto.Peer, err error) {
	e := proto.AsError(err)
	switch {
	case !p.Upgraded():
		p.Refuse(e)
	case e.Fatal:
		p.Close(e.Close, e.Reason())
	default:
		b := e.AppendJSON([]byte{'{'})
		if c, ok := errors.AsType[*commandError](err); ok {
			b = appendID(b, c.id)
		}
		p.Reply(ws.AppendFrame(nil, ws.OpText, append(b, '}')))
	}
}
