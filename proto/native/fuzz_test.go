package native

import (
	"bytes"
	stdjson "encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"fanfare/fanout"
	"fanfare/loop/ws"
	"fanfare/proto"
)

// mustBeProto fails if err is not an *proto.Error with all that an answer needs.
func mustBeProto(t *testing.T, err error) {
	t.Helper()
	e, ok := errors.AsType[*proto.Error](err)
	if !ok || e.Status < 400 || e.Status > 499 || e.Code == "" || e.Text == "" || e.Fatal {
		t.Fatalf("%#v", err)
	}
	if b := append(e.AppendJSON([]byte{'{'}), '}'); !stdjson.Valid(b) || !utf8.Valid(b) {
		t.Fatalf("%q", b)
	}
}

// FuzzCommand: no message does harm, and one that is taken means what encoding/json reads.
func FuzzCommand(f *testing.F) {
	for _, s := range []string{
		`{"subscribe":["a","b"],"id":1}`, ` { "unsubscribe" : [ "\u00e9" , "x" ] , "id" : "\"" } `, `{"publish":{"topic":"a","data":{"x":[1,"]}"]}}}`,
		`{"publish":{"data":null,"topic":"\ud83d\ude00"},"id":-1e5}`, `{"id":1}`, `{}`, `[]`, `{"a\u0000":1}`, `{"subscribe":[],"subscribe":[]}`, "", "nul", `{"":{}}`,
	} {
		f.Add([]byte(s))
	}
	d := New(Config{})
	f.Fuzz(func(t *testing.T, data []byte) {
		if !utf8.Valid(data) { // the codec lets no such text through
			return
		}
		c, err := parseCommand(data)
		if c.id != nil && !stdjson.Valid(c.id) {
			t.Fatalf("id %q", c.id)
		}
		if err != nil {
			mustBeProto(t, err)
			return
		}
		var oracle map[string]stdjson.RawMessage
		if err := stdjson.Unmarshal(data, &oracle); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(oracle[c.verb], c.args) || !bytes.Equal(oracle["id"], c.id) {
			t.Fatalf("%q: %q %q", data, c.args, c.id)
		}
		if c.verb == "publish" {
			checkItem(t, d, c.args)
			return
		}
		got, err := d.topics(&c)
		if err != nil {
			mustBeProto(t, err)
			return
		}
		var names []string
		if err := stdjson.Unmarshal(c.args, &names); err != nil || !slices.Equal(got, names) {
			t.Fatalf("%q: %q, want %q (%v)", data, got, names, err)
		}
	})
}

// checkItem compares parseItem with encoding/json.
func checkItem(t *testing.T, d *Dialect, doc []byte) {
	t.Helper()
	it, err := d.parseItem(doc, "where")
	if err != nil {
		mustBeProto(t, err)
		return
	}
	var oracle struct {
		Topic string
		Data  stdjson.RawMessage
	}
	if err := stdjson.Unmarshal(doc, &oracle); err != nil || oracle.Topic != it.topic || !bytes.Equal(oracle.Data, it.data) {
		t.Fatalf("%q: %q %q, want %q %q (%v)", doc, it.topic, it.data, oracle.Topic, oracle.Data, err)
	}
}

// FuzzBroadcastJSON: no body does harm, and what is taken is what encoding/json reads.
func FuzzBroadcastJSON(f *testing.F) {
	for _, s := range []string{
		`{"topic":"a","data":1}`, `[{"topic":"a","data":"x"},{"data":[{}],"topic":"b"}]`, ` [ ] `, `[[],[]]`, "[\n\n", `"x"`, `[{"topic":"a","data":1},]`,
		`{"topic":"a","data":1,"data":2}`, "{\"topic\":\"\xff\",\"data\":1}", `[{"topic":"\\","data":"\""}]`, `{"topic":"a","data": -0.0E+1 }`,
	} {
		f.Add([]byte(s))
	}
	d := New(Config{MaxItems: 5})
	f.Fuzz(func(t *testing.T, body []byte) {
		items, many, err := d.parseBody(body)
		if err != nil {
			mustBeProto(t, err)
			return
		}
		if !many {
			checkItem(t, d, body)
			return
		}
		var oracle []stdjson.RawMessage
		if err := stdjson.Unmarshal(body, &oracle); err != nil || len(oracle) != len(items) || len(items) > 5 {
			t.Fatalf("%q: %d items, want %d (%v)", body, len(items), len(oracle), err)
		}
		for i, doc := range oracle {
			checkItem(t, d, doc)
			if one, err := d.parseItem(doc, ""); err != nil || one.topic != items[i].topic || !bytes.Equal(one.data, items[i].data) {
				t.Fatalf("%q: %d", body, i)
			}
		}
	})
}

// FuzzTopic: what is a name, said another way; and a name survives the way into JSON and back.
func FuzzTopic(f *testing.F) {
	for _, s := range []string{"a", "", "é", "a\x00", "\x7f", "\u0085", "\u00a0", "\xff", strings.Repeat("x", 255), strings.Repeat("x", 256), "\ufffd", "\u2028<>&\"\\"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		good := len(s) >= 1 && len(s) <= 255 && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
		if problem := topicProblem(s, 255); (problem == "") != good {
			t.Fatalf("%q: %q", s, problem)
		}
		if !utf8.ValidString(s) {
			return
		}
		quoted := proto.AppendString(nil, s)
		var back string
		if err := stdjson.Unmarshal(quoted, &back); err != nil || back != s || unquote(quoted) != s {
			t.Fatalf("%q -> %q -> %q (%v)", s, quoted, back, err)
		}
	})
}

// FuzzEncode: whatever is published, the format json delivers one JSON object that gives it back.
func FuzzEncode(f *testing.F) {
	for _, s := range []string{`{"a":1}`, `1}, "x":{`, "", "nul", `"\ud800"`, "\xff\x00", " 1 ", "\u2028", `{"a":1} `} {
		f.Add("topic", []byte(s), true)
		f.Add("topic", []byte(s), false)
	}
	f.Fuzz(func(t *testing.T, topic string, data []byte, binary bool) {
		if topicProblem(topic, 255) != "" || !binary && !utf8.Valid(data) {
			return
		}
		ev := &fanout.Event{Key: fanout.Key{Name: topic}, Data: data, Kind: ws.OpText, Pos: fanout.Position{Epoch: 1<<64 - 1, Offset: 7}}
		if binary {
			ev.Kind = ws.OpBinary
		}
		op, payload := unframe(t, encodeRaw(ev))
		if op != ev.Kind || !bytes.Equal(payload, data) {
			t.Fatalf("raw: %d %q", op, payload)
		}
		op, payload = unframe(t, encodeJSON(ev))
		var got struct {
			Topic, Position string
			Data            stdjson.RawMessage
			Base64          []byte
		}
		dec := stdjson.NewDecoder(bytes.NewReader(payload))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&got); err != nil || dec.More() || op != ws.OpText || !utf8.Valid(payload) {
			t.Fatalf("%q: %v", payload, err)
		}
		if got.Topic != topic || got.Position != "18446744073709551615-7" {
			t.Fatalf("%q", payload)
		}
		switch {
		case binary:
			if !bytes.Equal(got.Base64, data) || got.Data != nil {
				t.Fatalf("%q", payload)
			}
		case stdjson.Valid(data):
			if !bytes.Equal(got.Data, bytes.Trim(data, space)) || !bytes.Contains(payload, data) {
				t.Fatalf("%q", payload)
			}
		default:
			if text := unquote(got.Data); text != string(data) {
				t.Fatalf("%q", payload)
			}
		}
	})
}

// unframe takes a server's frame apart.
func unframe(t *testing.T, b []byte) (op byte, payload []byte) {
	t.Helper()
	size := 2
	switch b[1] {
	case 126:
		size = 4
	case 127:
		size = 10
	}
	if back := ws.AppendFrame(nil, b[0]&0xf, b[size:]); !bytes.Equal(back, b) {
		t.Fatalf("%x", b)
	}
	return b[0] & 0xf, b[size:]
}
