package http1

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// browser is what a browser sends to open a WebSocket, with the key of RFC 6455, section 1.3.
const browser = "GET /ws?token=abc HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\nPragma: no-cache\r\nCache-Control: no-cache\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36\r\n" +
	"Upgrade: websocket\r\nOrigin: https://example.com\r\nSec-WebSocket-Version: 13\r\nAccept-Encoding: gzip, deflate, br\r\n" +
	"Accept-Language: en\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"

// handshake returns the lines of a valid opening handshake, changed: a value of "-" leaves the line out, any other replaces
// it; further lines are added.
func handshake(change map[string]string, more ...string) string {
	l := []string{"GET / HTTP/1.1"}
	for _, h := range [][2]string{
		{"Host", "h"}, {"Upgrade", "websocket"}, {"Connection", "Upgrade"}, {"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}, {"Sec-WebSocket-Version", "13"},
	} {
		if v, ok := change[h[0]]; ok {
			h[1] = v
		}
		if h[1] != "-" {
			l = append(l, h[0]+": "+h[1])
		}
	}
	if v, ok := change["line"]; ok {
		l[0] = v
	}
	return lines(append(l, more...)...)
}

func TestCheckUpgrade(t *testing.T) {
	type m = map[string]string
	const protocol, extension = "Sec-WebSocket-Protocol: ", "Sec-WebSocket-Extensions: "
	for in, want := range map[string]int{
		browser:                                0,
		handshake(nil):                         0,
		handshake(m{"line": "GET / HTTP/1.3"}): 0,
		handshake(m{"Upgrade": "h2c, WebSocket"}):                       0,
		handshake(m{"Connection": "keep-alive"}, "connection: UPGRADE"): 0,
		handshake(nil, "Content-Length: 0"):                             0,
		handshake(nil, "Content-Length: 00"):                            0,
		handshake(m{"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}):   0,
		handshake(m{"Sec-WebSocket-Key": "zzzzzzzzzzzzzzzzzzzz+/=="}):   0,

		handshake(m{"line": "POST / HTTP/1.1"}):        405,
		handshake(m{"line": "HEAD / HTTP/1.1"}):        405,
		handshake(m{"line": "GET / HTTP/1.0"}):         400,
		handshake(m{"Host": ""}):                       400,
		handshake(m{"Upgrade": "-"}):                   400,
		handshake(m{"Upgrade": "h2c"}):                 400,
		handshake(m{"Upgrade": "websocket2"}):          400,
		handshake(m{"Connection": "-"}):                400,
		handshake(m{"Connection": "close"}):            400,
		handshake(m{"Sec-WebSocket-Version": "-"}):     426,
		handshake(m{"Sec-WebSocket-Version": ""}):      426,
		handshake(m{"Sec-WebSocket-Version": "8"}):     426,
		handshake(m{"Sec-WebSocket-Version": "013"}):   426,
		handshake(m{"Sec-WebSocket-Version": "13, 8"}): 426,
		handshake(nil, "Content-Length: 1"):            400,
		handshake(nil, "Transfer-Encoding: chunked"):   400,

		// keys that are not 16 bytes in base64
		handshake(m{"Sec-WebSocket-Key": "-"}):                            400,
		handshake(m{"Sec-WebSocket-Key": ""}):                             400,
		handshake(m{"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ="}):      400,
		handshake(m{"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ"}):       400,
		handshake(m{"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZXhh"}):     400, // 18 bytes
		handshake(m{"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZXg="}):     400, // 17 bytes
		handshake(m{"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZ==="}):     400,
		handshake(m{"Sec-WebSocket-Key": "dGhl_HNhbXBsZSBub25jZQ=="}):     400,
		handshake(m{"Sec-WebSocket-Key": "dGhl=HNhbXBsZSBub25jZQ=="}):     400,
		handshake(m{"Sec-WebSocket-Key": "dGhl HNhbXBsZSBub25jZQ=="}):     400,
		handshake(m{"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZXhhYQ=="}): 400,

		handshake(nil, protocol+"a"):                        0,
		handshake(nil, protocol+"a, b.c ,,d", protocol+"e"): 0,
		handshake(nil, protocol):                            0,
		handshake(nil, protocol+"a b"):                      400,
		handshake(nil, protocol+"a/b"):                      400,
		handshake(nil, protocol+`"a"`):                      400,
		handshake(nil, extension):                           0,
		handshake(nil, extension+"a"):                       0,
		handshake(nil, extension+", a ,, b;c ; d = e,"):     0,
		handshake(nil, extension+`a; b="c"; d="\e\f", g`):   0,
		handshake(nil, extension+"a", extension+"b"):        0,
		handshake(nil, extension+"a b"):                     400,
		handshake(nil, extension+"a;"):                      400,
		handshake(nil, extension+"; a"):                     400,
		handshake(nil, extension+"a;=b"):                    400,
		handshake(nil, extension+"a;b="):                    400,
		handshake(nil, extension+"a=b"):                     400,
		handshake(nil, extension+`a;b="`):                   400,
		handshake(nil, extension+`a;b=""`):                  400,
		handshake(nil, extension+`a;b="c`):                  400,
		handshake(nil, extension+`a;b="c\`):                 400,
		handshake(nil, extension+`a;b="c\"`):                400,
		handshake(nil, extension+`a;b="c d"`):               400,
		handshake(nil, extension+`a;b="c"d`):                400,
	} {
		var r Request
		if _, err := r.Parse([]byte(in), normal); err != nil {
			t.Fatalf("%q: %v", in, err)
		}
		if got := status(t, r.CheckUpgrade()); got != want {
			t.Errorf("%q: %v, want %d", in, r.CheckUpgrade(), want)
		}
	}
}

func TestWantsUpgrade(t *testing.T) {
	for in, want := range map[string]bool{
		browser: true, get(): false, get("Upgrade: h2c"): false, get("Upgrade: h2c, WEBSOCKET"): true, get("Upgrade:"): false,
		get("Upgrade: h2c", "Upgrade: websocket"): true,
	} {
		var r Request
		if _, err := r.Parse([]byte(in), normal); err != nil || r.WantsUpgrade() != want {
			t.Errorf("%q: %v %v", in, !want, err)
		}
	}
}

// The answer to a refused upgrade is one that an HTTP client understands.
func TestUpgradeRequired(t *testing.T) {
	var r Request
	if _, err := r.Parse([]byte(handshake(map[string]string{"Sec-WebSocket-Version": "7"})), normal); err != nil {
		t.Fatal(err)
	}
	var e *Error
	if !errors.As(r.CheckUpgrade(), &e) {
		t.Fatal("accepted")
	}
	out := AppendResponse([]byte("before"), e.Status, e.Header, "text/plain", []byte(e.Text))
	res, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(out[6:])), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err != nil || string(body) != e.Text || res.Status != "426 Upgrade Required" || !res.Close ||
		res.Header.Get("Sec-WebSocket-Version") != "13" || res.Header.Get("Upgrade") != "websocket" || res.Header.Get("Content-Type") != "text/plain" {
		t.Errorf("%q", out)
	}
	if !strings.Contains(e.Error(), "426 Sec-WebSocket-Version") {
		t.Error(e)
	}
}

func TestAppendResponse(t *testing.T) {
	for status, want := range map[int]string{
		200: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi",
		204: "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n",
		304: "HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n",
		599: "HTTP/1.1 599 \r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi",
	} {
		if got := string(AppendResponse(nil, status, "", "", []byte("hi"))); got != want {
			t.Errorf("%d: %q", status, got)
		}
	}
}

// CVE-2021-32640 and CVE-2020-7663: values that make a reader go back and forth. The time for 64 times the input is compared
// with the time for the input: 64 if linear, 4,096 if quadratic; the limit is their geometric mean.
func TestLinear(t *testing.T) {
	if testing.Short() {
		t.Skip("measures")
	}
	const small, factor = 1 << 10, 64
	for _, name := range []string{"Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions", "Upgrade", "Connection", "X"} {
		for _, v := range [][2]string{
			{"", " "},
			{"", ","},
			{"", ", "},
			{"a", " "},
			{`a;b="`, `\a`},
			{`a;b="`, `\\`},
			{`a;b="`, "a"},
			{`a;b="`, `"`},
			{"a", ";b"},
			{"a", ";b=c"},
			{"a", `,b;c="d`},
			{"a", " ;\t"},
			{"", "a"},
			{"", "a,"},
			{"a;b", "="},
			{`a;b="\`, `"`},
		} {
			work := func(size int) time.Duration {
				in := []byte(handshake(nil, name+": "+v[0]+strings.Repeat(v[1], size/len(v[1]))+"x"))
				lim := Limits{Head: len(in), Headers: 100}
				var r Request
				best := time.Duration(1 << 62)
				for range 5 {
					start := time.Now()
					if _, err := r.Parse(in, lim); err != nil {
						t.Fatal(err)
					}
					_ = r.CheckUpgrade()
					_ = r.HasToken(name, "none")
					best = min(best, time.Since(start))
				}
				return best
			}
			if a, b := max(work(small), time.Microsecond), work(small*factor); b > a*factor*8 {
				t.Errorf("%s: %q and many %q: %v for %d bytes, %v for %d", name, v[0], v[1], a, small, b, small*factor)
			}
		}
	}
	for name, work := range map[string]func(in string){
		"query": func(in string) {
			for _, err := range Params(in) {
				_ = err
			}
		},
		"single bytes": func(in string) {
			buf := []byte(in)
			for i := range buf {
				HeadEnd(buf[:i+1], i)
			}
		},
	} {
		a, b := measure(work, small), measure(work, small*factor)
		if b > max(a, time.Microsecond)*factor*8 {
			t.Errorf("%s: %v for %d bytes, %v for %d", name, a, small, b, small*factor)
		}
	}
}

func measure(work func(in string), size int) time.Duration {
	in := strings.Repeat("&a=%41+", size/7)
	best := time.Duration(1 << 62)
	for range 5 {
		start := time.Now()
		work(in)
		best = min(best, time.Since(start))
	}
	return best
}

func compareQuery(t *testing.T, query string) {
	t.Helper()
	want, wantErr := url.ParseQuery(query)
	got := url.Values{}
	var gotErr error
	for p, err := range Params(query) {
		if gotErr = err; err == nil {
			got.Add(p.Name, p.Value)
		}
	}
	if strings.Contains(query, ";") {
		return
	}
	if (gotErr == nil) != (wantErr == nil) {
		t.Fatalf("%q: %v, net/url %v", query, gotErr, wantErr)
	}
	if gotErr == nil && len(got) != len(want) {
		t.Fatalf("%q: %q, net/url %q", query, got, want)
	}
	for name := range got {
		if gotErr == nil && !slices.Equal(got[name], want[name]) {
			t.Fatalf("%q: %q, net/url %q", query, got, want)
		}
	}
}
