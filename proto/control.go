package proto

import (
	"log/slog"
	"net"
	"net/http"
	"path"
	"strings"
	"time"
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
	h := &plain{s: s, mux: http.NewServeMux(), routes: make(map[string]map[string]handlerFunc)}
	h.mux.HandleFunc("/", h.route(func(http.ResponseWriter, *http.Request) error { return errNoRoute }))
	rt := Routes{s: s, l: l, h: h}
	rt.Handle(http.MethodGet, "/livez", live)
	rt.Handle(http.MethodGet, "/metrics", s.serveMetrics)
	if m, ok := l.dialect.(Mounter); ok {
		m.Mount(rt)
	}
	return &http.Server{
		Handler:                      h,
		ReadHeaderTimeout:            headerTimeout,
		ReadTimeout:                  headerTimeout + s.bodyTimeout,
		WriteTimeout:                 writeTimeout,
		IdleTimeout:                  idleTimeout,
		MaxHeaderBytes:               s.maxHead,
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		ConnState: func(c net.Conn, st http.ConnState) {
			s.group.HTTP(index).ConnState(c, st)
		},
	}
}

type handlerFunc = func(w http.ResponseWriter, r *http.Request) error

// plain is the handler of all plain HTTP of a listener.
type plain struct {
	s      *Server
	mux    *http.ServeMux                    // by path
	routes map[string]map[string]handlerFunc // by path as in the mux, by method
}

// ServeHTTP finds the route. The mux never answers by itself: what it would redirect or refuse is told apart before.
func (h *plain) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch p := r.URL.Path; {
	case wantsUpgrade(r):
		h.fail(w, r, errStale)
	case p == "" || p[0] != '/' || path.Clean(p) != p:
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
		if err := f(w, r); err != nil {
			h.fail(w, r, err)
		}
	}
}

// fail is the one exit for errors.
func (h *plain) fail(w http.ResponseWriter, r *http.Request, err error) {
	h.s.refused(refusal{err: err, kind: request, path: r.URL.Path, origin: r.Header.Get("Origin"), remote: r.RemoteAddr})
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

func live(w http.ResponseWriter, r *http.Request) error {
	if r.ContentLength != 0 {
		return errNoBody
	}
	WriteJSON(w, http.StatusOK, []byte(`{"status":"ok"}`+"\n"))
	return nil
}
