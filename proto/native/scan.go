package native

import (
	"bytes"
	"iter"
	"strings"

	"github.com/goccy/go-json"
)

// These functions walk over JSON that has been found valid and give its parts as they are written, in one pass and without allocating:
// payloads must keep their bytes, members given twice must be seen, and elements must be counted before anything is made of them.

const space = " \t\r\n"

func skipSpace(b []byte) []byte { return bytes.TrimLeft(b, space) }

func isObject(doc []byte) bool {
	b := skipSpace(doc)
	return len(b) > 0 && b[0] == '{'
}

func isArray(doc []byte) bool {
	b := skipSpace(doc)
	return len(b) > 0 && b[0] == '['
}

// cutValue takes the value that b begins with off b.
func cutValue(b []byte) (value, rest []byte) {
	depth := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			i += stringSize(b[i:]) - 1
		case '{', '[':
			depth++
			continue
		case '}', ']':
			depth--
		default:
			if depth > 0 {
				continue
			}
			if n := bytes.IndexAny(b[i:], ",]}"+space); n >= 0 { // a number or a word
				return b[i : i+n], b[i+n:]
			}
			return b[i:], nil
		}
		if depth == 0 {
			return b[:i+1], b[i+1:]
		}
	}
	return b, nil
}

// stringSize is the length of the string that b begins with, its quotes included.
func stringSize(b []byte) int {
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(b)
}

// members gives the members of an object; keys are quoted.
func members(doc []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		b := skipSpace(skipSpace(doc)[1:])
		for len(b) > 0 && b[0] == '"' {
			n := stringSize(b)
			key := b[:n]
			var value []byte
			value, b = cutValue(skipSpace(skipSpace(b[n:])[1:])) // behind the colon
			if !yield(key, value) {
				return
			}
			if b = skipSpace(b); b[0] == ',' {
				b = skipSpace(b[1:])
			}
		}
	}
}

// elements gives the elements of an array.
func elements(doc []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		b := skipSpace(skipSpace(doc)[1:])
		for len(b) > 0 && b[0] != ']' {
			var value []byte
			value, b = cutValue(b)
			if !yield(value) {
				return
			}
			if b = skipSpace(b); b[0] == ',' {
				b = skipSpace(b[1:])
			}
		}
	}
}

// unquote gives the text of a JSON string, as a string of its own.
func unquote(s []byte) string {
	var text string
	if json.Unmarshal(s, &text) != nil { // no valid string fails
		return ""
	}
	return strings.Clone(text)
}

// fieldName gives the text of a key for an error, shortened.
func fieldName(key []byte) string {
	const most = 64
	name := unquote(key)
	if len(name) > most {
		return strings.ToValidUTF8(name[:most], "") + "…"
	}
	return name
}
