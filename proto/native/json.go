package native

import (
	"bytes"
	"iter"
	"strings"
	"sync"

	"github.com/goccy/go-json"
	"github.com/goccy/go-json/jsontext"
)

// reader reads the members or the elements of a document that json.Valid has let through, so no read fails. json.Valid is as strict as
// encoding/json.Valid, as FuzzValid sees to. Parts are given as they are written: they lie in the document.
type reader struct {
	jsontext.Decoder
	doc []byte
	src bytes.Buffer
}

// readers are reused: one is larger than most documents.
var readers = sync.Pool{New: func() any { return new(reader) }} //nolint:gochecknoglobals // a pool

// read starts behind the first brace or bracket. Names given twice and surrogates alone are a matter of those who write and read payloads.
func read(doc []byte) *reader {
	r, _ := readers.Get().(*reader)
	r.doc, r.src = doc, *bytes.NewBuffer(doc)
	r.Reset(&r.src, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	_, _ = r.ReadToken()
	return r
}

// next reads a value.
func (r *reader) next() jsontext.Value {
	v, _ := r.ReadValue() // which is only lent
	end := int(r.InputOffset())
	return r.doc[end-len(v) : end : end]
}

// members gives the members of an object.
func members(doc []byte) iter.Seq2[string, jsontext.Value] {
	return func(yield func(name string, value jsontext.Value) bool) {
		r := read(doc)
		defer readers.Put(r)
		for r.PeekKind() == jsontext.KindString {
			key, err := r.ReadToken()
			if err != nil || !yield(key.String(), r.next()) {
				return
			}
		}
	}
}

// elements gives the elements of an array, if they are not more than most.
func elements(doc []byte, most int) (list []jsontext.Value, ok bool) {
	r := read(doc)
	defer readers.Put(r)
	for r.PeekKind() != jsontext.KindEndArray {
		if len(list) == most {
			return nil, false
		}
		list = append(list, r.next())
	}
	return list, true
}

// text gives the text of a JSON string.
func text(s jsontext.Value) (text string) {
	_ = json.Unmarshal(s, &text)
	return text
}

// shorten makes a name fit an error.
func shorten(name string) string {
	const most = 64
	if len(name) > most {
		return strings.ToValidUTF8(name[:most], "") + "…"
	}
	return name
}
