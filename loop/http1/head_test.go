package http1

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

var normal = Limits{Head: 8 << 10, Headers: 100}

// lines makes a head of its lines.
func lines(l ...string) string {
	return strings.Join(l, "\r\n") + "\r\n\r\n"
}

// get is a valid request with further header lines.
func get(l ...string) string {
	return lines(append([]string{"GET / HTTP/1.1", "Host: h"}, l...)...)
}

func status(tb testing.TB, err error) int {
	tb.Helper()
	if err == nil {
		return 0
	}
	var e *Error
	if !errors.As(err, &e) {
		tb.Fatalf("%T %v", err, err)
	}
	return e.Status
}

func TestParse(t *testing.T) {
	type want struct {
		host, path, query string
	}
	for in, w := range map[string]want{
		get(): {"h", "/", ""},
		lines("GET /a/b?c=d&e HTTP/1.1", "Host: example.com:80"):   {"example.com:80", "/a/b", "c=d&e"},
		lines("GET /a?b?c HTTP/1.1", "Host: h"):                    {"h", "/a", "b?c"},
		lines("GET /%41%2f HTTP/1.1", "Host: h"):                   {"h", "/%41%2f", ""},
		lines("GET /?%zz HTTP/1.1", "Host: h"):                     {"h", "/", "%zz"},
		lines("GET //a HTTP/1.1", "Host: h"):                       {"h", "//a", ""},
		lines("GET /канал HTTP/1.1", "Host: h"):                    {"h", "/канал", ""},
		lines("OPTIONS * HTTP/1.1", "Host: h"):                     {"h", "*", ""},
		lines("GET http://a.example:8080/p?q HTTP/1.1", "Host: h"): {"a.example:8080", "/p", "q"},
		lines("GET HTTPS://[::1]:443 HTTP/1.1", "Host: h"):         {"[::1]:443", "/", ""},
		lines("GET http://a?q HTTP/1.1", "Host: h"):                {"a", "/", "q"},
		lines("GET / HTTP/1.0"):                                    {"", "/", ""},
		lines("GET / HTTP/1.1", "Host:"):                           {"", "/", ""},
		lines("GET / HTTP/1.2", "host:\t [::1]:80 \t"):             {"[::1]:80", "/", ""},
		lines("X / HTTP/1.1", "Host: h"):                           {"h", "/", ""},
		get("X-Empty:", "X-Text: \xe9 a\tb"):                       {"h", "/", ""},
		get("Content-Length: 0"):                                   {"h", "/", ""},
		get("Content-Length: 999999999999999999"):                  {"h", "/", ""},
		get("Transfer-Encoding: Chunked"):                          {"h", "/", ""},
		get("Content-Length-X: a", "Content-Length-X: b"):          {"h", "/", ""},
	} {
		var r Request
		n, err := r.Parse([]byte(in+"body"), normal)
		if got := (want{r.Host, r.Path, r.RawQuery}); n != len(in) || err != nil || got != w {
			t.Errorf("%q: %d %v %q", in, n, err, got)
		}
		if line := r.Method + " " + r.Target + " " + r.Proto + "\r\n"; !strings.HasPrefix(in, line) {
			t.Errorf("%q: %q", in, line)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for in, want := range map[string]int{
		// request line (RFC 9112, section 3)
		lines("GET /"):                                     400,
		lines("GET"):                                       400,
		lines(""):                                          400,
		lines("", "GET / HTTP/1.1", "Host: h"):             400,
		lines(" GET / HTTP/1.1", "Host: h"):                400,
		lines("GET  / HTTP/1.1", "Host: h"):                400,
		lines("GET /  HTTP/1.1", "Host: h"):                400,
		lines("GET / HTTP/1.1 ", "Host: h"):                400,
		lines("GET\t/ HTTP/1.1", "Host: h"):                400,
		lines("G(T / HTTP/1.1", "Host: h"):                 400,
		lines("GET a HTTP/1.1", "Host: h"):                 400,
		lines("GET * HTTP/1.1", "Host: h"):                 400,
		lines("GET  HTTP/1.1", "Host: h"):                  400,
		lines("GET /a#b HTTP/1.1", "Host: h"):              400,
		lines("GET /%4 HTTP/1.1", "Host: h"):               400,
		lines("GET /%zz HTTP/1.1", "Host: h"):              400,
		lines("GET /\x00 HTTP/1.1", "Host: h"):             400,
		lines("GET /\x7f HTTP/1.1", "Host: h"):             400,
		lines("CONNECT h:80 HTTP/1.1", "Host: h"):          400,
		lines("CONNECT / HTTP/1.1", "Host: h"):             400,
		lines("GET ftp://h/ HTTP/1.1", "Host: h"):          400,
		lines("GET http:/// HTTP/1.1", "Host: h"):          400,
		lines("GET http://u@h/ HTTP/1.1", "Host: h"):       400,
		lines("GET http://h:x/ HTTP/1.1", "Host: h"):       400,
		lines("GET http://h:123456/ HTTP/1.1", "Host: h"):  400,
		lines("GET http://[::g]/ HTTP/1.1", "Host: h"):     400,
		lines("GET http://[1.2.3.4]/ HTTP/1.1", "Host: h"): 400,
		lines("GET http://%41/ HTTP/1.1", "Host: h"):       400,
		lines("GET / http/1.1", "Host: h"):                 400,
		lines("GET / HTTP/1", "Host: h"):                   400,
		lines("GET / HTTP/11", "Host: h"):                  400,
		lines("GET / HTTP/1.10", "Host: h"):                400,
		lines("GET / HTTP/1.x", "Host: h"):                 400,
		lines("GET / HTTP/2.0", "Host: h"):                 505,
		lines("GET / HTTP/0.9"):                            505,
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n":                 400,
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc":             400, // TLS
		// line ends
		"GET / HTTP/1.1\nHost: h\n\n":             400,
		"GET / HTTP/1.1\r\nHost: h\n\r\n":         400,
		"GET / HTTP/1.1\r\nHost: h\r\n\n":         400,
		"GET / HTTP/1.1\r\nHost: h\rX: y\r\n\r\n": 400,
		// header lines (RFC 9112, section 5)
		get("X : y"):                        400,
		get("X"):                            400,
		get(": y"):                          400,
		get("X Y: z"):                       400,
		get("X\x00: y"):                     400,
		get("\xc3\xa9: y"):                  400,
		get("X: a", " folded"):              400,
		get("X: a", "\tfolded: b"):          400,
		get("X: \x00"):                      400,
		get("X: \x01"):                      400,
		get("X: \x7f"):                      400,
		get("X: a\rb"):                      400,
		lines("GET / HTTP/1.1", " Host: h"): 400,
		// Host
		lines("GET / HTTP/1.1"):                       400,
		get("Host: h"):                                400,
		get("hOST: other"):                            400,
		lines("GET / HTTP/1.1", "Host: a b"):          400,
		lines("GET / HTTP/1.1", "Host: a/b"):          400,
		lines("GET / HTTP/1.1", "Host: a@b"):          400,
		lines("GET / HTTP/1.0", "Host: a", "Host: a"): 400,
		// framing (RFC 9112, section 6)
		get("Content-Length: 1", "Content-Length: 1"):                   400,
		get("Content-Length: 1, 1"):                                     400,
		get("Content-Length:"):                                          400,
		get("Content-Length: +1"):                                       400,
		get("Content-Length: -1"):                                       400,
		get("Content-Length: 0x1"):                                      400,
		get("Content-Length: 9999999999999999999"):                      400,
		get("Content-Length: 1", "Transfer-Encoding: chunked"):          400,
		get("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"): 400,
		get("Transfer-Encoding: gzip, chunked"):                         501,
		get("Transfer-Encoding: identity"):                              501,
		get("Transfer-Encoding:"):                                       501,
		lines("GET / HTTP/1.0", "Transfer-Encoding: chunked"):           400,
		// WebSocket
		get("Sec-WebSocket-Key: a", "Sec-WebSocket-Key: a"):          400,
		get("Sec-WebSocket-Version: 13", "sec-websocket-version: 8"): 400,
	} {
		r := Request{Method: "stale"}
		n, err := r.Parse([]byte(in), normal)
		if got := status(t, err); n != 0 || got != want {
			t.Errorf("%q: %d %v, want %d", in, n, err, want)
		}
		if r.Method != "" || r.Header("Host") != "" {
			t.Errorf("%q: something is left in the request", in)
		}
	}
}

func TestLimits(t *testing.T) {
	in := get("X: " + strings.Repeat("x", 100))
	var r Request
	if n, err := r.Parse([]byte(in), Limits{len(in), 2}); n != len(in) || err != nil {
		t.Errorf("at the limit: %d %v", n, err)
	}
	if _, err := r.Parse([]byte(in), Limits{len(in) - 1, 2}); status(t, err) != 431 {
		t.Errorf("one byte over: %v", err)
	}
	if _, err := r.Parse([]byte(in), Limits{len(in), 1}); status(t, err) != 431 {
		t.Errorf("one line over: %v", err)
	}
	if n, err := r.Parse([]byte(in[:50]), Limits{51, 2}); n != 0 || err != nil {
		t.Errorf("below the limit, incomplete: %d %v", n, err)
	}
	if _, err := r.Parse([]byte(in[:51]), Limits{51, 2}); status(t, err) != 431 {
		t.Errorf("at the limit, incomplete: %v", err)
	}
	if n, err := r.Parse(nil, Limits{}); n != 0 || status(t, err) != 431 {
		t.Errorf("zero limits: %d %v", n, err)
	}
	if _, err := r.Parse([]byte(in), Limits{-1, -1}); status(t, err) != 431 {
		t.Errorf("negative limits: %v", err)
	}
}

// CVE-2024-37890: many headers must not make those that matter disappear.
func TestManyHeaders(t *testing.T) {
	many := slices.Repeat([]string{"X: y"}, 2000)
	in := get(append(many, "Upgrade: websocket")...)
	var r Request
	if _, err := r.Parse([]byte(in), Limits{1 << 20, 100}); status(t, err) != 431 {
		t.Errorf("%v", err)
	}
	if n, err := r.Parse([]byte(in), Limits{1 << 20, 2002}); n != len(in) || err != nil || !r.WantsUpgrade() {
		t.Errorf("%d %v", n, err)
	}
	if _, err := r.Parse([]byte(in), normal); status(t, err) != 431 {
		t.Errorf("%v", err)
	}
}

func TestHeadEnd(t *testing.T) {
	for in, want := range map[string]int{
		"": 0, "\r": 0, "\n": 0, "a\r\n": 0, "a\r\n\r": 0, "a\r\n\r\n": 5, "a\n\n": 3, "a\n\r\nb": 4, "a\r\n\n": 4,
		"a\r\r\n": 0, "a\n\r\r\n": 0, "a\r\nb\r\n\r\nc\r\n\r\n": 8,
	} {
		if got := HeadEnd([]byte(in), 0); got != want {
			t.Errorf("%q: %d, want %d", in, got, want)
		}
		got := 0
		for i := range len(in) + 1 {
			if got = HeadEnd([]byte(in[:i]), max(i-1, 0)); got != 0 {
				break
			}
		}
		if got != want {
			t.Errorf("%q byte by byte: %d, want %d", in, got, want)
		}
	}
}

func TestFields(t *testing.T) {
	var r Request
	in := get("X-A:  1 ", "x-a:2", "List: a, B ,,\tc", "LIST: d", "Empty:", "Kelvin: websoc\u212aet")
	if _, err := r.Parse([]byte(in), normal); err != nil {
		t.Fatal(err)
	}
	if r.Header("x-A") != "1" || r.Header("Host") != "h" || r.Header("Empty") != "" || r.Header("none") != "" {
		t.Error("Header")
	}
	if got := slices.Collect(r.Values("X-a")); !slices.Equal(got, []string{"1", "2"}) {
		t.Errorf("Values %q", got)
	}
	if got := slices.Collect(r.Tokens("list")); !slices.Equal(got, []string{"a", "B", "c", "d"}) {
		t.Errorf("Tokens %q", got)
	}
	for token, want := range map[string]bool{"A": true, "b": true, "C": true, "d": true, "e": false, "": false, "a, B": false} {
		if r.HasToken("List", token) != want {
			t.Errorf("HasToken %q: %v", token, !want)
		}
	}
	if r.HasToken("Kelvin", "websocket") {
		t.Error("compared beyond ASCII")
	}
	n := 0
	for range r.Headers() {
		n++
	}
	if n != 7 {
		t.Errorf("%d headers", n)
	}
	for range r.Headers() {
		break
	}
	for range r.Tokens("list") {
		break
	}
	for range r.Values("list") {
		break
	}
}

func TestClone(t *testing.T) {
	var r Request
	if c := r.Clone(); c.Method != "" || c.Header("Host") != "" {
		t.Error("clone of nothing")
	}
	buf := []byte(lines("GET http://a/b?c HTTP/1.1", "Host: h", "X: y"))
	if _, err := r.Parse(buf, normal); err != nil {
		t.Fatal(err)
	}
	c := r.Clone()
	for i := range buf {
		buf[i] = '!'
	}
	if c.Method != http.MethodGet || c.Host != "a" || c.Path != "/b" || c.RawQuery != "c" || c.Header("X") != "y" || c.Header("host") != "h" {
		t.Errorf("%+v", c)
	}
}

func TestParams(t *testing.T) {
	for query, want := range map[string]string{
		"":                    "",
		"a=b":                 "[a=b]",
		"a=b&c=d&a=e":         "[a=b][c=d][a=e]",
		"a":                   "[a=]",
		"=b":                  "[=b]",
		"a=b=c":               "[a=b=c]",
		"&&a=b&":              "[a=b]",
		"a+b=c+d":             "[a b=c d]",
		"%61=%62%2B%26":       "[a=b+&]",
		"a;b=c;d":             "[a;b=c;d]",
		"%e2%82%ac=%E2%82%AC": "[€=€]",
		"a=%":                 "!",
		"a=b&c=%4":            "[a=b]!",
		"a=b&%zz=c&d=e":       "[a=b]!",
	} {
		var got strings.Builder
		for p, err := range Params(query) {
			if err != nil {
				if status(t, err) != 400 || p != (Param{}) {
					t.Errorf("%q: %v %v", query, p, err)
				}
				got.WriteString("!")
				continue
			}
			fmt.Fprintf(&got, "[%s=%s]", p.Name, p.Value)
		}
		if got.String() != want {
			t.Errorf("%q: %s, want %s", query, got.String(), want)
		}
	}
	r := Request{RawQuery: "a=1&b=%32&a=3&c=%"}
	for name, want := range map[string]string{"a": "1", "b": "2"} {
		if v, ok, err := r.Query(name); v != want || !ok || err != nil {
			t.Errorf("%s: %q %v %v", name, v, ok, err)
		}
	}
	if _, ok, err := r.Query("d"); ok || status(t, err) != 400 {
		t.Errorf("malformed: %v %v", ok, err)
	}
	r.RawQuery = "a=1"
	if v, ok, err := r.Query("d"); v != "" || ok || err != nil {
		t.Errorf("absent: %q %v %v", v, ok, err)
	}
	for p, err := range r.Params() {
		if p.Name != "a" || err != nil {
			t.Error(p, err)
		}
		break
	}
}

func TestParseAllocs(t *testing.T) {
	buf := []byte(browser)
	var r Request
	if n := testing.AllocsPerRun(100, func() {
		n, err := r.Parse(buf, normal)
		if n != len(buf) || err != nil || !r.WantsUpgrade() || r.CheckUpgrade() != nil {
			t.Fatal(n, err)
		}
		for p, err := range r.Params() {
			if err != nil || p.Name != "token" {
				t.Fatal(p, err)
			}
		}
		if v, ok, err := r.Query("token"); v != "abc" || !ok || err != nil {
			t.Fatal(v, ok, err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// With from, HeadEnd depends on nothing but the new bytes and the two before them.
func TestHeadEndFrom(t *testing.T) {
	for _, fill := range []string{"x", "\n", "\r", "\r\n\r", "\nx", "x\r\n\r\n"} {
		buf := []byte(strings.Repeat(fill, 1<<12)[:1<<12])
		for i := range buf {
			window := buf[max(i-2, 0) : i+1]
			if got, want := HeadEnd(buf[:i+1], i) != 0, HeadEnd(window, len(window)-1) != 0; got != want {
				t.Fatalf("%q: depends on bytes that were searched", fill)
			}
		}
	}
}

// FuzzHead: no input breaks Parse, the cut does not matter, and net/http reads what we accept in the same way.
func FuzzHead(f *testing.F) {
	for _, in := range []string{
		browser, get(), get("X: a", " b"), lines("GET http://[::1]:80/a?b HTTP/1.1", "Host: h"), lines("OPTIONS * HTTP/1.1", "Host:"),
		lines("POST /a%20b HTTP/1.0", "Content-Length: 3"), get("Transfer-Encoding: chunked", "Trailer: X"), "PRI * HTTP/2.0\r\n\r\n",
		"GET / HTTP/1.1\nHost: h\n\n", get("Connection: a, b", "Connection: c"), lines("GET //a:b HTTP/1.1", "Host: [::1]"),
	} {
		f.Add([]byte(in))
	}
	lim := Limits{Head: 512, Headers: 8}
	f.Fuzz(func(t *testing.T, in []byte) {
		var r, s Request
		n, err := r.Parse(in, lim)
		want := status(t, err)
		for i := range in {
			m, err := s.Parse(in[:i], lim)
			got := status(t, err)
			if m != 0 && m != n || got != 0 && got != want {
				t.Fatalf("cut at %d: %d %d, whole: %d %d", i, m, got, n, want)
			}
			if end := HeadEnd(in[:i], max(i-1, 0)); end != 0 && n != 0 && end < n {
				t.Fatalf("HeadEnd %d, Parse %d", end, n)
			}
			if m != 0 || got != 0 {
				break
			}
		}
		_ = r.CheckUpgrade()
		for _, err := range r.Params() {
			_ = status(t, err)
		}
		if n != 0 {
			compare(t, &r, in[:n])
		}
	})
}

// compare wants net/http to read the head as we do.
func compare(t *testing.T, r *Request, head []byte) {
	t.Helper()
	for name := range r.Headers() {
		if strings.EqualFold(name, "Trailer") { // even an empty one
			return // checked by net/http against the body's framing
		}
	}
	req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(head)))
	if err != nil {
		t.Fatalf("net/http refuses %q: %v", head, err)
	}
	path := cmp.Or(req.URL.Path, "/") // decoded
	ours := unescape(strings.ReplaceAll(r.Path, "+", "%2B"))
	if req.Method != r.Method || req.RequestURI != r.Target || req.Proto != r.Proto || ours != path || req.URL.RawQuery != r.RawQuery {
		t.Fatalf("%q: net/http reads %s %s %s, path %q, query %q; we %s %s %s, %q, %q", head, req.Method, req.RequestURI, req.Proto, path, req.URL.RawQuery, r.Method, r.Target, r.Proto, ours, r.RawQuery)
	}
	if req.Host != r.Host {
		t.Fatalf("%q: host %q, net/http %q", head, r.Host, req.Host)
	}
	got := http.Header{}
	for name, value := range r.Headers() {
		got.Add(name, value)
	}
	for _, name := range []string{"Host", "Content-Length", "Transfer-Encoding", "Cache-Control"} { // net/http moves or makes these
		got.Del(name)
		req.Header.Del(name)
	}
	if !maps.EqualFunc(got, req.Header, slices.Equal) {
		t.Fatalf("%q: headers %q, net/http %q", head, got, req.Header)
	}
}

// FuzzParams compares with net/url, which differs in one thing: it refuses ";".
func FuzzParams(f *testing.F) {
	f.Add("a=b&c=%20+d")
	f.Add("%=&&==")
	f.Fuzz(func(t *testing.T, query string) {
		compareQuery(t, query)
	})
}

func BenchmarkParse(b *testing.B) {
	buf := []byte(browser)
	var r Request
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Parse(buf, normal); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCheckUpgrade(b *testing.B) {
	var r Request
	if _, err := r.Parse([]byte(browser), normal); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := r.CheckUpgrade(); err != nil {
			b.Fatal(err)
		}
	}
}
