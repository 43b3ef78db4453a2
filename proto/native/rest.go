package native

import (
	"bytes"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-json"
	"github.com/goccy/go-json/jsontext"

	"fanfare/loop/http1"
	"fanfare/loop/ws"
	"fanfare/proto"
	"fanfare/proto/auth"
)

const (
	typeJSON   = "application/json"
	typeBinary = "application/octet-stream"
)

// Mount adds /broadcast, and /ws for those who forgot to upgrade.
func (d *Dialect) Mount(rt proto.Routes) {
	rt.Upgrade(path)
	rt.Handle(http.MethodPost, "/broadcast", func(w http.ResponseWriter, r *http.Request) error {
		if v := d.auth.Load().Check(proto.RequestClaim(r)); v != auth.Allowed {
			return proto.Forbidden(v)
		}
		topic, given, err := queryTopic(r.URL.RawQuery)
		switch {
		case err != nil:
			return err
		case given:
			return d.broadcast(rt, w, r, topic)
		default:
			return d.broadcastJSON(rt, w, r)
		}
	})
}

// queryTopic finds the topic in a query.
func queryTopic(query string) (topic string, given bool, err error) {
	for q, err := range http1.Params(query) {
		switch {
		case err != nil:
			return "", false, errQuery
		case q.Name == "topic" && given:
			return "", false, errTwice
		case q.Name == "topic":
			topic, given = q.Value, true
		default:
			return "", false, errParam(q.Name)
		}
	}
	return topic, given, nil
}

// broadcast publishes the body as it is.
func (d *Dialect) broadcast(rt proto.Routes, w http.ResponseWriter, r *http.Request, topic string) error {
	if err := d.checkTopic(topic, "topic"); err != nil {
		return err
	}
	body, err := rt.ReadBody(w, r, d.cfg.Load().MaxPayload)
	if err != nil {
		return err
	}
	kind := ws.OpText
	if mediaType(r) == typeBinary {
		kind = ws.OpBinary
	} else if !utf8.Valid(body) {
		return errText
	}
	rc, err := rt.Publish(strings.Clone(topic), body, kind)
	if err != nil {
		return err
	}
	proto.WriteJSON(w, http.StatusAccepted, append(appendReceipt(nil, topic, rc), '\n'))
	return nil
}

func mediaType(r *http.Request) string {
	t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) {
		return ""
	}
	return t
}

// item is one payload and where it goes.
type item struct {
	topic string
	data  []byte
}

// broadcastJSON publishes what the body says.
func (d *Dialect) broadcastJSON(rt proto.Routes, w http.ResponseWriter, r *http.Request) error {
	if mediaType(r) != typeJSON {
		return errType
	}
	body, err := rt.ReadBody(w, r, d.cfg.Load().MaxBody)
	if err != nil {
		return err
	}
	items, many, err := d.parseBody(body)
	if err != nil {
		return err
	}
	if !many {
		rc, err := rt.Publish(items[0].topic, bytes.Clone(items[0].data), ws.OpText)
		if err != nil {
			return err
		}
		proto.WriteJSON(w, http.StatusAccepted, append(appendReceipt(nil, items[0].topic, rc), '\n'))
		return nil
	}
	return d.broadcastAll(rt, w, items)
}

// broadcastAll publishes items in order, until the hub is busy.
func (d *Dialect) broadcastAll(rt proto.Routes, w http.ResponseWriter, items []item) error {
	results := []byte(`"results":[`)
	for i, it := range items {
		rc, err := rt.Publish(it.topic, bytes.Clone(it.data), ws.OpText)
		if err != nil {
			part := *proto.AsError(err)
			part.More = fmt.Appendf(nil, `"accepted":%d,%s]`, i, results)
			return &part
		}
		if i > 0 {
			results = append(results, ',')
		}
		results = appendReceipt(results, it.topic, rc)
	}
	proto.WriteJSON(w, http.StatusAccepted, append(append([]byte{'{'}, results...), "]}\n"...))
	return nil
}

// parseBody reads a JSON body and checks it whole. many says that it is an array.
func (d *Dialect) parseBody(body []byte) (items []item, many bool, err error) {
	switch {
	case !utf8.Valid(body): // which JSON readers do not check
		return nil, false, badJSON("body", "must be UTF-8")
	case !json.Valid(body):
		return nil, false, badJSON("body", "must be valid JSON")
	}
	switch jsontext.Value(body).Kind() {
	case jsontext.KindBeginObject:
		it, err := d.parseItem(body, "")
		return []item{it}, false, err
	case jsontext.KindBeginArray:
		items, err = d.parseItems(body)
		return items, true, err
	default:
		return nil, false, badJSON("body", "must be an object with topic and data, or an array of such objects")
	}
}

// parseItems reads and checks an array of items, which is valid JSON.
func (d *Dialect) parseItems(doc jsontext.Value) ([]item, error) {
	list, ok := elements(doc, d.cfg.Load().MaxItems)
	if !ok {
		return nil, d.errItems()
	}
	items := make([]item, len(list))
	for i, value := range list {
		var err error
		if items[i], err = d.parseItem(value, "["+strconv.Itoa(i)+"]"); err != nil {
			return nil, err
		}
	}
	return items, nil
}

// parseItem reads and checks {"topic","data"}, which is valid JSON; where is its own name, for errors.
func (d *Dialect) parseItem(doc jsontext.Value, where string) (it item, err error) {
	if doc.Kind() != jsontext.KindBeginObject {
		return it, badJSON(where, "must be an object with topic and data")
	}
	at := func(name string) string { return strings.TrimPrefix(where+"."+name, ".") }
	given := false
	for name, value := range members(doc) {
		switch {
		case name == "topic" && given, name == "data" && it.data != nil:
			return it, badJSON(at(name), "given twice")
		case name == "topic" && value.Kind() != jsontext.KindString:
			return it, badJSON(at(name), "must be a string")
		case name == "topic":
			it.topic, given = text(value), true
		case name == "data":
			it.data = value
		default:
			return it, unknownKey(at(shorten(name)), "only topic and data")
		}
	}
	switch {
	case !given:
		return it, badJSON(at("topic"), "missing")
	case it.data == nil:
		return it, badJSON(at("data"), "missing")
	case len(it.data) > d.cfg.Load().MaxPayload:
		return it, d.errPayload(at("data"))
	}
	return it, d.checkTopic(it.topic, at("topic"))
}
