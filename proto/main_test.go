package proto_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	gobwas "github.com/gobwas/ws"
	"go.uber.org/goleak"

	"fanfare/fanout"
	"fanfare/loop"
	"fanfare/loop/ws"
	"fanfare/proto"
	"fanfare/proto/prototest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/cloudwego/netpoll.(*defaultPoll).Wait"))
}

// toy is a dialect in a hundred lines. Each message is a word and its argument.
type toy struct {
	name    string
	gates   chan func(context.Context) error // what the next slow work does
	started chan struct{}
	closed  atomic.Int64
}

func newToy() *toy {
	return &toy{name: "toy", gates: make(chan func(context.Context) error, 1000), started: make(chan struct{}, 1000)}
}

func (d *toy) Name() string { return d.name }

func (d *toy) Forms() []fanout.Encoder {
	return []fanout.Encoder{func(ev *fanout.Event) []byte { return ws.AppendFrame(nil, ev.Kind, ev.Data) }}
}

// work is what is slow: it takes the next gate and passes it.
func (d *toy) work(ctx context.Context) error {
	d.started <- struct{}{}
	select {
	case f := <-d.gates:
		return f(ctx)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (d *toy) Open(p proto.Peer, r *proto.Request) ([]byte, error) {
	topic, _, _ := r.Query("topic")
	switch r.Path {
	case "/panic":
		_ = *p.State().(*int) //nolint:errcheck,forcetypeassert // a panic
	case "/refuse":
		return nil, errors.New("not known to proto")
	case "/silent":
		p.Join(topic, proto.Want{})
		return nil, &proto.Error{Status: http.StatusTeapot, Code: "teapot", Text: "no coffee"}
	case "/wait":
		topic = strings.Clone(topic)
		p.Join(topic, proto.Want{}) // undone by ErrPending
		p.Slow(d.work, func(p proto.Peer, err error) {
			if err != nil {
				p.Fail(err)
				return
			}
			p.Accept(ws.AppendFrame(nil, ws.OpText, []byte("welcome")))
			p.Join(topic, proto.Want{})
		})
		return nil, proto.ErrPending
	default:
		p.Join(topic, proto.Want{})
	}
	return ws.AppendFrame(nil, ws.OpText, []byte("welcome")), nil
}

func reply(p proto.Peer, text string) { p.Reply(ws.AppendFrame(nil, ws.OpText, []byte(text))) }

func (d *toy) Message(p proto.Peer, _ byte, data []byte) error {
	word, arg, _ := strings.Cut(string(data), " ")
	*p.Word()++
	switch word {
	case "echo":
		reply(p, arg)
	case "panic":
		return fmt.Errorf("%d", len(arg[len(arg):][1:]))
	case "count":
		reply(p, fmt.Sprint(p.Count(), *p.Word()))
	case "slow":
		p.Slow(d.work, func(p proto.Peer, err error) {
			if err != nil {
				p.Fail(err)
				return
			}
			reply(p, "slow done")
		})
	case "twice": // a then that needs more, and two at once
		p.Slow(d.work, func(p proto.Peer, _ error) {
			reply(p, "first")
			p.Slow(d.work, func(p proto.Peer, _ error) { reply(p, "second") })
		})
	case "pair":
		for range 2 {
			p.Slow(d.work, func(p proto.Peer, _ error) { reply(p, "one of a pair") })
		}
	case "due":
		p.SetDue(time.Millisecond)
	case "publish":
		_, err := p.Publish(arg, []byte("published"), ws.OpText)
		return err
	default:
		return errors.New("unheard of")
	}
	return nil
}

func (d *toy) Fail(p proto.Peer, err error) {
	e := proto.AsError(err)
	switch {
	case !p.Upgraded():
		p.Refuse(e)
	case e.Fatal:
		p.Close(e.Close, e.Reason())
	default:
		reply(p, e.Code)
	}
}

func (d *toy) Due(p proto.Peer)  { reply(p, "due") }
func (d *toy) Closed(proto.Peer) { d.closed.Add(1) }

func (d *toy) Mount(rt proto.Routes) {
	rt.Handle(http.MethodGet, "/boom", func(http.ResponseWriter, *http.Request) error { return errors.New(strings.Repeat("x", *new(int)-1)) })
	rt.Handle(http.MethodGet, "/wrong", func(http.ResponseWriter, *http.Request) error { return errors.New("a secret of ours") })
	rt.Handle(http.MethodGet, "/things/{id}", func(w http.ResponseWriter, r *http.Request) error {
		proto.WriteJSON(w, http.StatusOK, proto.AppendString(nil, r.PathValue("id")))
		return nil
	})
	rt.Handle(http.MethodPost, "/publish/{topic}", func(w http.ResponseWriter, r *http.Request) error {
		body, err := rt.ReadBody(w, r, 10)
		if err != nil {
			return err
		}
		rc, err := rt.Publish(r.PathValue("topic"), body, ws.OpText)
		proto.WriteJSON(w, http.StatusOK, fmt.Append(nil, rc.Receivers))
		return err
	})
}

// logs keeps what is logged.
type logs struct {
	mu  sync.Mutex
	buf strings.Builder
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *logs) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// start runs a server with the toy and gives its address.
func start(tb testing.TB, d *toy, cfg proto.Config) string {
	tb.Helper()
	_, _, addr := run(tb, d, cfg, proto.Listen{Dialect: "toy", Addr: "127.0.0.1:0", Namespace: "n"}, false)
	return addr[0]
}

// run is start with all that a test may want; the admin listener's address comes last.
func run(tb testing.TB, d *toy, cfg proto.Config, l proto.Listen, admin bool) (srv *proto.Server, group *loop.Group, addrs []string) {
	tb.Helper()
	if cfg.Hub == nil {
		cfg.Hub = fanout.NewHub(fanout.Config{})
	}
	cfg.Dialects = []proto.Dialect{d}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	var err error
	srv, err = proto.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	group, err = loop.New(loop.Config{Loops: 2, Handler: srv, Log: cfg.Log})
	if err != nil {
		tb.Fatal(err)
	}
	srv.Attach(group)
	addr, err := srv.Listen(l)
	if err != nil {
		tb.Fatal(err)
	}
	addrs = []string{addr.String()}
	if admin {
		addr, err = srv.ListenAdmin("127.0.0.1:0")
		if err != nil {
			tb.Fatal(err)
		}
		addrs = append(addrs, addr.String())
	}
	if err := srv.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(srv.Close)
	return srv, group, addrs
}

func dial(tb testing.TB, addr, target string) *prototest.Client {
	tb.Helper()
	c, refused, err := prototest.Open(addr, target, "")
	if err != nil || c == nil {
		tb.Fatal(refused, err)
	}
	tb.Cleanup(func() { _ = c.Close() })
	return c
}

func say(tb testing.TB, c *prototest.Client, texts ...string) {
	tb.Helper()
	for _, text := range texts {
		if err := c.Say(text); err != nil {
			tb.Fatal(err)
		}
	}
}

func want(tb testing.TB, c *prototest.Client, texts ...string) {
	tb.Helper()
	for _, text := range texts {
		got, err := c.Text()
		if err != nil {
			tb.Fatal(err)
		}
		if got != text {
			tb.Fatalf("got %s, want %s", got, text)
		}
	}
}

func call(tb testing.TB, addr, method, target, body string) *prototest.Answer {
	tb.Helper()
	a, err := prototest.Call(addr, method, target, "", body)
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

// metric waits until a line of /metrics is there.
func metric(tb testing.TB, addr, line string) {
	tb.Helper()
	body := ""
	for range 200 {
		body = call(tb, addr, http.MethodGet, "/metrics", "").Body
		if strings.Contains("\n"+body, "\n"+line+"\n") {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	tb.Fatalf("no %s in %s", line, body)
}

func ping(tb testing.TB, c *prototest.Client) {
	tb.Helper()
	if err := c.Send(gobwas.OpPing, []byte("p")); err != nil {
		tb.Fatal(err)
	}
	op, p, err := c.Next()
	if err != nil || op != gobwas.OpPong || string(p) != "p" {
		tb.Fatal(op, string(p), err)
	}
}
