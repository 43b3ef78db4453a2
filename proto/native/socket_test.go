package native_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	gobwas "github.com/gobwas/ws"

	"fanfare/fanout"
	"fanfare/proto"
	"fanfare/proto/auth"
	"fanfare/proto/native"
	"fanfare/proto/prototest"
)

// TestWhoMayPublish: each way to be allowed or not, over HTTP and over a socket.
func TestWhoMayPublish(t *testing.T) {
	t.Parallel()
	plain, keyed := one(t, native.Config{}), one(t, native.Config{Auth: keys(t, "one, two")})
	open := one(t, native.Config{Auth: auth.Policy{Open: true}})
	for _, c := range []struct {
		name, addr, header string
		status             int
	}{
		{"nothing", plain, "", 202},
		{"localhost", plain, "Host: LOCALHOST:1234", 202},
		{"127/8", plain, "Host: 127.9.9.9", 202},
		{"IPv6", plain, "Host: [::1]:80", 202},
		{"foreign host", plain, "Host: evil.example", 403},
		{"looks like localhost", plain, "Host: localhost.evil.example", 403},
		{"looks like 127", plain, "Host: 127.0.0.1.evil.example", 403},
		{"same origin", plain, "Host: localhost:99\r\nOrigin: http://localhost:99", 202},
		{"another port", plain, "Host: localhost:99\r\nOrigin: http://localhost:98", 403},
		{"no origin", plain, "Origin: null", 403},
		{"fetch metadata", plain, "Sec-Fetch-Site: same-origin", 202},
		{"fetch metadata of the user", plain, "Sec-Fetch-Site: none", 202},
		{"same site", plain, "Sec-Fetch-Site: same-site", 403},
		{"cross site", plain, "Sec-Fetch-Site: cross-site", 403},
		{"behind a proxy", plain, "X-Forwarded-For: 203.0.113.7", 403},
		{"behind another proxy", plain, "via: 1.1 proxy", 403},
		{"keyed: nothing", keyed, "", 401},
		{"keyed: wrong", keyed, "Authorization: Bearer onetwo", 401},
		{"keyed: empty", keyed, "Authorization: Bearer ", 401},
		{"keyed: basic", keyed, "Authorization: Basic one", 401},
		{"keyed: right", keyed, "Authorization: Bearer one", 202},
		{"keyed: right, from a page", keyed, "Host: x\r\nauthorization: bearer two\r\nOrigin: http://y\r\nSec-Fetch-Site: cross-site", 202},
		{"open", open, "Host: x\r\nOrigin: http://y", 202},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			header := c.header
			if header != "" {
				header += "\r\n"
			}
			if a := call(t, c.addr, http.MethodPost, "/broadcast?topic=who", header, "x"); a.Status != c.status {
				t.Errorf("HTTP: %d %s", a.Status, a.Body)
			}
			request := prototest.Head(c.addr, "/ws", header)
			if strings.Contains(header, "Host: ") {
				request = strings.Replace(request, "Host: "+c.addr+"\r\n", "", 1)
			}
			conn, err := prototest.Dial(c.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			ws := prototest.Raw(conn)
			if _, err = conn.Write([]byte(request)); err != nil {
				t.Fatal(err)
			}
			if a, err := ws.Answer(); err != nil || a.Status != http.StatusSwitchingProtocols {
				t.Fatal(a, err)
			}
			say(t, ws, `{"publish":{"topic":"who-socket","data":1}}`)
			got, err := ws.Text()
			expect := map[int]string{202: `< {"published":`, 401: `< {"error":{"code":"unauthorized"`, 403: `< {"error":{"code":"forbidden"`}[c.status]
			if err != nil || !strings.HasPrefix(got, expect) {
				t.Errorf("socket: %s %v", got, err)
			}
			if c.status == 403 && !strings.Contains(got, "FANFARE_PUBLISH_KEY") {
				t.Errorf("the setting is not named: %s", got)
			}
			say(t, ws, `{"subscribe":["who"]}`) // needs nothing
			want(t, ws, `< {"subscribed":["who"]}`)
		})
	}
}

// TestListeners: those that share a namespace share topics; unix sockets and IPv6 work and are local.
func TestListeners(t *testing.T) {
	unix := filepath.Join(t.TempDir(), "s")
	addrs, _ := server(t, native.Config{}, fanout.Config{},
		"127.0.0.1:0", "native=[::1]:0", "127.0.0.1:0,namespace=other", "unix:"+unix+",namespace=default")
	conns := make([]*prototest.Client, 0, len(addrs))
	for _, a := range addrs {
		conns = append(conns, dial(t, a, "/ws?topic=shared"))
	}
	for i, a := range addrs {
		receivers := 3
		if i == 2 {
			receivers = 1
		}
		got := call(t, a, http.MethodPost, "/broadcast?topic=shared", "", strconv.Itoa(i))
		if got.Status != 202 || !strings.Contains(got.Body, fmt.Sprintf(`"receivers":%d}`, receivers)) {
			t.Fatal(i, got.Status, got.Body)
		}
	}
	for i, c := range conns {
		texts := []string{"0", "1", "3"}
		if i == 2 {
			texts = []string{"2"}
		}
		for _, text := range texts {
			want(t, c, "< "+text)
		}
	}
}

func names(from, to int) string {
	list := make([]string, 0, to-from)
	for i := from; i < to; i++ {
		list = append(list, fmt.Sprintf(`"t%d"`, i))
	}
	return "[" + strings.Join(list, ",") + "]"
}

// TestSubscriptions: at most 256, all of a command or none of it, by the upgrade as well.
func TestSubscriptions(t *testing.T) {
	addr := one(t, native.Config{})
	c := dial(t, addr, "/ws?topic=t0&topic=t0")
	say(t, c, `{"subscribe":`+names(1, 256)+`}`)
	want(t, c, `< {"subscribed":`+names(1, 256)+`}`)
	const tooMany = `< {"error":{"code":"too_many_subscriptions","message":"a connection has at most 256 subscriptions","field":"topic"}}`
	say(t, c, `{"subscribe":["t1","t256","t2"]}`)
	want(t, c, tooMany)
	say(t, c, `{"unsubscribe":["t255"]}`)
	want(t, c, `< {"unsubscribed":["t255"]}`)
	say(t, c, `{"subscribe":["t1","t300","t301","t2"]}`)
	want(t, c, tooMany)
	for topic, receivers := range map[string]int{"t0": 1, "t1": 1, "t2": 1, "t254": 1, "t255": 0, "t256": 0, "t300": 0, "t301": 0} {
		a := call(t, addr, http.MethodPost, "/broadcast?topic="+topic, "", "")
		if !strings.Contains(a.Body, fmt.Sprintf(`"receivers":%d}`, receivers)) {
			t.Error(topic, a.Body)
		}
	}
	topics := make([]string, 257)
	for i := range topics {
		topics[i] = fmt.Sprintf("topic=u%d", i)
	}
	query := strings.Join(topics, "&")
	_, refused, err := prototest.Open(addr, "/ws?"+query, "")
	if err != nil || refused == nil || refused.Status != 400 || !strings.Contains(refused.Body, "too_many_subscriptions") {
		t.Fatal(refused, err)
	}
	if a := call(t, addr, http.MethodPost, "/broadcast?topic=u0", "", ""); !strings.Contains(a.Body, `"receivers":0}`) {
		t.Error(a.Body)
	}
	_ = dial(t, addr, "/ws?"+strings.TrimSuffix(query, "&topic=u256"))
}

// TestReplyFirst: under load, the answer to subscribe comes before the first event, and then every event comes once.
func TestReplyFirst(t *testing.T) {
	addr := one(t, native.Config{Rate: -1})
	stop := make(chan struct{})
	var publisher sync.WaitGroup
	publisher.Go(func() {
		c := dial(t, addr, "/ws")
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			_ = c.Say(fmt.Sprintf(`{"publish":{"topic":"first","data":%d}}`, i))
			if _, err := c.Text(); err != nil {
				t.Error(err)
				return
			}
		}
	})
	defer publisher.Wait()
	defer close(stop)
	for range 30 {
		c := dial(t, addr, "/ws")
		say(t, c, `{"subscribe":["first"]}`)
		want(t, c, `< {"subscribed":["first"]}`)
		last := -1
		for range 20 {
			got, err := c.Text()
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			if _, err := fmt.Sscanf(got, "< %d", &n); err != nil || last >= 0 && n != last+1 {
				t.Fatal(got, last)
			}
			last = n
		}
		_ = c.Close()
	}
}

// TestKeepAlive: who answers pings stays, who does not ends.
func TestKeepAlive(t *testing.T) {
	t.Parallel()
	addr := one(t, native.Config{Ping: 3 * time.Second, Grace: 2500 * time.Millisecond}) // the grace leaves room for a busy machine
	awake, asleep := dial(t, addr, "/ws"), dial(t, addr, "/ws")
	for pings := 0; pings < 2; {
		op, p, err := awake.Next()
		if err != nil || op != gobwas.OpPing {
			t.Fatal(op, err)
		}
		pings++
		if err := awake.Send(gobwas.OpPong, p); err != nil {
			t.Fatal(err)
		}
	}
	if op, _, err := asleep.Next(); err != nil || op != gobwas.OpPing {
		t.Fatal(op, err)
	}
	if op, _, err := asleep.Next(); err == nil {
		t.Fatal("still there", op)
	}
	say(t, awake, `{"subscribe":[]}`)
	want(t, awake, `< {"subscribed":[]}`)
}

// TestCloses: a stream that is broken is closed with the right code, and a text that begins with what log and metrics call it.
func TestCloses(t *testing.T) {
	t.Parallel()
	addr := one(t, native.Config{})
	for _, c := range []struct {
		name  string
		bytes []byte
		code  gobwas.StatusCode
		text  string
	}{
		{"not masked", []byte{0x81, 1, 'x'}, 1002, proto.CodeProtocol},
		{"reserved bit", []byte{0xc1, 0x80, 0, 0, 0, 0}, 1002, proto.CodeProtocol},
		{"not UTF-8", prototest.Frame(gobwas.OpText, []byte{0xff}), 1007, proto.CodeNotText},
		{"too big", prototest.Frame(gobwas.OpText, make([]byte, 64<<10+1)), 1009, proto.CodeTooLarge},
		{"too many frames", []byte("\x01\x80\x00\x00\x00\x00" + strings.Repeat("\x00\x80\x00\x00\x00\x00", 1024)), 1008, proto.CodePolicy},
		{"64-bit length", []byte{0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}, 1002, proto.CodeProtocol},
		{"goodbye", prototest.Frame(gobwas.OpClose, []byte{3, 0xe8}), 1000, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ws := dial(t, addr, "/ws?topic=closes")
			if _, err := ws.Write(c.bytes); err != nil {
				t.Fatal(err)
			}
			op, p, err := ws.Next()
			code, text := gobwas.ParseCloseFrameData(p)
			if word, more, _ := strings.Cut(text, ": "); err != nil || op != gobwas.OpClose || code != c.code || word != c.text || (word == "") != (more == "") {
				t.Error(op, code, text, err)
			}
			if c.text != "" {
				line := `fanfare_messages_refused_total{reason="` + c.text + `"}`
				if a := call(t, addr, http.MethodGet, "/metrics", "", ""); !strings.Contains(a.Body, line) {
					t.Error("no", line)
				}
			}
		})
	}
}

// TestBytesAfterHead: messages sent together with the head are read.
func TestBytesAfterHead(t *testing.T) {
	addr := one(t, native.Config{})
	conn, err := prototest.Dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	text := append([]byte(prototest.Head(addr, "/ws", "")), prototest.Frame(gobwas.OpText, []byte(`{"subscribe":["a"]}`))...)
	if _, err := conn.Write(text); err != nil {
		t.Fatal(err)
	}
	c := prototest.Raw(conn)
	if a, err := c.Answer(); err != nil || a.Status != http.StatusSwitchingProtocols {
		t.Fatal(a, err)
	}
	want(t, c, `< {"subscribed":["a"]}`)
}

// TestPayloadLimit: data of 64 KiB may be published, one byte more may not; the message that carries it may be no larger either.
func TestPayloadLimit(t *testing.T) {
	addr := one(t, native.Config{MaxPayload: 100})
	c := dial(t, addr, "/ws?topic=limit")
	fits := `"` + strings.Repeat("x", 98) + `"`
	say(t, c, `{"publish":{"topic":"limit","data":`+fits+`}}`)
	if got, err := c.Text(); err != nil || !strings.HasPrefix(got, `< {"published"`) {
		t.Fatal(got, err)
	}
	want(t, c, "< "+fits)
	say(t, c, `{"publish":{"topic":"limit","data":"x`+fits[1:]+`}}`)
	want(t, c, `< {"error":{"code":"payload_too_large","message":"a payload has at most 100 bytes","field":"publish.data"}}`)
	if a := call(t, addr, http.MethodPost, "/broadcast?topic=limit", "", fits); a.Status != 202 {
		t.Error(a)
	}
	if a := call(t, addr, http.MethodPost, "/broadcast?topic=limit", "", fits+"x"); a.Status != 413 {
		t.Error(a)
	}
}
