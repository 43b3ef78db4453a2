package loop

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"fanfare/loop/http1"
	"fanfare/loop/ws"
)

// TestHeadByteByByte: a head may come in any pieces.
func TestHeadByteByByte(t *testing.T) {
	s := start(t, &fake{}, Config{})
	cl := dial(t, s.addr)
	for _, b := range []byte(upgradeOf("/slowly")) {
		cl.put([]byte{b})
	}
	cl.upgraded()
	cl.say("hello")
	cl.expect(ws.OpText, "hello")
	c := s.conn(s.ref("/slowly"))
	if ask(t, s.loop(), func() bool { return c.ext != nil }) {
		t.Error("the head is still kept")
	}
}

// TestFramesWithTheHead: what comes in the packet of the head is read.
func TestFramesWithTheHead(t *testing.T) {
	s := start(t, &fake{}, Config{})
	cl := dial(t, s.addr)
	half := masked(ws.OpText, "two")
	cl.put([]byte(upgradeOf("/")), masked(ws.OpText, "one"), half[:4])
	cl.upgraded()
	cl.expect(ws.OpText, "one")
	cl.put(half[4:])
	cl.expect(ws.OpText, "two")
}

// TestBadHeads: each is answered through Failed, without a Head before it.
func TestBadHeads(t *testing.T) {
	good := upgradeOf("/")
	change := func(from, to string) string { return strings.Replace(good, from, to, 1) }
	for name, x := range map[string]struct {
		head   string
		status int
	}{
		"no HTTP":          {"\x16\x03\x01\x02\x00", 400},
		"no colon":         {change("Host: x", "Host x"), 400},
		"no host":          {change("Host: x\r\n", ""), 400},
		"no key":           {change("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""), 400},
		"bad key":          {change("dGhl", "d.hl"), 400},
		"POST":             {change("GET", "POST"), 405},
		"HTTP/2.0":         {change("HTTP/1.1", "HTTP/2.0"), 505},
		"other version":    {change("Version: 13", "Version: 8"), 426},
		"too long":         {change("Host: x", "Host: x\r\nX: "+strings.Repeat("y", 9000)), 431},
		"too long, no end": {strings.Repeat("G", 8<<10), 431},
		"too many headers": {change("Host: x", "Host: x"+strings.Repeat("\r\nX: y", 100)), 431},
	} {
		t.Run(name, func(t *testing.T) {
			var ref Ref
			s := start(t, &fake{failed: func(c *Conn, err error) {
				ref = c.ref
				e, ok := errors.AsType[*http1.Error](err)
				if !ok || c.Upgraded() || c.Open() {
					t.Errorf("error %v, upgraded %t, open %t", err, c.Upgraded(), c.Open())
					return
				}
				c.Refuse(e.Status, e.Header, "text/plain", []byte(e.Field))
				c.Refuse(200, "", "", nil) // does nothing
			}}, Config{})
			cl := dial(t, s.addr)
			cl.put([]byte(x.head))
			if body := cl.refused(x.status); body == "" {
				t.Error("no field named")
			}
			eventually(t, "the end", func() bool { return s.Stats().Closed[ByServer] == 1 })
			if l := s.of(ref); l.heads != 0 || len(l.errs) != 1 || len(l.ends) != 1 || l.ends[0] != ByServer {
				t.Errorf("%+v", l)
			}
		})
	}
}

// TestHeadersThatMeanSomething: an answer to a client of another version names ours.
func TestHeadersThatMeanSomething(t *testing.T) {
	s := start(t, &fake{}, Config{})
	cl := dial(t, s.addr)
	cl.put([]byte(strings.Replace(upgradeOf("/"), "Version: 13", "Version: 7", 1)))
	r := cl.answer()
	if r.status != http.StatusUpgradeRequired || r.header.Get("Sec-WebSocket-Version") != "13" || !r.last {
		t.Errorf("%+v", r)
	}
}

// TestUnansweredError: when Failed does not answer, the loop does.
func TestUnansweredError(t *testing.T) {
	s := start(t, &fake{failed: func(*Conn, error) {}}, Config{})
	cl := dial(t, s.addr)
	cl.put([]byte("bad\r\n\r\n"))
	cl.refused(http.StatusInternalServerError)
	eventually(t, "the end", func() bool { return s.Stats().Closed[BadInput] == 1 })
}

// TestRefuse: by the verdict and by the method.
func TestRefuse(t *testing.T) {
	no := &http1.Error{Status: http.StatusForbidden, Field: "origin", Text: "no"}
	s := start(t, &fake{head: func(c *Conn, r *http1.Request) Verdict {
		if r.Path == "/verdict" {
			return Verdict{Do: Refuse, Err: no}
		}
		c.Refuse(http.StatusNotFound, "X-A: b\r\n", "text/plain", []byte("nothing here"))
		return Verdict{Do: Upgrade}
	}}, Config{})
	cl := dial(t, s.addr)
	cl.request("/verdict")
	if body := cl.refused(http.StatusForbidden); body != "origin" {
		t.Errorf("body %q", body)
	}
	s.ended(s.ref("/verdict"), ByServer)
	if l := s.of(s.ref("/verdict")); len(l.errs) != 1 || !errors.Is(l.errs[0], no) {
		t.Errorf("errors %v", l.errs)
	}
	cl = dial(t, s.addr)
	cl.request("/method")
	cl.put(masked(ws.OpText, "thrown away"))
	if body := cl.refused(http.StatusNotFound); body != "nothing here" {
		t.Errorf("body %q", body)
	}
	s.ended(s.ref("/method"), ByServer)
	if l := s.of(s.ref("/method")); len(l.errs) != 0 || l.messages != 0 {
		t.Errorf("%+v", l)
	}
}

// TestBadProtocol: a subprotocol that cannot be written is an error of the handler, told in HTTP.
func TestBadProtocol(t *testing.T) {
	s := start(t, &fake{head: func(*Conn, *http1.Request) Verdict { return Verdict{Do: Upgrade, Protocol: "a b\r\nX: y"} }}, Config{})
	cl := dial(t, s.addr)
	cl.request("/")
	cl.refused(http.StatusBadRequest)
}

// TestWait: the decision may come later; what the client sends meanwhile is kept, in order.
func TestWait(t *testing.T) {
	s := start(t, &fake{head: func(c *Conn, _ *http1.Request) Verdict {
		c.Accept("", nil) // too early: does nothing
		return Verdict{Do: Wait}
	}}, Config{})
	cl := dial(t, s.addr)
	cl.put([]byte(upgradeOf("/w")), masked(ws.OpText, "with the head"))
	eventually(t, "a head", func() bool { return s.ref("/w") != 0 })
	c := s.conn(s.ref("/w"))
	cl.say("meanwhile")
	kept := len(upgradeOf("/w")) + len(masked(ws.OpText, "with the head")) + len(masked(ws.OpText, "meanwhile"))
	eventually(t, "the second message", func() bool { return ask(t, s.loop(), func() bool { return len(c.ext.part) == kept }) })
	if n := s.of(s.ref("/w")).messages; n != 0 {
		t.Errorf("%d messages before the decision", n)
	}
	s.send(s.ref("/w"), Disconnect, false, text("to one who waits"))
	s.Post(s.ref("/w"), func(c *Conn) {
		c.Reply(text("too early"))
		c.Close(4000, "")
		c.Accept("chat", text("hello"))
		c.Accept("chat", text("twice"))
		c.Refuse(400, "", "", nil)
	})
	if r := cl.answer(); r.status != http.StatusSwitchingProtocols || r.header.Get("Sec-WebSocket-Protocol") != "chat" {
		t.Fatalf("%+v", r)
	}
	cl.expect(ws.OpText, "hello")
	cl.expect(ws.OpText, "with the head")
	cl.expect(ws.OpText, "meanwhile")
	if ask(t, s.loop(), func() bool { return c.ext != nil }) {
		t.Error("the head is still kept")
	}
}

// TestWaitAndRefuse: the decision may be no.
func TestWaitAndRefuse(t *testing.T) {
	s := start(t, &fake{head: func(*Conn, *http1.Request) Verdict { return Verdict{Do: Wait} }}, Config{})
	cl := dial(t, s.addr)
	cl.request("/w")
	eventually(t, "a head", func() bool { return s.ref("/w") != 0 })
	s.Post(s.ref("/w"), func(c *Conn) {
		c.Refuse(http.StatusUnauthorized, "", "", nil)
		c.Accept("", nil)
	})
	cl.refused(http.StatusUnauthorized)
	s.ended(s.ref("/w"), ByServer)
}

// TestWaitAndLeave: the client may go, or talk too much, before the decision comes.
func TestWaitAndLeave(t *testing.T) {
	s := start(t, &fake{head: func(*Conn, *http1.Request) Verdict { return Verdict{Do: Wait} }}, Config{})
	for i, want := range []Reason{ByClient, BadInput} {
		cl := dial(t, s.addr)
		path := fmt.Sprintf("/%d", i)
		cl.request(path)
		eventually(t, "a head", func() bool { return s.ref(path) != 0 })
		if want == ByClient {
			_ = cl.Close()
		} else {
			cl.put(make([]byte, s.loop().lim.Request.Head+bufferSize))
		}
		s.ended(s.ref(path), want)
		s.Post(s.ref(path), func(*Conn) { t.Error("posted to one who has gone") })
	}
	on(t, s.loop(), func() {})
}

// TestConnTells what the handler may ask a connection.
func TestConnTells(t *testing.T) {
	s := start(t, &fake{head: func(c *Conn, _ *http1.Request) Verdict {
		if !c.Local() || !c.Remote().Addr().IsLoopback() || c.Listener() != 0 || c.State() != nil || *c.Word() != 0 || c.Upgraded() {
			t.Errorf("local %t, remote %s, listener %d, state %v, word %d", c.Local(), c.Remote(), c.Listener(), c.State(), *c.Word())
		}
		if c.Loop() != c.loop || c.Loop().ID() != c.Ref().Loop() {
			t.Error("a wrong loop")
		}
		*c.Word() = 77
		c.SetState("an object")
		return Verdict{Do: Upgrade}
	}}, Config{Loops: 2})
	for range 8 {
		cl, ref := s.join()
		s.Post(ref, func(c *Conn) {
			if c.Ref() != ref || *c.Word() != 77 || c.State() != "an object" || !c.Upgraded() || !c.Open() {
				t.Error("something was forgotten")
			}
			c.SetState(nil)
			if c.ext != nil {
				t.Error("ext stays without an object")
			}
			c.Reply(text("done"))
		})
		cl.expect(ws.OpText, "done")
	}
}
