package main

import (
	"net"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"time"

	"fanfare/bench/load"
	"fanfare/bench/target"
)

// settings are the flags of a scenario. Zero is the scenario's own choice.
type settings struct {
	Connections   int           `group:"How much:" placeholder:"N" help:"Client connections (1000; million: 1000000)."`
	Topics        int           `group:"How much:" placeholder:"N" help:"Topics (1; topics: a fifth of the connections)."`
	Subscriptions int           `group:"How much:" placeholder:"N" help:"Topics of each connection (1)."`
	Messages      int           `group:"How much:" placeholder:"N" help:"Messages, or bursts of messages, that count (20)."`
	Warmup        int           `group:"How much:" placeholder:"N" default:"2" help:"Messages, or bursts, before that, which do not."`
	Burst         int           `group:"How much:" placeholder:"N" help:"Messages of one burst (32)."`
	Size          int           `group:"How much:" placeholder:"BYTES" help:"Bytes of a payload (128; slow: 16384)."`
	Idle          time.Duration `group:"How much:" placeholder:"TIME" help:"idle, million: how long (10s; million: 60s)."`
	Lasting       time.Duration `group:"How much:" placeholder:"TIME" name:"seconds" default:"10s" help:"churn: how long."`
	Rate          int           `group:"How much:" placeholder:"N" default:"20" help:"churn: messages a second."`
	Churners      int           `group:"How much:" placeholder:"N" help:"churn: connections that come and go (a fifth)."`
	Stopped       int           `group:"How much:" placeholder:"N" default:"-1" help:"slow: connections that stop reading (a tenth)."`

	Server  string `group:"Against what:" default:"fanfare" placeholder:"NAME" help:"Preset; 'bench servers' lists them (fanfare)."`
	URL     string `group:"Against what:" placeholder:"URL" help:"A server that runs already, as http://127.0.0.1:8080."`
	PID     int    `group:"Against what:" name:"pid" placeholder:"PID" help:"Its process, for what it costs."`
	Threads int    `group:"Against what:" placeholder:"N" help:"Threads or loops of the server (one per core)."`

	Arg []string `group:"Against what:" sep:"none" placeholder:"TEXT" help:"One more argument of the server's command, as --arg=--ping=60s; may be repeated."`

	Path       string   `group:"In which words ({topic}, {n}, {payload}, {json}):" placeholder:"TEXT" help:"Path of the WebSocket."`
	Protocol   string   `group:"In which words ({topic}, {n}, {payload}, {json}):" placeholder:"TEXT" help:"Sec-WebSocket-Protocol."`
	Subscribe  string   `group:"In which words ({topic}, {n}, {payload}, {json}):" placeholder:"TEXT" help:"Message that subscribes to one topic."`
	Subscribed string   `group:"In which words ({topic}, {n}, {payload}, {json}):" placeholder:"TEXT" help:"Part of the message that confirms it."`
	Greeting   string   `group:"In which words ({topic}, {n}, {payload}, {json}):" placeholder:"TEXT" help:"Part of a message that comes before one may send."`
	Publish    string   `group:"In which words ({topic}, {n}, {payload}, {json}):" placeholder:"TEXT" help:"Method and path that publish, as 'POST /publish/{topic}'."`
	Header     []string `group:"In which words ({topic}, {n}, {payload}, {json}):" sep:"none" placeholder:"TEXT" help:"Header of that request, as 'Content-Type: text/plain'; may be repeated."`
	Body       string   `group:"In which words ({topic}, {n}, {payload}, {json}):" placeholder:"TEXT" help:"Body of that request."`

	Generators      int           `group:"How:" placeholder:"N" help:"Generator processes (1, more where descriptors need it)."`
	InFlight        int           `group:"How:" placeholder:"N" help:"Handshakes at once, of all generators together (128; storm: 1024)."`
	FilesPerProcess int           `group:"How:" placeholder:"N" help:"Descriptors of each process (what the machine allows)."`
	Timeout         time.Duration `group:"How:" placeholder:"TIME" help:"For a handshake, an answer, the next delivery (10s; million: 60s)."`
	Settle          time.Duration `group:"How:" placeholder:"TIME" default:"1s" help:"Before memory is read."`
	Bound           bool          `group:"How:" negatable:"" default:"true" help:"Try one more generator process, to know whether the generator is the limit."`
	JSON            string        `group:"How:" name:"json" placeholder:"FILE" help:"Write all figures there."`
	Quiet           bool          `group:"How:" help:"No progress."`
}

// complete puts the scenario's own choices in.
func (s *settings) complete(scenario string) {
	or := func(v *int, choice int) {
		if *v == 0 {
			*v = choice
		}
	}
	if scenario == "million" {
		or(&s.Connections, 1_000_000)
	}
	or(&s.Connections, 1000)
	if scenario == "topics" {
		or(&s.Topics, max(1, s.Connections/5))
	}
	if scenario == "slow" {
		or(&s.Size, 16<<10)
		if s.Stopped < 0 {
			s.Stopped = max(1, s.Connections/10)
		}
		or(&s.Messages, 200)
	}
	if scenario == "churn" {
		or(&s.Churners, max(1, s.Connections/5))
	}
	if scenario == "storm" {
		or(&s.InFlight, 1024)
	}
	or(&s.InFlight, 128)
	or(&s.Topics, 1)
	or(&s.Subscriptions, 1)
	or(&s.Messages, 20)
	or(&s.Burst, 32)
	or(&s.Size, 128)
	or(&s.Threads, runtime.NumCPU())
	long := 10 * time.Second
	if scenario == "million" {
		long = time.Minute
	}
	for _, d := range []*time.Duration{&s.Idle, &s.Timeout} {
		if *d == 0 {
			*d = long
		}
	}
}

// target is the preset with the words that were given instead of its own.
func (s *settings) target(name string) (target.Target, error) {
	var t target.Target
	if s.URL == "" || name != "" {
		found, err := target.Lookup(name)
		if err != nil && (s.URL == "" || found.Name == "") {
			return found, &usageError{err.Error()}
		}
		t = found
	}
	for _, word := range []struct {
		given string
		into  *string
	}{
		{s.Path, &t.Path},
		{s.Protocol, &t.Protocol},
		{s.Subscribe, &t.Subscribe},
		{s.Subscribed, &t.Subscribed},
		{s.Greeting, &t.Greeting},
		{s.Body, &t.Publish.Body},
	} {
		if word.given != "" {
			*word.into = word.given
		}
	}
	t.Start = slices.Concat(t.Start, s.Arg)
	if s.Path != "" && s.Subscribe == "" { // other words, so not the preset's
		t.Subscribe, t.Subscribed = "", ""
	}
	if s.Publish != "" {
		method, path, ok := strings.Cut(s.Publish, " ")
		if !ok {
			return t, impossible("--publish %q: it is a method, a space and a path", s.Publish)
		}
		t.Publish.Method, t.Publish.Path = method, path
	}
	for _, header := range s.Header {
		name, value, ok := strings.Cut(header, ":")
		if !ok {
			return t, impossible("--header %q: it is a name, a colon and a value", header)
		}
		if t.Publish.Header == nil {
			t.Publish.Header = map[string]string{}
		}
		t.Publish.Header[name] = strings.TrimSpace(value)
	}
	return t, nil
}

// address is IPv4 address and port of --url.
func (s *settings) address() (string, error) {
	u, err := url.Parse(s.URL)
	if err != nil || u.Scheme != "http" || u.Host == "" || u.Path != "" && u.Path != "/" {
		return "", impossible("--url %q: it is http, an address and a port, as http://127.0.0.1:8080", s.URL)
	}
	port := u.Port()
	if port == "" {
		port = "80"
	}
	at, err := net.ResolveTCPAddr("tcp4", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return "", impossible("--url %q: %s", s.URL, err)
	}
	return at.String(), nil
}

// topicPrefix is what the names of topics begin with.
const topicPrefix = "bench"

func (s *settings) dialect(t *target.Target) load.Dialect {
	return load.Dialect{
		Topic: topicPrefix, Path: t.Path, Protocol: t.Protocol, Subscribe: t.Subscribe, Subscribed: t.Subscribed,
		Greeting: t.Greeting, Ping: t.Ping, Pong: t.Pong,
	}
}
