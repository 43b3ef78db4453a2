package native_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	gobwas "github.com/gobwas/ws"

	"fanfare/fanout"
	"fanfare/proto/native"
	"fanfare/proto/prototest"
)

const jsonBody = "Content-Type: application/json\r\n"

// raw sends bytes as they are and reads the answer.
func raw(tb testing.TB, addr, text string) *prototest.Answer {
	tb.Helper()
	conn, err := prototest.Dial(addr)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_, _ = io.WriteString(conn, text) // the answer may come before all is written
	a, err := prototest.Raw(conn).Answer()
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

func post(addr, target, headers, body string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nContent-Length: %d\r\n%s\r\n%s", target, addr, len(body), headers, body)
}

// TestStatuses: every status that bad input gets, from the running server, with a JSON error that names what is wrong.
func TestStatuses(t *testing.T) {
	t.Parallel()
	addrs, _ := server(t, native.Config{}, fanout.Config{})
	addr := addrs[0]
	keyed := one(t, native.Config{Auth: keys(t, "right")})
	big := strings.Repeat("x", 64<<10+1)
	many := "[" + strings.Repeat(`{"topic":"a","data":1},`, 1000) + `{"topic":"a","data":1}]`
	for _, c := range []struct {
		name, addr, request string
		status              int
		code, field, header string
	}{
		{"bad head", addr, "GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400, "bad_request", "head", ""},
		{"no HTTP", addr, "\x16\x03\x01", 400, "bad_request", "method", ""},
		{"upgrade without key", addr, strings.Replace(prototest.Head(addr, "/ws", ""), "Sec-WebSocket-Key", "X", 1), 400, "bad_request", "Sec-WebSocket-Key", ""},
		{"bad topic", addr, prototest.Head(addr, "/ws?topic="+strings.Repeat("x", 256), ""), 400, "bad_topic", "topic", ""},
		{"key missing", keyed, post(keyed, "/broadcast?topic=a", "", "x"), 401, "unauthorized", "Authorization", "Www-Authenticate: Bearer"},
		{"key wrong", keyed, post(keyed, "/broadcast?topic=a", "Authorization: Bearer wrong\r\n", "x"), 401, "unauthorized", "Authorization", "Www-Authenticate: Bearer"},
		{"no key, foreign Host", addr, post("evil.example", "/broadcast?topic=a", "", "x"), 403, "forbidden", "", ""},
		{"no such path", addr, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n", 404, "not_found", "", ""},
		{"no such path for WebSocket", addr, prototest.Head(addr, "/x", ""), 404, "not_found", "path", ""},
		{"wrong method", addr, "DELETE /broadcast HTTP/1.1\r\nHost: x\r\n\r\n", 405, "method_not_allowed", "method", "Allow: POST"},
		{"wrong method of an upgrade", addr, strings.Replace(prototest.Head(addr, "/ws", ""), "GET", "PUT", 1), 405, "method_not_allowed", "method", "Allow: GET"},
		{"a body nobody reads", addr, "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n", 404, "not_found", "", ""},
		{"a body nobody reads, in chunks", addr, "PUT /broadcast HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", 405, "method_not_allowed", "method", ""},
		{"a body without a key", keyed, "POST /broadcast?topic=a HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n", 401, "unauthorized", "Authorization", ""},
		{"a body where none is read", addr, "GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n", 400, "bad_request", "body", ""},
		{"a misspelt parameter", addr, prototest.Head(addr, "/ws?topik=a", ""), 400, "bad_query", "query", ""},
		{"a misspelt parameter of a publish", addr, post(addr, "/broadcast?topc=a", "", "x"), 400, "bad_query", "query", ""},
		{"half a head", addr, "GET /ws HTTP/1.1\r\nHost", 408, "timeout", "head", ""},
		{"half a body", addr, strings.Replace(post(addr, "/broadcast?topic=a", "", "x"), "Length: 1", "Length: 2", 1), 408, "timeout", "", ""},
		{"payload too large", addr, post(addr, "/broadcast?topic=a", "", big), 413, "payload_too_large", "body", ""},
		{"payload too large, in chunks", addr, "POST /broadcast?topic=a HTTP/1.1\r\nHost: " + addr + "\r\nTransfer-Encoding: chunked\r\n\r\n10001\r\n" + big, 413, "payload_too_large", "body", ""},
		{"payload too large, in JSON", addr, post(addr, "/broadcast", jsonBody, `{"topic":"a","data":"`+big+`"}`), 413, "payload_too_large", "data", ""},
		{"body too large", addr, post(addr, "/broadcast", jsonBody, strings.Repeat(" ", 1<<20+1)), 413, "payload_too_large", "body", ""},
		{"too many items", addr, post(addr, "/broadcast", jsonBody, many), 413, "too_many_items", "body", ""},
		{"not UTF-8", addr, post(addr, "/broadcast?topic=a", "", "\xff"), 415, "unsupported_media_type", "body", ""},
		{"not JSON's type", addr, post(addr, "/broadcast", "", "{}"), 415, "unsupported_media_type", "Content-Type", ""},
		{"JSON that is not UTF-8", addr, post(addr, "/broadcast", jsonBody, `{"topic":"a","data":"`+"\xff"+`"}`), 400, "bad_json", "body", ""},
		{"no upgrade", addr, "GET /ws HTTP/1.1\r\nHost: x\r\n\r\n", 426, "upgrade_required", "Upgrade", "Upgrade: websocket"},
		{"another version", addr, strings.Replace(prototest.Head(addr, "/ws", ""), "13", "8", 1), 426, "upgrade_required", "Sec-WebSocket-Version", "Sec-Websocket-Version: 13"},
		{"a long head", addr, "GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 8<<10) + "\r\n\r\n", 431, "head_too_large", "head", ""},
		{"many headers", addr, "GET / HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X: x\r\n", 100) + "\r\n", 431, "head_too_large", "head", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a := raw(t, c.addr, c.request)
			if a.Status != c.status || !strings.HasPrefix(a.Body, `{"error":{"code":"`+c.code+`","message":"`) {
				t.Errorf("got %d %s, want %d %s", a.Status, a.Body, c.status, c.code)
			}
			if got := strings.Contains(a.Body, `"field":"`+c.field+`"`); got != (c.field != "") {
				t.Errorf("got %s, want field %q", a.Body, c.field)
			}
			name, value, _ := strings.Cut(c.header, ": ")
			if a.Header.Get(name) != value {
				t.Errorf("got %v, want %s", a.Header, c.header)
			}
			if a.Header.Get("Content-Type") != "application/json" {
				t.Errorf("type %s", a.Header.Get("Content-Type"))
			}
		})
	}
}

// TestBusy: 503 with Retry-After, and for an array how far it came; what was accepted arrives, nothing else.
func TestBusy(t *testing.T) {
	addrs, _ := server(t, native.Config{}, fanout.Config{TopicBytes: 1})
	c := dial(t, addrs[0], "/ws?topic=busy")
	body := "[" + strings.Repeat(`{"topic":"busy","data":1},`, 999) + `{"topic":"busy","data":2}]`
	var a *prototest.Answer
	accepted := 0
	for range 100 {
		a = call(t, addrs[0], http.MethodPost, "/broadcast", jsonBody, body)
		if a.Status == http.StatusServiceUnavailable {
			break
		}
		accepted += 1000
	}
	n := -1
	if _, err := fmt.Sscanf(a.Body[strings.Index(a.Body, `"accepted"`):], `"accepted":%d,"results":[`, &n); err != nil {
		t.Fatal(err, a.Body)
	}
	if a.Status != 503 || a.Header.Get("Retry-After") != "1" || !strings.HasPrefix(a.Body, `{"error":{"code":"busy",`) || strings.Count(a.Body, `"receivers":1}`) != n {
		t.Fatalf("%d %v %.300s", a.Status, a.Header, a.Body)
	}
	for range accepted + n {
		if got, err := c.Text(); err != nil || got != "< 1" && got != "< 2" {
			t.Fatal(got, err)
		}
	}
	for { // the log may be full for a moment more
		a = call(t, addrs[0], http.MethodPost, "/broadcast?topic=busy", "", "end")
		if a.Status == http.StatusAccepted {
			break
		}
	}
	want(t, c, "< end")
}

// TestSlowBody: a client that stalls in its body costs only itself.
func TestSlowBody(t *testing.T) {
	addr := one(t, native.Config{})
	for range 50 {
		conn, err := prototest.Dial(addr)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		_, _ = io.WriteString(conn, post(addr, "/broadcast?topic=a", "", "x")[:20])
	}
	start := time.Now()
	if a := call(t, addr, http.MethodGet, "/livez", "", ""); a.Status != 200 || time.Since(start) > time.Second {
		t.Fatal(a, time.Since(start))
	}
}

// TestHugeArrays: bodies made to be split at great cost.
func TestHugeArrays(t *testing.T) {
	addr := one(t, native.Config{})
	for _, c := range []struct {
		name, body string
		status     int
	}{
		{"10 MB of []", "[" + strings.Repeat("[],", 10<<20/3) + "[]]", 413},
		{"10 MB of newlines", strings.Repeat("\n", 10<<20), 413},
		{"1 MB of []", "[" + strings.Repeat("[],", 1<<20/3-2) + "[]]", 413},
		{"1 MB of [", strings.Repeat("[", 1<<20), 400},
		{"1 MB of newlines", strings.Repeat("\n", 1<<20), 400},
		{"1 MB of commas", "[" + strings.Repeat(",", 1<<20-2) + "]", 400},
		{"deep", strings.Repeat("[", 9000) + strings.Repeat("]", 9000), 400},
		{"1 MB of members", `{"a":1` + strings.Repeat(`,"a":1`, 1<<20/6-3) + "}", 400},
		{"1 MB of a name", `{"topic":"` + strings.Repeat("x", 1<<20-30) + `","data":1}`, 400},
		{"1 MB of an unknown key", `{"` + strings.Repeat("x", 1<<20-30) + `":1}`, 400},
	} {
		for _, chunked := range []bool{false, true} {
			start := time.Now()
			request := post(addr, "/broadcast", jsonBody, c.body)
			if chunked {
				request = "POST /broadcast HTTP/1.1\r\nHost: " + addr + "\r\n" + jsonBody + "Transfer-Encoding: chunked\r\n\r\n" +
					fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(c.body), c.body)
			}
			a := raw(t, addr, request)
			if a.Status != c.status || time.Since(start) > 5*time.Second || len(a.Body) > 300 {
				t.Errorf("%s, chunked %v: %d %.300s after %v", c.name, chunked, a.Status, a.Body, time.Since(start))
			}
		}
	}
}

// TestKeysOnKeptConnection: who comes to a socket behind another request of its connection has no other rights than who comes first.
func TestKeysOnKeptConnection(t *testing.T) {
	plain, keyed := one(t, native.Config{}), one(t, native.Config{Auth: keys(t, "one")})
	for _, c := range []struct{ addr, header, want string }{
		{plain, "", `< {"published":`},
		{plain, "Origin: http://evil.example\r\n", `< {"error":{"code":"forbidden"`},
		{plain, "X-Forwarded-For: 203.0.113.7\r\n", `< {"error":{"code":"forbidden"`},
		{keyed, "", `< {"error":{"code":"unauthorized"`},
		{keyed, "Authorization: Bearer two\r\n", `< {"error":{"code":"unauthorized"`},
		{keyed, "Authorization: Bearer one\r\n", `< {"published":`},
	} {
		conn, err := prototest.Dial(c.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		ws := prototest.Raw(conn)
		// The request before is allowed to publish, which is no merit of the one behind it.
		_, _ = io.WriteString(conn, "POST /broadcast?topic=b HTTP/1.1\r\nHost: "+c.addr+"\r\nAuthorization: Bearer one\r\nContent-Length: 1\r\n\r\nx")
		if a, err := ws.Answer(); err != nil || a.Status != http.StatusAccepted {
			t.Fatal(a, err)
		}
		_, _ = io.WriteString(conn, prototest.Head(c.addr, "/ws", c.header))
		if a, err := ws.Answer(); err != nil || a.Status != http.StatusSwitchingProtocols {
			t.Fatal(c.header, a, err)
		}
		say(t, ws, `{"publish":{"topic":"a","data":1}}`)
		if got, err := ws.Text(); err != nil || !strings.HasPrefix(got, c.want) {
			t.Errorf("%q: %s %v, want %s", c.header, got, err, c.want)
		}
	}
}

// TestUpgradeOnKeptConnection: an upgrade behind other requests on its connection goes back to a loop, with all that was read already.
func TestUpgradeOnKeptConnection(t *testing.T) {
	addr := one(t, native.Config{})
	for _, together := range []bool{false, true} {
		conn, err := prototest.Dial(addr)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		c := prototest.Raw(conn)
		for range 3 {
			_, _ = io.WriteString(conn, "GET /livez HTTP/1.1\r\nHost: "+addr+"\r\n\r\n")
			if a, err := c.Answer(); err != nil || a.Status != 200 {
				t.Fatal(a, err)
			}
		}
		head := prototest.Head(addr, "/ws?topic=a&format=json", "X-Twice: 1\r\nX-Twice: 2\r\n")
		publish := prototest.Frame(gobwas.OpText, []byte(`{"publish":{"topic":"a","data":1}}`))
		if together {
			head, publish = head+string(publish), nil
		}
		_, _ = io.WriteString(conn, head)
		if a, err := c.Answer(); err != nil || a.Status != http.StatusSwitchingProtocols {
			t.Fatal(a, err)
		}
		_, _ = conn.Write(publish)
		for _, text := range []string{`{"published":{"topic":"a"`, `{"topic":"a","position"`} {
			if got, err := c.Text(); err != nil || !strings.HasPrefix(got, "< "+text) {
				t.Fatal(together, got, err)
			}
		}
	}
	refused, err := prototest.Dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = refused.Close() }()
	c := prototest.Raw(refused)
	_, _ = io.WriteString(refused, "GET /livez HTTP/1.1\r\nHost: "+addr+"\r\n\r\n"+prototest.Head(addr, "/nowhere", ""))
	for _, status := range []int{http.StatusOK, http.StatusNotFound} {
		if a, err := c.Answer(); err != nil || a.Status != status {
			t.Fatal(a, err)
		}
	}
}

// TestUpgradeWithBody: a request with a body is no upgrade.
func TestUpgradeWithBody(t *testing.T) {
	addr := one(t, native.Config{})
	conn, err := prototest.Dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	c := prototest.Raw(conn)
	_, _ = io.WriteString(conn, "GET /livez HTTP/1.1\r\nHost: "+addr+"\r\n\r\n"+prototest.Head(addr, "/ws", "Content-Length: 1\r\n")+"x")
	for _, status := range []int{http.StatusOK, http.StatusBadRequest} {
		if a, err := c.Answer(); err != nil || a.Status != status || a.Closes != (status != http.StatusOK) {
			t.Fatal(a, err)
		}
	}
}

// TestMetrics: the counters that exist, and no string of a client among them.
func TestMetrics(t *testing.T) {
	addr := one(t, native.Config{})
	const canary = "CANARY"
	c := dial(t, addr, "/ws?topic="+canary+"&topic=b", "Origin: http://"+canary)
	_ = call(t, addr, http.MethodPost, "/broadcast?topic="+canary, "", "x")
	want(t, c, "< x")
	for i := range 20 {
		_ = call(t, addr, http.MethodGet, fmt.Sprintf("/%s%d", canary, i), "", "")
		_ = call(t, addr, fmt.Sprintf("%s%d", canary, i), "/livez", canary+": x\r\n", "")
		_, _, _ = prototest.Open(addr, fmt.Sprintf("/ws?format=%s%d", canary, i), "User-Agent: "+canary+"\r\n")
		say(t, c, fmt.Sprintf(`{"%s%d":1}`, canary, i))
	}
	var body string
	for range 200 { // the loops' numbers are copied four times a second
		body = call(t, addr, http.MethodGet, "/metrics", "", "").Body
		if strings.Contains(body, "fanfare_messages_received_total 20") && strings.Contains(body, "fanfare_connections 1\n") {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if strings.Contains(body, canary) {
		t.Error("a client's string in", body)
	}
	for _, line := range []string{
		"fanfare_encodes_total 1", "fanfare_deliveries_total 1", "fanfare_publishes_total 1", "fanfare_publishes_busy_total 0",
		"fanfare_connections 1", "fanfare_upgrades_total 1", "fanfare_topics 2", "fanfare_subscriptions 2", "fanfare_undelivered_bytes 0",
		"fanfare_backlog_bytes 0", "fanfare_dropped_frames_total 0", `fanfare_panics_total{where="loop"} 0`,
		`fanfare_handshakes_refused_total{reason="bad_query"} 20`, `fanfare_messages_refused_total{reason="bad_json"} 20`, `fanfare_requests_refused_total{reason="not_found"} 20`,
		`fanfare_disconnects_total{reason="slow"} 0`, `fanfare_build_info{version="test"} 1`,
	} {
		if !strings.Contains(body, "\n"+line+"\n") && !strings.HasPrefix(body, line+"\n") {
			t.Error("missing:", line)
		}
	}
	for _, name := range []string{"fanfare_connections_accepted_total ", "fanfare_bytes_sent_total ", "fanfare_writes_total ", "go_goroutines ", "process_resident_memory_bytes "} {
		if !strings.Contains(body, "\n"+name) {
			t.Error("missing:", name)
		}
	}
	if t.Failed() {
		t.Log(body)
	}
}

// TestRefusalLog: a line for each reason, not for each refusal, without secrets.
func TestRefusalLog(t *testing.T) {
	addrs, log := server(t, native.Config{Auth: keys(t, "SECRET1,SECRET2")}, fanout.Config{})
	for range 50 {
		_ = call(t, addrs[0], http.MethodPost, "/broadcast?topic=SECRET3", "Authorization: Bearer SECRET1x\r\nOrigin: http://page\r\n", "SECRET4")
		_, _, _ = prototest.Open(addrs[0], "/nope?token=SECRET5", "")
		_, _, _ = prototest.Open(addrs[0], "/ws?format=SECRET6", "")
	}
	c := dial(t, addrs[0], "/ws?topic=SECRET7")
	for _, text := range []string{`{"SECRET8":1}`, `{"subscribe":["SECRET9\u0000"]}`, `SECRET10`, `{"publish":{"topic":"a","SECRET11":2}}`} {
		say(t, c, text)
		_, _ = c.Text()
	}
	text := log.String()
	if strings.Contains(text, "SECRET") {
		t.Error("a secret in", text)
	}
	if n := strings.Count(text, "reason=unauthorized"); n < 1 || n > 10 {
		t.Errorf("%d lines for 50 refusals: %s", n, text)
	}
	for _, part := range []string{"handshake refused", "message refused", "reason=not_found", "path=/nope", "origin=http://page", "remote=127.0.0.1:", "status=401"} {
		if !strings.Contains(text, part) {
			t.Errorf("no %s in %s", part, text)
		}
	}
}
