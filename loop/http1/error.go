package http1

import (
	"net/http"
	"strconv"
)

// Error is a refused request. Status is the HTTP status to answer with, Field the header or part of the request line that
// is wrong, Header the header lines that belong to the answer, each ended by CRLF. Text and Field hold no byte of the
// client's and are safe for logs and response bodies.
type Error struct {
	Status int
	Field  string
	Text   string
	Header string
}

// Error returns status, field and text.
func (e *Error) Error() string {
	return "http: " + strconv.Itoa(e.Status) + " " + e.Field + ": " + e.Text
}

func bad(field, text string) *Error {
	return &Error{Status: http.StatusBadRequest, Field: field, Text: text}
}

// AppendResponse appends a whole HTTP/1.1 response to dst, after which the connection closes. header holds further header
// lines, each ended by CRLF; contentType may be empty. Statuses that have no body (1xx, 204, 304) get none (RFC 9112,
// section 6.3). Nothing is checked for line breaks: no argument but body may hold bytes of a client.
func AppendResponse(dst []byte, status int, header, contentType string, body []byte) []byte {
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(status), 10)
	dst = append(dst, ' ')
	dst = append(dst, http.StatusText(status)...)
	dst = append(dst, "\r\n"...)
	dst = append(dst, header...)
	if status < http.StatusOK || status == http.StatusNoContent || status == http.StatusNotModified {
		return append(dst, "Connection: close\r\n\r\n"...)
	}
	if contentType != "" {
		dst = append(dst, "Content-Type: "...)
		dst = append(dst, contentType...)
		dst = append(dst, "\r\n"...)
	}
	dst = append(dst, "Content-Length: "...)
	dst = strconv.AppendInt(dst, int64(len(body)), 10)
	dst = append(dst, "\r\nConnection: close\r\n\r\n"...)
	return append(dst, body...)
}
