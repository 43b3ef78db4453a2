package ws

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
)

const (
	sampleKey    = "dGhlIHNhbXBsZSBub25jZQ==" // RFC 6455, section 1.3
	sampleAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
)

func head(lines ...string) []byte {
	return []byte("GET /chat HTTP/1.1\r\nHost: server.example.com\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n")
}

func TestAppendUpgrade(t *testing.T) {
	long := "Cookie: " + strings.Repeat("c", 6000)
	for name, tt := range map[string]struct {
		head     []byte
		protocol string
	}{
		"RFC":         {head: head("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: "+sampleKey, "Sec-WebSocket-Version: 13")},
		"lists":       {head: head("upgrade: h2c, WebSocket", "connection: keep-alive", "connection: upgrade", "sec-websocket-key:"+sampleKey+" \t", "sec-websocket-version: 13")},
		"protocol":    {head: head(long, "Sec-WebSocket-Protocol: a, b", "Sec-WebSocket-Extensions: permessage-deflate", "SEC-WEBSOCKET-KEY:\t"+sampleKey), protocol: "b"},
		"key in path": {head: []byte("GET /sec-websocket-key:x HTTP/1.1\r\nX-Sec-WebSocket-Key: y\r\nSec-WebSocket-Key: " + sampleKey + "\r\n\r\n")},
	} {
		t.Run(name, func(t *testing.T) {
			before := bytes.Clone(tt.head)
			got, err := AppendUpgrade([]byte("before"), tt.head, tt.protocol)
			if err != nil || !bytes.HasPrefix(got, []byte("before")) || !bytes.Equal(before, tt.head) {
				t.Fatalf("%q %v", got, err)
			}
			res, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(got[6:])), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = res.Body.Close() }()
			want := http.Header{"Upgrade": {"websocket"}, "Connection": {"Upgrade"}, "Sec-Websocket-Accept": {sampleAccept}}
			if tt.protocol != "" {
				want["Sec-Websocket-Protocol"] = []string{tt.protocol}
			}
			if res.StatusCode != http.StatusSwitchingProtocols || len(res.Header) != len(want) {
				t.Errorf("%d %v", res.StatusCode, res.Header)
			}
			for k := range want {
				if res.Header.Get(k) != want.Get(k) {
					t.Errorf("%s: %q", k, res.Header.Get(k))
				}
			}
		})
	}
}

func TestAppendUpgradeErrors(t *testing.T) {
	key := "Sec-WebSocket-Key: " + sampleKey
	for name, tt := range map[string]struct {
		head     []byte
		protocol string
	}{
		"no key":        {head: head("Upgrade: websocket")},
		"empty":         {},
		"short key":     {head: head("Sec-WebSocket-Key: abc")},
		"two keys":      {head: head(key, key)},
		"line break":    {head: head(key), protocol: "a\r\nSet-Cookie: x"},
		"two protocols": {head: head(key), protocol: "a, b"},
	} {
		if got, err := AppendUpgrade([]byte("before"), tt.head, tt.protocol); err == nil || string(got) != "before" {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// Keys and protocols of one client are not in the answer to another, nor in what is kept between them.
func TestUpgradeCanary(t *testing.T) {
	for i := range 100 {
		raw := bytes.Repeat([]byte{byte(i)}, 16)
		key := base64.StdEncoding.EncodeToString(raw)
		protocol := ""
		if i%2 == 0 {
			protocol = strings.Repeat("p", i+1)
		}
		got, err := AppendUpgrade(nil, head("Sec-WebSocket-Key: "+key), protocol)
		sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
		want := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + base64.StdEncoding.EncodeToString(sum[:]) + "\r\n"
		if protocol != "" {
			want += "Sec-WebSocket-Protocol: " + protocol + "\r\n"
		}
		if err != nil || string(got) != want+"\r\n" {
			t.Fatalf("got %q, want %q", got, want)
		}
		u, ok := upgrades.Get().(*upgrade)
		if !ok || u.answer != nil || u.protocol != "" || len(bytes.Trim(u.request[:cap(u.request)], "\x00")) != 0 {
			t.Fatalf("kept: %+v", u)
		}
		upgrades.Put(u)
	}
}

func TestUpgradeGarbage(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector empties pools")
	}
	r := testing.Benchmark(BenchmarkAppendUpgrade)
	if n := r.AllocedBytesPerOp(); n > 120 {
		t.Errorf("%d bytes of garbage for an upgrade", n)
	}
}

func BenchmarkAppendUpgrade(b *testing.B) {
	h := head("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: "+sampleKey, "Sec-WebSocket-Version: 13",
		"User-Agent: Mozilla/5.0", "Origin: http://example.com", "Cookie: "+strings.Repeat("c", 200))
	dst := make([]byte, 0, 512)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := AppendUpgrade(dst, h, "p1"); err != nil {
			b.Fatal(err)
		}
	}
}
