package loop

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"fanfare/loop/http1"
	"fanfare/loop/ws"
)

// TestClientCloses: its code comes back, then the end, without a word of ours between.
func TestClientCloses(t *testing.T) {
	for _, code := range []uint16{0, 1000, 1001, 3000, 4999} {
		t.Run(strconv.Itoa(int(code)), func(t *testing.T) {
			s := start(t, &fake{}, Config{})
			cl, ref := s.join()
			frame, want := maskedClose(code, "reasons are not echoed"), code
			if code == 0 {
				frame, want = masked(ws.OpClose, ""), 1005
			}
			cl.put(masked(ws.OpText, "last words"), frame, masked(ws.OpText, "junk"), []byte("\xff\xff\xff"))
			cl.expect(ws.OpText, "last words")
			cl.expectClose(want)
			cl.ends()
			s.ended(ref, ByClient)
			if n := s.of(ref).messages; n != 1 {
				t.Errorf("%d messages, one came before the close frame", n)
			}
		})
	}
}

// TestWeClose: the close frame leaves behind what waits; the client's answer ends it; what comes before that answer is no
// message any more, but the stream is still read as frames.
func TestWeClose(t *testing.T) {
	s := start(t, &fake{}, Config{})
	cl, ref := s.join()
	l := s.loop()
	on(t, l, func() {
		l.Send(uint64(ref), 1, Disconnect, true, [][]byte{text("waits")})
		l.slab.find(ref).Close(4002, "enough")
	})
	cl.expect(ws.OpText, "waits")
	op, p, err := cl.hear()
	if code, reason := ws.ParseClose(p); op != ws.OpClose || code != 4002 || reason != "enough" || err != nil {
		t.Fatalf("%x %d %q %v", op, code, reason, err)
	}
	cl.put(masked(ws.OpText, "too late"), masked(ws.OpPing, "too late"))
	if len(s.of(ref).ends) > 0 {
		t.Error("ended before the client's close frame")
	}
	cl.put(maskedClose(4002, ""))
	cl.ends()
	s.ended(ref, ByServer)
	if n := s.of(ref).messages; n != 0 {
		t.Errorf("%d messages after our close frame", n)
	}
}

// TestWeCloseAndNobodyAnswers: by the deadline it is over, whether the client is silent, still talks, or keeps its side open.
func TestWeCloseAndNobodyAnswers(t *testing.T) {
	s := start(t, &fake{}, Config{Limits: Limits{Close: time.Hour}})
	refs := make([]Ref, 0, 4)
	for i := range 4 {
		cl, ref := s.join()
		s.Post(ref, func(c *Conn) { c.Close(0, "") })
		cl.expectClose(1005)
		switch i {
		case 1:
			cl.say("still talking")
		case 2:
			cl.put(masked(ws.OpClose, "")) // and no FIN
		case 3:
			cl.put([]byte("\x81\x01a"))
		}
		refs = append(refs, ref)
	}
	advance(t, s.Group, time.Hour-time.Minute)
	for i, ref := range refs {
		if n := len(s.of(ref).ends); n != 0 {
			t.Errorf("client %d: ended before its time", i)
		}
	}
	advance(t, s.Group, 2*time.Minute)
	for _, ref := range refs {
		s.ended(ref, ByServer)
	}
}

// TestBrokenStreams: each way to break RFC 6455 or a limit has its code, goes through Failed once, and ends the connection.
func TestBrokenStreams(t *testing.T) {
	for name, x := range map[string]struct {
		bytes string
		code  uint16
	}{
		"not masked":         {"\x81\x01a", 1002},
		"reserved bit":       {"\xc1\x81\x00\x00\x00\x00a", 1002},
		"reserved opcode":    {"\x83\x81\x00\x00\x00\x00a", 1002},
		"long control frame": {"\x89\xfe\x00\x7e\x00\x00\x00\x00", 1002},
		"stray continuation": {"\x80\x81\x00\x00\x00\x00a", 1002},
		"bad close code":     {string(maskedClose(1005, "")), 1002},
		"not UTF-8":          {string(masked(ws.OpText, "\xff")), 1007},
		"too big":            {"\x82\xff\x00\x00\x00\x00\x00\x01\x00\x01\x00\x00\x00\x00", 1009},
		"too many frames":    {"\x01\x80\x00\x00\x00\x00" + strings.Repeat("\x00\x80\x00\x00\x00\x00", 1024), 1008},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, &fake{}, Config{})
			cl, ref := s.join()
			other, _ := s.join()
			cl.put([]byte(x.bytes), masked(ws.OpText, "junk"), []byte(strings.Repeat("\xff", 1000)))
			cl.expectClose(x.code)
			cl.ends()
			s.ended(ref, BadInput)
			l := s.of(ref)
			e, ok := errors.AsType[*ws.Error](errors.Join(l.errs...))
			if len(l.errs) != 1 || !ok || e.Code != x.code || l.messages != 0 {
				t.Errorf("%+v", l)
			}
			other.say("unharmed")
			other.expect(ws.OpText, "unharmed")
		})
	}
}

// TestBrokenAfterOurClose: a stream that breaks when we have closed is thrown away without a further Failed.
func TestBrokenAfterOurClose(t *testing.T) {
	s := start(t, &fake{}, Config{})
	cl, ref := s.join()
	s.Post(ref, func(c *Conn) { c.Close(4000, "") })
	cl.expectClose(4000)
	cl.put([]byte("\x81\x01a"))
	cl.ends()
	s.ended(ref, ByServer)
	if n := len(s.of(ref).errs); n != 0 {
		t.Errorf("%d errors", n)
	}
}

// TestHandlerErrors: what Message returns goes to Failed, which decides; the connection lives if it does nothing.
func TestHandlerErrors(t *testing.T) {
	binary := errors.New("binary messages are not taken")
	s := start(t, &fake{
		message: func(c *Conn, op byte, p []byte) error {
			if op == ws.OpBinary {
				return binary
			}
			if string(p) == "error" {
				return errors.New("harmless")
			}
			return echo{}.Message(c, op, p)
		},
		failed: func(c *Conn, err error) {
			if errors.Is(err, binary) {
				c.Close(1003, err.Error())
				return
			}
			c.Reply(text(err.Error()))
		},
	}, Config{})
	cl, ref := s.join()
	cl.say("error")
	cl.expect(ws.OpText, "harmless")
	cl.say("hello")
	cl.expect(ws.OpText, "hello")
	cl.put(masked(ws.OpBinary, "x"), masked(ws.OpText, "not read any more"))
	cl.expectClose(1003)
	cl.put(maskedClose(1003, ""))
	cl.ends()
	s.ended(ref, ByServer)
	if l := s.of(ref); l.messages != 3 || len(l.errs) != 2 {
		t.Errorf("%+v", l)
	}
}

// TestFailedMayChooseTheCode: the handler's close frame comes first, so the codec's own code does not go out.
func TestFailedMayChooseTheCode(t *testing.T) {
	s := start(t, &fake{failed: func(c *Conn, _ error) { c.Reply(text("sorry")); c.Close(4400, "bad") }}, Config{})
	cl, ref := s.join()
	cl.put(masked(ws.OpText, "\xff"))
	cl.expect(ws.OpText, "sorry")
	cl.expectClose(4400)
	cl.ends() // nothing more can be read, so the end is not awaited
	s.ended(ref, ByServer)
}

// TestClosedStillReads: in Closed the connection tells all it knew, and no method does harm.
func TestClosedStillReads(t *testing.T) {
	type view struct {
		ref   Ref
		word  uint64
		state any
		open  bool
	}
	got := make(chan view, 1)
	s := start(t, &fake{
		head: func(c *Conn, _ *http1.Request) Verdict {
			*c.Word() = 42
			c.SetState("object")
			return Verdict{Do: Upgrade}
		},
		closed: func(c *Conn, _ Reason) {
			got <- view{c.Ref(), *c.Word(), c.State(), c.Open() || c.Upgraded()}
			_ = c.Remote()
			c.Reply(text("no"))
			c.Close(4000, "no")
			c.Refuse(400, "", "", nil)
			c.Accept("", nil)
			c.SetDue(time.Second)
			c.Ping(time.Second, time.Second)
			c.Hold()
			c.Release()
			c.Loop().Send(uint64(c.Ref()), 1, Disconnect, false, [][]byte{text("no")})
		},
	}, Config{})
	cl, ref := s.join()
	_ = cl.Close()
	if v := await(t, got, "Closed"); v != (view{ref, 42, "object", false}) {
		t.Errorf("%+v", v)
	}
	s.ended(ref, ByClient)
}

// TestReasons: each end has its reason, counted once.
func TestReasons(t *testing.T) {
	s := start(t, &fake{due: func(c *Conn) { c.Ping(time.Hour, time.Minute) }}, Config{Limits: Limits{Backlog: 50000, Handshake: 2 * time.Hour}})
	for want, end := range map[Reason]func(cl *client, ref Ref){
		ByClient: func(cl *client, _ Ref) { _ = cl.Close() },
		ByServer: func(cl *client, ref Ref) {
			s.Post(ref, func(c *Conn) { c.Close(4000, "") })
			cl.expectClose(4000)
			_ = cl.Close()
		},
		Reset: func(cl *client, _ Ref) { cl.reset() },
		Slow: func(cl *client, ref Ref) {
			small(t, s.Group, ref)
			s.send(ref, Disconnect, true, numbered(0, 8<<20), numbered(1, 8<<20))
			_ = cl.Close()
		},
		BadInput: func(cl *client, _ Ref) { cl.put([]byte("\x81\x01a")); cl.expectClose(1002); cl.ends() },
		Panicked: func(cl *client, ref Ref) {
			s.Post(ref, func(*Conn) { panic("on purpose") })
			cl.expectClose(1011)
			cl.ends()
		},
		Silent: func(_ *client, ref Ref) {
			s.Post(ref, func(c *Conn) { c.SetDue(time.Minute) })
			advance(t, s.Group, 2*time.Minute)
			advance(t, s.Group, 2*time.Minute)
		},
	} {
		t.Run(want.String(), func(*testing.T) {
			cl, ref := s.join()
			before := s.Stats().Closed
			end(cl, ref)
			s.ended(ref, want)
			eventually(t, "a count", func() bool { return s.Stats().Closed[want] == before[want]+1 })
			for r, n := range s.Stats().Closed {
				if Reason(r) != want && n != before[r] {
					t.Errorf("%s also counted as %s", want, Reason(r))
				}
			}
		})
	}
	if Reason(200).String() != "unknown" {
		t.Error("a reason that is none")
	}
}

// TestGroupClose: who idles is told 1001, who has a backlog is not told anything inside a frame; Closed comes for all of them
// before Close returns.
func TestGroupClose(t *testing.T) {
	f := &fake{}
	before := descriptors()
	g := group(t, Config{Loops: 2, Handler: f, Limits: Limits{Backlog: 64 << 20}})
	_, addr, err := g.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Start(); err != nil {
		t.Fatal(err)
	}
	s := &server{Group: g, fake: f, tb: t, addr: addr}
	idle := make([]*client, 0, 20)
	for range 20 {
		cl, _ := s.join()
		idle = append(idle, cl)
	}
	slow, slowRef := s.joinSmall()
	for i := range 5 {
		s.send(slowRef, Disconnect, false, numbered(i, 200000))
	}
	half := dial(t, addr)
	half.put([]byte("GET / HT"))
	eventually(t, "half a head", func() bool { return s.Stats().Conns == 22 })
	g.Close()
	f.check(t)
	if n := s.Stats(); n.Conns != 0 || n.Closed[Shutdown] != 22 || n.QueueNodes != 0 || n.Queued != 0 {
		t.Errorf("%+v", n)
	}
	s.Post(slowRef, func(*Conn) { t.Error("posted after the end") })
	for _, cl := range idle {
		cl.expectClose(1001)
		cl.ends()
	}
	half.ends()
	for {
		op, _, err := slow.hear()
		if err != nil {
			break
		}
		if op != ws.OpBinary {
			t.Errorf("frame %x in a stream with a backlog", op)
		}
	}
	_ = slow.Close()
	if after := descriptors(); len(after) > len(before) {
		t.Errorf("left open: %v", news(before, after))
	}
}

// TestGoodbyeNotInsideAFrame: who has a frame partly out is not told that the server goes, though its socket has room again.
func TestGoodbyeNotInsideAFrame(t *testing.T) {
	s := start(t, &fake{}, Config{Limits: Limits{Backlog: 64 << 20}})
	cl, ref := s.joinSmall()
	frame := numbered(1, 1<<20)
	s.send(ref, Disconnect, false, frame)
	release := make(chan struct{})
	killed := make(chan struct{})
	s.loop().post(0, func(*Conn) {
		defer close(killed)
		<-release
		if c := s.loop().slab.find(ref); c.flags&flagPinned == 0 {
			t.Error("no frame is partly out: this test tests nothing")
		}
		s.loop().killAll()
	})
	var got []byte
	buf := make([]byte, 64<<10)
	_ = cl.SetReadDeadline(time.Now().Add(time.Second))
	for { // what the kernel has
		n, err := cl.br.Read(buf)
		got = append(got, buf[:n]...)
		if err != nil {
			break
		}
	}
	close(release)
	await(t, killed, "the end of all")
	_ = cl.SetReadDeadline(time.Now().Add(patience))
	rest, err := io.ReadAll(cl.br)
	if got = append(got, rest...); err != nil || len(got) == 0 || len(got) >= len(frame) || !bytes.HasPrefix(frame, got) {
		t.Errorf("%d bytes came, not the beginning of the frame; %v", len(got), err)
	}
	s.ended(ref, Shutdown)
}
