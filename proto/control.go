package proto

import (
	"log/slog"
	"net"
	"net/http"
	"path"
	"strings"
	"time"

	"fanfare/loop/http1"
)

// Limits of plain HTTP.
const (
	headerTimeout = 10 * time.Second
	writeTimeout  = 30 * time.Second
	idleTimeout   = 60 * time.Second

	contentJSON = "application/json"
)

// control makes the HTTP server of one listener.
func (s *Server) control(index int, l *listener) *http.Server {
	h := &plain{s: s, mux: http.NewServeMux(), routes: make(map[string]map[string]handlerFunc), index: index}
	h.mux.HandleFunc("/", h.route(func(http.ResponseWriter, *http.Request) error { return errNoRoute }))
	rt := Routes{s: s, l: l, h: h}
	for at, f := range s.operators() {
		rt.Handle(http.MethodGet, at, func(w http.ResponseWriter, r *http.Request) error {
			switch {
			case s.admin != nil:
				return errNoRoute
			case !sameOrigin(r):
				return errForeignPage
			}
			return f(w, r)
		})
	}
	if m, ok := l.dialect.(Mounter); ok {
		m.Mount(rt)
	}
	srv := s.httpServer(h)
	srv.ConnState = func(c net.Conn, st http.ConnState) { s.group.HTTP(index).ConnState(c, st) }
	return srv
}

// httpServer makes a server with our limits.
func (s *Server) httpServer(h *plain) *http.Server {
	return &http.Server{
		Handler:                      h,
		ReadHeaderTimeout:            headerTimeout,
		ReadTimeout:                  headerTimeout + s.bodyTimeout,
		WriteTimeout:                 writeTimeout,
		IdleTimeout:                  idleTimeout,
		MaxHeaderBytes:               s.maxHead,
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
}

type handlerFunc = func(w http.ResponseWriter, r *http.Request) error

// plain is the handler of all plain HTTP of a listener.
type plain struct {
	s       *Server
	index   int                               // of the listener in the group; -1: it is not there
	guarded bool                              // pages of other sites are sent away
	mux     *http.ServeMux                    // by path
	routes  map[string]map[string]handlerFunc // by path as in the mux, by method
}

// ServeHTTP finds the route. The mux never answers by itself: what it would redirect or refuse is told apart before.
func (h *plain) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set(requestID, newID())
	if h.guarded {
		if err := foreign(r); err != nil {
			h.fail(w, r, err)
			return
		}
	}
	switch p := r.URL.Path; {
	case wantsUpgrade(r) && h.index >= 0:
		h.giveBack(w, r)
	case p == "" || p[0] != '/' || path.Clean(p) != p && (!h.guarded || path.Clean(p)+"/" != p): // a directory for operators may end in a slash
		h.fail(w, r, errNoRoute)
	default:
		h.mux.ServeHTTP(w, r)
	}
}

// route answers the errors and panics of f.
func (h *plain) route(f handlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if v := recover(); v != nil {
				h.s.panicked(v)
				w.Header().Set("Connection", "close")
				writeError(w, r, AsError(nil))
			}
		}()
		err := bodiless(r)
		if err == nil {
			err = f(w, r)
		}
		if err != nil {
			h.fail(w, r, err)
		}
	}
}

// bodiless refuses a body where none is read: waiting for it would hold a place that publishing and health need.
func bodiless(r *http.Request) error {
	if (r.Method == http.MethodGet || r.Method == http.MethodHead) && r.Body != http.NoBody {
		return errNoBody
	}
	return nil
}

// fail is the one exit for errors.
func (h *plain) fail(w http.ResponseWriter, r *http.Request, err error) {
	h.s.refused(refusal{err: err, kind: request, id: w.Header().Get(requestID), path: r.URL.Path, origin: r.Header.Get("Origin"), remote: r.RemoteAddr})
	writeError(w, r, AsError(err))
}

// pick finds the handler of a method.
func pick(methods map[string]handlerFunc, method string) (handlerFunc, error) {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	if f := methods[method]; f != nil {
		return f, nil
	}
	return nil, notAllowed(methods)
}

// writeError answers e. A body that nobody has read is not waited for: the connection ends with the answer.
func writeError(w http.ResponseWriter, r *http.Request, e *Error) {
	if r.Body != http.NoBody {
		w.Header().Set("Connection", "close")
	}
	for line := range strings.SplitSeq(e.header(), "\r\n") {
		if name, value, ok := strings.Cut(line, ": "); ok {
			w.Header().Set(name, value)
		}
	}
	WriteJSON(w, e.Status, e.body())
}

func wantsUpgrade(r *http.Request) bool {
	for _, list := range r.Header.Values("Upgrade") {
		for token := range strings.SplitSeq(list, ",") {
			if strings.EqualFold(strings.TrimSpace(token), "websocket") {
				return true
			}
		}
	}
	return false
}

// giveBack makes a loop's connection of one that asks for an upgrade behind other requests. The loop reads the request once more, so
// that it is judged like one that came first.
func (h *plain) giveBack(w http.ResponseWriter, r *http.Request) {
	hijacker, ok := w.(http.Hijacker)
	if !ok || r.ContentLength != 0 {
		h.fail(w, r, errStale)
		return
	}
	nc, rw, err := hijacker.Hijack()
	if err != nil {
		h.fail(w, r, errStale)
		return
	}
	read := rawHead(r)
	more, _ := rw.Peek(rw.Reader.Buffered())
	if err := h.s.group.Adopt(nc, append(read, more...), h.index); err != nil {
		e := AsError(errGiveBack)
		h.s.refused(refusal{err: e, kind: request, path: r.URL.Path, origin: r.Header.Get("Origin"), remote: r.RemoteAddr})
		_ = nc.SetDeadline(time.Now().Add(headerTimeout))
		_, _ = nc.Write(http1.AppendResponse(nil, e.Status, e.header(), contentJSON, e.body()))
		_ = nc.Close()
	}
}

// rawHead writes a request head as the loops read it.
func rawHead(r *http.Request) []byte {
	const usual = 512
	b := make([]byte, 0, usual)
	b = append(append(append(b, r.Method...), ' '), r.RequestURI...)
	b = append(append(append(append(append(b, ' '), r.Proto...), "\r\nHost: "...), r.Host...), "\r\n"...)
	for name, values := range r.Header {
		for _, v := range values {
			b = append(append(append(append(b, name...), ": "...), v...), "\r\n"...)
		}
	}
	return append(b, "\r\n"...)
}
