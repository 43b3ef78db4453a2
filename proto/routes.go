package proto

import (
	"errors"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"fanfare/fanout"
)

var (
	errNoRoute = &Error{Status: http.StatusNotFound, Code: CodeNotFound, Text: "no such path"}

	// errStale answers an upgrade that comes behind other requests on a connection and cannot go back to a loop.
	errStale = &Error{
		Status: http.StatusBadRequest, Code: CodeBadRequest, Field: "Upgrade", Header: "Connection: close\r\n",
		Text: "an upgrade must be the first request of its connection: open a fresh one",
	}
	errGiveBack = &Error{
		Status: http.StatusServiceUnavailable, Code: CodeBusy, Text: "no upgrade behind other requests now: open a fresh connection", Retry: true,
	}
	errNoUpgrade = &Error{
		Status: http.StatusUpgradeRequired, Code: CodeUpgradeRequired, Field: "Upgrade",
		Header: "Upgrade: websocket\r\nConnection: Upgrade\r\n", Text: "this is a WebSocket endpoint",
	}
	errBodyTimeout = &Error{
		Status: http.StatusRequestTimeout, Code: CodeTimeout, Header: "Connection: close\r\n", Text: "the body did not come in time",
	}
	errNoBody = &Error{Status: http.StatusBadRequest, Code: CodeBadRequest, Field: "body", Text: "no body is expected here"}
	errBody   = &Error{
		Status: http.StatusBadRequest, Code: CodeBadRequest, Header: "Connection: close\r\n", Text: "the body could not be read",
	}
)

func notAllowed(methods map[string]handlerFunc) *Error {
	names := make([]string, 0, len(methods)+1)
	for m := range methods {
		names = append(names, m)
	}
	if methods[http.MethodGet] != nil {
		names = append(names, http.MethodHead)
	}
	slices.Sort(names)
	allow := strings.Join(names, ", ")
	return &Error{
		Status: http.StatusMethodNotAllowed, Code: CodeMethodNotAllowed, Field: "method",
		Header: "Allow: " + allow + "\r\n", Text: "allowed here: " + allow,
	}
}

// Routes is where a dialect puts its HTTP routes, for one listener. It may be kept.
type Routes struct {
	s *Server
	l *listener
	h *plain
}

// Handle routes requests with that method, and HEAD where it is GET, and that path, which may have wildcards as in
// http.ServeMux. Other methods of the path are answered 405. h runs on a goroutine of net/http; the error it returns is
// answered in JSON, so it must not have written anything then.
func (rt Routes) Handle(method, path string, h func(w http.ResponseWriter, r *http.Request) error) {
	methods := rt.h.routes[path]
	if methods == nil {
		methods = make(map[string]handlerFunc)
		rt.h.routes[path] = methods
		rt.h.mux.HandleFunc(path, rt.h.route(func(w http.ResponseWriter, r *http.Request) error {
			f, err := pick(methods, r.Method)
			if err != nil {
				return err
			}
			return f(w, r)
		}))
	}
	methods[method] = h
}

// Upgrade says that path is for upgrades: plain HTTP there is answered 426.
func (rt Routes) Upgrade(path string) {
	rt.Handle(http.MethodGet, path, func(http.ResponseWriter, *http.Request) error { return errNoUpgrade })
}

// Publish sends data to everybody in a topic of the listener's namespace. Topic and data are kept.
func (rt Routes) Publish(topic string, data []byte, kind uint8) (fanout.Receipt, error) {
	return rt.s.hub.Publish(&fanout.Event{Key: fanout.Key{Space: rt.l.space, Name: topic}, Data: data, Kind: kind})
}

// WriteJSON answers with a JSON body. A client that is gone is no error.
func WriteJSON(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", contentJSON)
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

const firstRead = 4 << 10 // bytes that are allocated before any has come

// ReadBody reads the body of a request, limit bytes at most, within Config.BodyTimeout. The error is an *Error: 413, 408 or 400.
// Memory grows with the bytes that come, whatever Content-Length says, and is not much larger than the body in the end.
func (rt Routes) ReadBody(w http.ResponseWriter, r *http.Request, limit int) ([]byte, error) {
	tooLarge := &Error{
		Status: http.StatusRequestEntityTooLarge, Code: CodeTooLarge, Field: "body", Header: "Connection: close\r\n",
		Text: "the body is larger than " + byteCount(limit),
	}
	if r.ContentLength > int64(limit) {
		return nil, tooLarge
	}
	if err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(rt.s.bodyTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return nil, errBody
	}
	end := limit + 1 // one byte more tells a body that is too large
	if r.ContentLength >= 0 {
		end = int(r.ContentLength)
	}
	buf := make([]byte, 0, min(end, firstRead))
	for len(buf) < end {
		if len(buf) == cap(buf) {
			grown := make([]byte, len(buf), min(2*cap(buf), end))
			copy(grown, buf)
			buf = grown
		}
		n, err := r.Body.Read(buf[len(buf):cap(buf)])
		if buf = buf[:len(buf)+n]; err != nil {
			if errors.Is(err, io.EOF) {
				break
			}
			return nil, bodyError(err)
		}
	}
	if len(buf) > limit {
		return nil, tooLarge
	}
	r.Body = http.NoBody                // it has been read: the connection may be kept
	if cap(buf) > len(buf)+len(buf)/2 { // a body in chunks
		buf = slices.Clone(buf)
	}
	return buf, nil
}

func bodyError(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return errBodyTimeout
	}
	return errBody
}
