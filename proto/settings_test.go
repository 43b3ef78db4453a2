package proto_test

import (
	"context"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"fanfare/loop"
	"fanfare/proto"
	"fanfare/proto/auth"
	"fanfare/proto/prototest"
)

func origins(t *testing.T, list ...string) auth.Origins {
	t.Helper()
	o, err := auth.ParseOrigins(list)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// opened tries an upgrade and gives its status; a socket stays open until the test ends.
func opened(t *testing.T, addr, headers string) (*prototest.Client, *prototest.Answer) {
	t.Helper()
	c, a, err := prototest.Open(addr, "/?topic=a", headers)
	if err != nil {
		t.Fatal(err)
	}
	if c != nil {
		t.Cleanup(func() { _ = c.Close() })
	}
	return c, a
}

// Pages that are not on the list open no socket; programs do. The list may change.
func TestOrigins(t *testing.T) {
	var log logs
	srv, _, addrs := run(t, newToy(), proto.Config{Log: log.logger(), Reloadable: proto.Reloadable{Origins: origins(t, "https://good.example")}}, somewhere, false)
	for headers, ok := range map[string]bool{
		"": true, "Origin: https://good.example\r\n": true,
		"Origin: https://good.example:8443\r\n": false, "Origin: http://good.example\r\n": false, "Origin: null\r\n": false,
		"Origin: https://good.example\r\nOrigin: https://good.example\r\n": false,
	} {
		c, a := opened(t, addrs[0], headers)
		if (c != nil) != ok {
			t.Error(headers, a)
		}
		if !ok && (a.Status != http.StatusForbidden || !strings.Contains(a.Body, `"code":"origin_not_allowed"`)) {
			t.Error(a)
		}
		if !ok && log.String() == "" {
			t.Error("not logged")
		}
	}
	metric(t, addrs[0], `fanfare_handshakes_refused_total{reason="origin_not_allowed"} 4`)
	if err := srv.Reload(proto.Reloadable{Origins: origins(t, "null")}); err != nil {
		t.Fatal(err)
	}
	if c, a := opened(t, addrs[0], "Origin: null\r\n"); c == nil {
		t.Error(a)
	}
	if c, a := opened(t, addrs[0], "Origin: https://good.example\r\n"); c != nil || a.Status != http.StatusForbidden {
		t.Error(a)
	}
}

// What keeps sockets out also does so behind other requests of a connection.
func TestKeptConnectionsAreJudged(t *testing.T) {
	_, _, addrs := run(t, newToy(), proto.Config{Reloadable: proto.Reloadable{Origins: origins(t, "https://good.example"), PerAddress: 1}}, somewhere, false)
	for _, x := range []struct {
		headers string
		status  int
	}{
		{"Origin: https://evil.example\r\n", http.StatusForbidden},
		{"Origin: null\r\n", http.StatusForbidden},
		{"Origin: https://good.example\r\n", http.StatusSwitchingProtocols},
		{"Origin: https://good.example\r\n", http.StatusTooManyRequests}, // the second of its address
	} {
		conn, err := prototest.Dial(addrs[0])
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		c := prototest.Raw(conn)
		_, _ = io.WriteString(conn, "GET /livez HTTP/1.1\r\nHost: "+addrs[0]+"\r\n\r\n")
		if a, err := c.Answer(); err != nil || a.Status != http.StatusOK {
			t.Fatal(a, err)
		}
		_, _ = io.WriteString(conn, prototest.Head(addrs[0], "/?topic=a", x.headers))
		if a, err := c.Answer(); err != nil || a.Status != x.status {
			t.Errorf("%q: %v %v, want %d", x.headers, a, err, x.status)
		}
	}
}

// The answer to a refused upgrade and the line of the log have the same request id, and so have those of plain HTTP.
func TestRequestID(t *testing.T) {
	var log logs
	_, _, addrs := run(t, newToy(), proto.Config{Log: log.logger(), Reloadable: proto.Reloadable{Origins: origins(t, "null")}}, somewhere, false)
	_, a := opened(t, addrs[0], "Origin: https://evil.example\r\n")
	b := call(t, addrs[0], http.MethodGet, "/nothing", "")
	for _, a := range []*prototest.Answer{a, b} {
		id := a.Header.Get("X-Request-Id")
		if len(id) < 8 || !strings.Contains(log.String(), "request_id="+id+" ") {
			t.Errorf("%q is not in %s", id, log.String())
		}
	}
	if !strings.Contains(log.String(), "reason=origin_not_allowed ") || !strings.Contains(log.String(), "origin=https://evil.example") {
		t.Error(log.String())
	}
	if id := call(t, addrs[0], http.MethodGet, "/livez", "").Header.Get("X-Request-Id"); id == "" || id == b.Header.Get("X-Request-Id") {
		t.Error(id)
	}
}

// One address has so many sockets, and gets them back when they close.
func TestPerAddress(t *testing.T) {
	srv, _, addrs := run(t, newToy(), proto.Config{Reloadable: proto.Reloadable{PerAddress: 2}}, somewhere, false)
	addr := addrs[0]
	first, _ := opened(t, addr, "")
	opened(t, addr, "X-Forwarded-For: 1.1.1.1\r\n") // from nobody we trust
	c, a := opened(t, addr, "")
	if c != nil || a.Status != http.StatusTooManyRequests || a.Header.Get("Retry-After") == "" || !strings.Contains(a.Body, `"code":"too_many_from_address"`) {
		t.Fatal(a)
	}
	metric(t, addr, `fanfare_handshakes_refused_total{reason="too_many_from_address"} 1`)
	metric(t, addr, `fanfare_websocket_connections{dialect="toy"} 2`)
	_ = first.Close()
	metric(t, addr, `fanfare_websocket_connections{dialect="toy"} 1`)
	slow, a := opened(t, addr, "Sec-Fetch-Mode: websocket\r\n")
	if slow == nil {
		t.Fatal(a)
	}
	_ = slow.Close()
	metric(t, addr, `fanfare_websocket_connections{dialect="toy"} 1`)
	if c, a := opened(t, addr, ""); c == nil {
		t.Fatal(a)
	}
	if err := srv.Reload(proto.Reloadable{PerAddress: 2, Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}); err != nil {
		t.Fatal(err)
	}
	for _, client := range []string{"1.1.1.1", "2001:db8::1", "6.6.6.6, 2.2.2.2"} {
		for i := range 3 {
			if c, a := opened(t, addr, "X-Forwarded-For: "+client+"\r\n"); (c != nil) != (i < 2) {
				t.Error(client, i, a)
			}
		}
	}
	if c, a := opened(t, addr, "X-Forwarded-For: 2001:db8::2\r\n"); c != nil {
		t.Error("the same /64", a)
	}
}

// A socket that the dialect refuses is not held against its address.
func TestPerAddressRefused(t *testing.T) {
	_, _, addrs := run(t, newToy(), proto.Config{Reloadable: proto.Reloadable{PerAddress: 1}}, somewhere, false)
	for range 5 {
		if c, a, err := prototest.Open(addrs[0], "/silent?topic=a", ""); c != nil || err != nil || a.Status != http.StatusTeapot {
			t.Fatal(a, err)
		}
	}
	if c, a := opened(t, addrs[0], ""); c == nil {
		t.Error(a)
	}
}

// Bad settings change nothing.
func TestReloadAllOrNothing(t *testing.T) {
	srv, _, addrs := run(t, newToy(), proto.Config{}, somewhere, false)
	for _, r := range []proto.Reloadable{
		{Origins: origins(t, "null"), PerAddress: -1},
		{Origins: origins(t, "null"), Proxies: make([]netip.Prefix, 1)},
		{Origins: origins(t, "null"), Admission: loop.Admission{Conns: -1}},
	} {
		if err := srv.Reload(r); err == nil {
			t.Errorf("%+v", r)
		}
	}
	metric(t, addrs[0], "fanfare_config_last_reload_successful 0")
	if c, a := opened(t, addrs[0], "Origin: https://a\r\n"); c == nil {
		t.Error(a)
	}
	if err := srv.Reload(proto.Reloadable{}); err != nil {
		t.Error(err)
	}
	metric(t, addrs[0], "fanfare_config_last_reload_successful 1")
}

// A socket whose Open has asked somebody counts from when it is accepted, and holds its place from when it asked.
func TestPerAddressPending(t *testing.T) {
	d := newToy()
	_, _, addrs := run(t, d, proto.Config{Reloadable: proto.Reloadable{PerAddress: 1}}, somewhere, true)
	asked := make(chan *prototest.Client, 1)
	go func() {
		c, _, _ := prototest.Open(addrs[0], "/wait?topic=a", "")
		asked <- c
	}()
	<-d.started
	if c, a := opened(t, addrs[0], ""); c != nil || a.Status != http.StatusTooManyRequests {
		t.Error(a)
	}
	metric(t, addrs[1], `fanfare_websocket_connections{dialect="toy"} 0`)
	d.gates <- func(context.Context) error { return nil }
	c := <-asked
	want(t, c, "< welcome")
	metric(t, addrs[1], `fanfare_websocket_connections{dialect="toy"} 1`)
	_ = c.Close()
	metric(t, addrs[1], `fanfare_websocket_connections{dialect="toy"} 0`)
	if c, a := opened(t, addrs[0], ""); c == nil {
		t.Error(a)
	}
}
