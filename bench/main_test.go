package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"fanfare/bench/load/fake"
	"fanfare/bench/result"
	"fanfare/bench/server"
	"fanfare/bench/target"
)

// TestMain lets the test binary be the bench, with its hidden commands, and a server.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "worker", "limit":
			os.Exit(run(os.Args[1:]))
		case "fake":
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT)
			err := fake.Serve(ctx, os.Args[2:])
			stop()
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			os.Exit(0)
		}
	}
	os.Exit(m.Run())
}

// words are how the fake server is spoken to.
func words(f fake.Faults) []string {
	w := []string{"--server=", "--path=/ws?topic={topic}", "--publish=POST /publish?topic={topic}", "--body={payload}", "--quiet", "--settle=0s"}
	if f.Command {
		w[1] = "--path=/ws"
		w = append(w, `--subscribe={"subscribe":"{topic}"}`, `--subscribed="subscribed":"{topic}"`, "--greeting=hello")
	}
	return w
}

// playAgainst runs a scenario against a fake server in this process.
func playAgainst(t *testing.T, f fake.Faults, args ...string) (*result.Run, error) {
	t.Helper()
	s, err := fake.Start(t.Context(), "127.0.0.1:0", f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	file := filepath.Join(t.TempDir(), "report.json")
	line := append(args, words(f)...)
	failed := perform(t.Context(), append(line, "--url=http://"+s.Address, "--json="+file), t.Output())
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("no report, %v; %v", err, failed)
	}
	var r result.Report
	if err := json.Unmarshal(b, &r); err != nil || len(r.Runs) != 1 {
		t.Fatalf("%v: %s", err, b)
	}
	return &r.Runs[0], failed
}

func TestAccounts(t *testing.T) {
	t.Parallel()
	const connections, messages = 20, 10
	burst := []string{"burst", "--connections=20", "--messages=1", "--burst=10", "--warmup=0", "--timeout=1s"}
	for name, c := range map[string]struct {
		faults fake.Faults
		args   []string
		want   result.Account
	}{
		"good":             {want: result.Account{Received: connections * messages}},
		"in pieces":        {faults: fake.Faults{Fragment: 7, Pings: true}, want: result.Account{Received: connections * messages}},
		"wrapped, told":    {faults: fake.Faults{Wrap: true, Command: true}, want: result.Account{Received: connections * messages}},
		"two generators":   {args: []string{"--generators=2"}, want: result.Account{Received: connections * messages}},
		"topics":           {args: []string{"--topics=5", "--subscriptions=2"}, faults: fake.Faults{Command: true}, want: result.Account{Received: connections * messages * 2 / 5}},
		"repeats":          {faults: fake.Faults{Repeat: 3}, want: result.Account{Received: connections * 13, Repeated: connections * 3}},
		"repeats the last": {faults: fake.Faults{Repeat: 10}, want: result.Account{Received: connections * 11, Repeated: connections}},
		"loses":            {faults: fake.Faults{Lose: 3}, want: result.Account{Received: connections * 7, Missing: connections * 3}},
		"loses the last":   {faults: fake.Faults{Lose: 10}, want: result.Account{Received: connections * 9, Missing: connections}},
		"out of order":     {faults: fake.Faults{Swap: 4}, want: result.Account{Received: connections * messages, Disorder: connections * 2}},
		"foreign":          {faults: fake.Faults{Foreign: 5}, want: result.Account{Received: connections * messages, Garbage: connections * 2}},
		"garbage":          {faults: fake.Faults{GarbageAt: 6}, want: result.Account{Received: connections * 5, Missing: connections * 5, Garbage: connections, Lost: connections}},
		"ends one":         {faults: fake.Faults{EndAt: 4}, want: result.Account{Received: connections*messages - 7, Missing: 7, Lost: 1}},
		"busy":             {faults: fake.Faults{BusyFor: 3}, want: result.Account{Received: connections * messages, Refused: 3}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := playAgainst(t, c.faults, append(slices.Clip(burst), c.args...)...)
			c.want.Expected = c.want.Received - c.want.Repeated + c.want.Missing
			if r.Account != c.want {
				t.Errorf("%+v, want %+v (%v)", r.Account, c.want, err)
			}
			exact := c.want.Missing+c.want.Repeated+c.want.Disorder+c.want.Garbage+c.want.Lost == 0
			if (err == nil) != exact || (r.Failure == "") != exact {
				t.Errorf("%v, %q", err, r.Failure)
			}
			if exact && (r.Delivery.Count != c.want.Received || r.Delivery.P50 <= 0 || r.Reach.First > r.Reach.Last || r.Reach.Last <= 0) {
				t.Errorf("%+v %+v", r.Delivery, r.Reach)
			}
		})
	}
}

func TestScenarios(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"connect": nil, "idle": {"--idle=100ms"}, "million": {"--idle=100ms"}, "fanout": {"--messages=3"}, "topics": {"--messages=3"},
		"churn": {"--seconds=500ms", "--rate=50"}, "storm": nil, "slow": {"--messages=5", "--size=1000"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := playAgainst(t, fake.Faults{}, append([]string{name, "--connections=50", "--timeout=20s"}, args...)...)
			if err != nil || r.Account.Received == 0 || r.Connect.Opened == 0 {
				t.Errorf("%v: %+v", err, r)
			}
		})
	}
}

func TestBadServersAreToldApart(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		faults fake.Faults
		want   string
	}{
		"refuses":        {fake.Faults{Refuse: 503}, `"HTTP/1.1 503 Service Unavailable"`},
		"hangs":          {fake.Faults{Silent: true}, "did not finish a handshake within 1s (no answer to the upgrade)"},
		"no HTTP":        {fake.Faults{NoHTTP: true}, "which is no HTTP"},
		"bad accept":     {fake.Faults{BadAccept: true}, "wrong Sec-WebSocket-Accept"},
		"hangs later":    {fake.Faults{HangAt: 3}, "publish: no answer within 1s"},
		"fails later":    {fake.Faults{Stingy: 3}, "publish: it answered 500 Internal Server Error: out of order"},
		"garbage":        {fake.Faults{GarbageAt: 2}, "it sent garbage: a frame with reserved bits"},
		"says why":       {fake.Faults{EndAt: 2}, `it closed the connection with 1008 "too slow"`},
		"always is busy": {fake.Faults{BusyFor: 1 << 30}, "it was too busy (503) for 1s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			r, err := playAgainst(t, c.faults, "fanout", "--connections=10", "--messages=5", "--timeout=1s")
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(r.Failure, c.want) {
				t.Errorf("%v, %q; want %q", err, r.Failure, c.want)
			}
			if took := time.Since(began); took > 30*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}

// started is the fake server as a process of its own.
func started(t *testing.T, f fake.Faults) target.Target {
	t.Helper()
	text, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return target.Target{
		Name: "fake", Start: []string{program, "fake", "{port}", string(text)}, Ready: "/ready", Path: "/ws?topic={topic}",
		Publish: target.Request{Method: "POST", Path: "/publish?topic={topic}", Body: "{payload}"},
	}
}

func TestPingsAreAnswered(t *testing.T) {
	t.Parallel()
	s, err := fake.Start(t.Context(), "127.0.0.1:0", fake.Faults{Pings: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	line := append([]string{"fanout", "--connections=5", "--messages=3", "--warmup=0", "--url=http://" + s.Address}, words(fake.Faults{})...)
	if err := perform(t.Context(), line, t.Output()); err != nil || s.Pongs() != 15 {
		t.Errorf("%d pongs, %v", s.Pongs(), err)
	}
}

func small(scenario string) *settings {
	s := &settings{
		Connections: 40, Messages: 5, InFlight: 8, Rate: 20, Timeout: 20 * time.Second, Lasting: time.Second, Idle: 50 * time.Millisecond,
		Quiet: true, Stopped: -1,
	}
	s.complete(scenario)
	return s
}

func TestAServerThatDiesIsTold(t *testing.T) {
	t.Parallel()
	s := small("fanout")
	p, err := s.fit("fanout")
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.once(t.Context(), "fanout", started(t, fake.Faults{DieAt: 3}), p, 1)
	for _, want := range []string{"the server ended by itself, with exit status 7", "| fake: I was told to die"} {
		if err == nil || !strings.Contains(r.Failure, want) {
			t.Errorf("%v; want %q", err, want)
		}
	}
}

func TestAServerThatDoesNotStartIsTold(t *testing.T) {
	t.Parallel()
	for want, start := range map[string][]string{
		"exit status 3\n  | no luck":    {"sh", "-c", "echo no luck; exit 3"},
		"it did not serve within 300ms": {"sleep", "60"},
		"executable file not found in":  {"there-is-no-such-command"},
	} {
		within := 20 * time.Second
		if start[0] == "sleep" {
			within = 300 * time.Millisecond
		}
		tg := target.Target{Name: "none", Start: start}
		program, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		_, err = server.Start(t.Context(), &tg, server.Options{Threads: 1, Within: within, Limiter: []string{program, "limit", "500", "--"}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
	}
}

func TestManyProcesses(t *testing.T) {
	t.Parallel()
	s := small("million")
	s.FilesPerProcess = ofServer + 15
	p, err := s.fit("million")
	if err != nil || p.servers != 3 || p.generators != 1 {
		t.Fatalf("%+v %v", p, err)
	}
	p.generators = 2
	r, err := s.once(t.Context(), "million", started(t, fake.Faults{}), p, 1)
	if err != nil || r.Account.Received != 40 || r.Shape.Servers != 3 || r.Shape.Generators != 2 {
		t.Errorf("%v: %+v", err, r)
	}
	if r.Memory.RSS == 0 || r.Memory.PSS == 0 || r.CPU.PerConnect <= 0 || r.Load.RSS == 0 || r.Load.CPU <= 0 || r.Connect.Teardown <= 0 {
		t.Errorf("%+v %+v %+v", r.Memory, r.CPU, r.Load)
	}
}

func TestOneMoreGeneratorAndOneTopic(t *testing.T) {
	t.Parallel()
	s := small("topics")
	s.Bound = true
	p, err := s.fit("topics")
	if err != nil {
		t.Fatal(err)
	}
	tg := started(t, fake.Faults{})
	r, err := s.once(t.Context(), "topics", tg, p, 1)
	if err != nil {
		t.Fatal(err)
	}
	more := s.withMore(t.Context(), "topics", tg, p, 1)
	s.topicMemory(t.Context(), r, tg, p)
	if more <= 0 {
		t.Errorf("p50 %d", more)
	}
}

// TestBound: a p50 that is a tenth shorter with one more generator process was the generator's; medians count.
func TestBound(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		own, more []int64
		p50       int64
		bound     bool
	}{
		{[]int64{100}, []int64{91}, 91, false},
		{[]int64{100}, []int64{89}, 89, true},
		{[]int64{100}, []int64{150}, 150, false},
		{[]int64{100, 10, 110}, []int64{95, 1000, 96}, 96, false},
		{[]int64{100, 104}, []int64{80, 90}, 85, true},
	} {
		var r result.Run
		bound(&r, c.own, c.more)
		if !r.Load.Tested || r.Load.P50 != c.p50 || r.Load.Bound != c.bound {
			t.Errorf("%v, with one more %v: %+v", c.own, c.more, r.Load)
		}
	}
	var r result.Run
	if bound(&r, []int64{1}, nil); r.Load.Tested {
		t.Error("tested without a try")
	}
}

func TestInterrupted(t *testing.T) {
	t.Parallel()
	s := small("idle")
	s.Idle = time.Minute
	p, err := s.fit("idle")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, err := s.once(ctx, "idle", started(t, fake.Faults{}), p, 1); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 30*time.Second {
		t.Errorf("%v after %s", err, time.Since(began))
	}
}

func TestImpossibleIsRefused(t *testing.T) {
	most := strconv.FormatInt(files(), 10)
	for want, args := range map[string][]string{
		"this machine allows a process " + most + " descriptors": {"fanout", "--connections=90000000"},
		"of memory":                      {"million", "--connections=50000000", "--generators=1"},
		"a payload has 35 bytes":         {"fanout", "--size=10"},
		"a connection subscribes":        {"topics", "--topics=2", "--subscriptions=3"},
		"some must read":                 {"slow", "--connections=10", "--stopped=10"},
		"--files-per-process 999999999:": {"million", "--files-per-process=999999999"},
		"there is no preset":             {"fanout", "--server=nobody"},
		"a size below 1":                 {"fanout", "--connections=-1"},
		"knows no topics":                {"topics", "--url=http://127.0.0.1:1", "--server=", "--path=/ws", "--publish=POST /x"},
		"--path and --publish":           {"fanout", "--url=http://127.0.0.1:1", "--server="},
		"it is http":                     {"fanout", "--url=ftp://x", "--path=/ws", "--publish=POST /x"},
		"a method, a space":              {"fanout", "--url=http://127.0.0.1:1", "--publish=x"},
		"there is no scenario":           {"compare", "--servers=fanfare", "--scenario=dance"},
		"unknown flag":                   {"fanout", "--fast"},
	} {
		err := perform(t.Context(), args, t.Output())
		if err == nil || !strings.Contains(err.Error(), want) || exitCode(err) != exitUsage {
			t.Errorf("%v: %v; want %q", args, err, want)
		}
	}
}

func TestNobodyListens(t *testing.T) {
	err := perform(t.Context(), append([]string{"connect", "--url=http://127.0.0.1:1", "--connections=10"}, words(fake.Faults{})...), t.Output())
	if err == nil || !strings.Contains(err.Error(), "connect: connection refused") || exitCode(err) != exitFailed {
		t.Error(err)
	}
}

func TestTableSaysWhatFailed(t *testing.T) {
	var b bytes.Buffer
	printRun(&b, &result.Run{Scenario: "fanout", Server: "x", Failure: "it died"})
	if !strings.Contains(b.String(), "it died") {
		t.Error(b.String())
	}
}
