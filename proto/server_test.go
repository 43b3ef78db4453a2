package proto_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"fanfare/fanout"
	"fanfare/loop/http1"
	"fanfare/loop/ws"
	"fanfare/proto"
	"fanfare/proto/prototest"
)

// TestServer: the ways through the handler.
func TestServer(t *testing.T) {
	d := newToy()
	addr := start(t, d, proto.Config{})
	c := dial(t, addr, "/?topic=a")
	want(t, c, "< welcome")
	say(t, c, "echo hello", "count", "publish a")
	want(t, c, "< hello", "< 1 2", "< published")
	say(t, c, "nonsense")
	want(t, c, "<! 1011")
	c = dial(t, addr, "/?topic=a")
	want(t, c, "< welcome")
	say(t, c, "due")
	want(t, c, "< due")
}

// TestRefusedJoins: what a refused Open has joined is undone.
func TestRefusedJoins(t *testing.T) {
	addr := start(t, newToy(), proto.Config{})
	_, refused, err := prototest.Open(addr, "/silent?topic=s", "")
	if err != nil || refused.Status != 418 || refused.Body != `{"error":{"code":"teapot","message":"no coffee"}}`+"\n" {
		t.Fatal(refused, err)
	}
	if a := call(t, addr, http.MethodPost, "/publish/s", ""); a.Body != "0" {
		t.Fatal(a)
	}
	_, refused, err = prototest.Open(addr, "/refuse", "")
	if err != nil || refused.Status != 500 || strings.Contains(refused.Body, "not known") {
		t.Fatal(refused, err)
	}
}

// TestPanics: in a callback and in a route; they cost that connection, and are counted.
func TestPanics(t *testing.T) {
	d := newToy()
	addr := start(t, d, proto.Config{})
	other := dial(t, addr, "/?topic=a")
	want(t, other, "< welcome")
	c := dial(t, addr, "/?topic=a")
	want(t, c, "< welcome")
	say(t, c, "panic ")
	want(t, c, "<! 1011")
	_ = c.Close()
	_, refused, err := prototest.Open(addr, "/panic", "")
	if err != nil || refused.Status != 500 {
		t.Fatal(refused, err)
	}
	a := call(t, addr, http.MethodGet, "/boom", "")
	if a.Status != 500 || !a.Closes || !strings.HasPrefix(a.Body, `{"error":{"code":"internal"`) {
		t.Fatal(a)
	}
	metric(t, addr, `fanfare_panics_total{where="loop"} 2`)
	metric(t, addr, `fanfare_panics_total{where="proto"} 1`)
	metric(t, addr, "fanfare_subscriptions 1")
	say(t, other, "echo alive")
	want(t, other, "< alive")
}

// TestRoutes: what the control plane answers by itself.
func TestRoutes(t *testing.T) {
	addr := start(t, newToy(), proto.Config{MaxHead: 1 << 10})
	for _, c := range []struct {
		method, target string
		status         int
		body, allow    string
	}{
		{"GET", "/livez", 200, `{"status":"ok"}` + "\n", ""},
		{"HEAD", "/livez", 200, "", ""},
		{"POST", "/livez", 405, "", "GET, HEAD"},
		{"OPTIONS", "/publish/a", 405, "", "POST"},
		{"OPTIONS", "*", 404, "", ""},
		{"GET", "/things/%22", 200, `"\""`, ""},
		{"GET", "/things/a/b", 404, "", ""},
		{"GET", "/things/../livez", 404, "", ""},
		{"GET", "/wrong", 500, `{"error":{"code":"internal","message":"internal error"}}` + "\n", ""},
		{"POST", "/publish/a", 200, "0", ""},
	} {
		conn, err := prototest.Dial(addr)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", c.method, c.target)
		if c.method == http.MethodHead {
			_ = conn.Close()
			continue
		}
		a, err := prototest.Raw(conn).Answer()
		_ = conn.Close()
		if err != nil || a.Status != c.status || c.body != "" && a.Body != c.body || a.Header.Get("Allow") != c.allow {
			t.Errorf("%s %s: %+v %v", c.method, c.target, a, err)
		}
		if c.status >= 400 && !strings.HasPrefix(a.Body, `{"error":{"code":"`) {
			t.Errorf("%s %s: %s", c.method, c.target, a.Body)
		}
	}
}

// TestListenErrors: what cannot be listened at is told in words.
func TestListenErrors(t *testing.T) {
	addr := start(t, newToy(), proto.Config{})
	srv, err := proto.New(proto.Config{Hub: fanout.NewHub(fanout.Config{}), Dialects: []proto.Dialect{newToy()}})
	if err != nil {
		t.Fatal(err)
	}
	for l, text := range map[proto.Listen]string{
		{Dialect: "toi", Addr: "127.0.0.1:0"}:    `unknown dialect "toi" (did you mean "toy"?) (known: toy)`,
		{Dialect: "native", Addr: "127.0.0.1:0"}: `unknown dialect "native" (known: toy)`,
	} {
		if _, err := srv.Listen(l); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%v: %v", l, err)
		}
	}
	_ = addr
	if _, err := proto.New(proto.Config{}); err == nil {
		t.Error("a server out of nothing")
	}
}

func TestAsError(t *testing.T) {
	own := &proto.Error{Status: 418, Code: "own", Text: "t", Field: "f"}
	for _, c := range []struct {
		err    error
		status int
		code   string
		closes uint16
		fatal  bool
		retry  bool
	}{
		{fmt.Errorf("wrapped: %w", own), 418, "own", 0, false, false},
		{&proto.Error{Code: "bare"}, 400, "bare", 0, false, false},
		{&http1.Error{Status: 431}, 431, "head_too_large", 0, true, false},
		{&http1.Error{Status: 503}, 503, "busy", 0, true, true},
		{&http1.Error{Status: 505}, 505, "not_implemented", 0, true, false},
		{&ws.Error{Code: 1002}, 400, "protocol_error", 1002, true, false},
		{&ws.Error{Code: 1007}, 400, "not_utf8", 1007, true, false},
		{&ws.Error{Code: 1008}, 400, "policy_violation", 1008, true, false},
		{&ws.Error{Code: 1009}, 413, "payload_too_large", 1009, true, false},
		{fanout.ErrBusy, 503, "busy", 1013, false, true},
		{errors.New("x"), 500, "internal", 1011, true, false},
	} {
		e := proto.AsError(c.err)
		if e.Status != c.status || e.Code != c.code || e.Close != c.closes || e.Fatal != c.fatal || e.Retry != c.retry {
			t.Errorf("%v: %+v", c.err, e)
		}
	}
	if own.Error() != "own: f: t" || string(own.AppendJSON(nil)) != `"error":{"code":"own","message":"t","field":"f"}` {
		t.Error(own.Error(), string(own.AppendJSON(nil)))
	}
}
