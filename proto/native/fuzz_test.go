package native

import (
	"bytes"
	stdjson "encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-json"
	"github.com/goccy/go-json/jsontext"

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

// FuzzValid: json.Valid takes what encoding/json.Valid takes, however bad or deep, and the parts are then what encoding/json reads.
func FuzzValid(f *testing.F) {
	for _, s := range []string{
		"", "NaN", "-Infinity", "-", "01", "-01", "1.", ".1", "1e", "+1", "0x1", "1 2", "{} {}", "[]\x00", "\ufeff[]", "[1,]", "[,1]", `{"a":1,}`, `{"a"}`, `{a:1}`,
		`["\u12"]`, `["\x"]`, "[\"\x00\"]", "[\"\n\"]", `["\ud800","\udc00\ud800"]`, "[\"\xff\"]", "'a'", "1//", "\v1", "1\u00a0", "tru", "[}", "{]", "-0.0E+1", "1e999",
		"\"\\", `{"a":1, "a" : [ 2 ] ,"b\u0000": "\\"}`, "[\t-0.0E+1\r,\n\"]\" , {\"}\":[]}\n]",
	} {
		f.Add([]byte(s))
	}
	for _, depth := range []int{9999, 10000, 10001, 100000} {
		f.Add([]byte(strings.Repeat("[", depth)))
		f.Add([]byte(strings.Repeat("[", depth) + strings.Repeat("]", depth)))
		f.Add([]byte(strings.Repeat(`{"a":`, depth) + "1" + strings.Repeat("}", depth)))
	}
	same := func(a jsontext.Value, b stdjson.RawMessage) bool { return bytes.Equal(a, b) }
	f.Fuzz(func(t *testing.T, doc []byte) {
		valid := stdjson.Valid(doc)
		if json.Valid(doc) != valid {
			t.Fatalf("%.100q: encoding/json says %v", doc, valid)
		}
		if !valid {
			return
		}
		switch jsontext.Value(doc).Kind() {
		case jsontext.KindBeginObject:
			var oracle map[string]stdjson.RawMessage
			got := map[string]jsontext.Value{} // the last one of a name, as the oracle has it
			maps.Insert(got, members(doc))
			if err := stdjson.Unmarshal(doc, &oracle); err != nil || !maps.EqualFunc(got, oracle, same) {
				t.Fatalf("%.100q: %q, want %q (%v)", doc, got, oracle, err)
			}
		case jsontext.KindBeginArray:
			var oracle []stdjson.RawMessage
			err := stdjson.Unmarshal(doc, &oracle)
			got, ok := elements(doc, len(oracle))
			if err != nil || !ok || !slices.EqualFunc(got, oracle, same) {
				t.Fatalf("%.100q: %q, want %q (%v)", doc, got, oracle, err)
			}
			if _, ok := elements(doc, len(oracle)-1); ok && len(oracle) > 0 {
				t.Fatalf("%.100q: more than the most", doc)
			}
		default: // has no parts
		}
	})
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
			if one, err := d.parseItem(jsontext.Value(doc), ""); err != nil || one.topic != items[i].topic || !bytes.Equal(one.data, items[i].data) {
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
		if err := stdjson.Unmarshal(quoted, &back); err != nil || back != s || text(quoted) != s {
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
			if !bytes.Equal(got.Data, bytes.Trim(data, " \t\r\n")) || !bytes.Contains(payload, data) {
				t.Fatalf("%q", payload)
			}
		default:
			if text(jsontext.Value(got.Data)) != string(data) {
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
