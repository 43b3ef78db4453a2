package main

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"fanfare/proto"
	"fanfare/proto/auth"
)

// settings of serve. Each field is a flag, an environment variable (FANFARE_ and the flag's name in capitals), a key of the
// settings file (the flag's name) and a line of help; min and max are its range.
type settings struct {
	Config string `group:"file" placeholder:"FILE" help:"Settings file; flags and variables win over it."`

	Listen      listeners    `group:"listen" default:"127.0.0.1:8080" placeholder:"ADDR" help:"[DIALECT=]ADDR[,namespace=][,slow=]; may be repeated."`
	AdminListen adminAddress `group:"listen" placeholder:"ADDR" help:"Health, metrics, /stats and /debug/pprof only there."`
	Loops       int          `group:"listen" default:"0" max:"255" placeholder:"N" help:"Event loops; 0: one per usable core."`

	MaxConnections  int     `group:"admission" live:"" default:"0" max:"16000000" placeholder:"N" help:"Connections at once; 0: its descriptors less 256 or a quarter."`
	AcceptRate      int     `group:"admission" live:"" default:"0" max:"1000000" placeholder:"N" help:"New connections a second; 0: no limit."`
	MemoryWatermark int     `group:"admission" live:"" default:"90" max:"100" placeholder:"N" help:"Percent of memory that shuts the door; 0: never."`
	PerAddress      int     `group:"admission" live:"" default:"0" max:"1000000" placeholder:"N" help:"Sockets of one address, or IPv6 /64; 0: no limit."`
	TrustedProxy    proxies `group:"admission" live:"" placeholder:"NETWORK" help:"Whose X-Forwarded-For counts; may be repeated."`
	Origin          origins `group:"admission" live:"" placeholder:"ORIGIN" help:"Pages that may open sockets, as https://a.example; may be repeated."`

	Open           bool   `group:"publish" live:"" help:"Let anyone who reaches the port publish."`
	PublishKeyFile string `group:"publish" live:"" placeholder:"FILE" help:"Keys, one a line; or FANFARE_PUBLISH_KEY."`

	LogLevel  choice `group:"log" live:"" default:"info" oneof:"debug info warn error" help:"debug, info, warn or error."`
	LogFormat choice `group:"log" default:"text" oneof:"text json" help:"text or json, on stderr."`

	MaxMessage       Size `group:"limits" live:"" default:"64KiB" min:"125" max:"16MiB" help:"One message from a client."`
	MaxFrames        int  `group:"limits" live:"" default:"1024" min:"1" max:"1000000" help:"Frames in one message from a client."`
	MaxPayload       Size `group:"limits" live:"" default:"64KiB" min:"1" max:"16MiB" help:"One published payload."`
	MaxBody          Size `group:"limits" live:"" default:"1MiB" min:"1" max:"64MiB" help:"One JSON request body."`
	MaxBatch         int  `group:"limits" live:"" default:"1000" min:"1" max:"1000000" help:"Messages in one JSON request body."`
	MaxHead          Size `group:"limits" default:"8KiB" min:"1KiB" max:"64KiB" help:"Request line and headers."`
	MaxHeaders       int  `group:"limits" default:"100" min:"10" max:"10000" help:"Headers of one request."`
	MaxTopic         int  `group:"limits" live:"" default:"255" min:"1" max:"255" help:"Bytes in a topic's name."`
	MaxSubscriptions int  `group:"limits" live:"" default:"256" min:"1" max:"65535" help:"Topics of one connection."`

	CommandRate int `group:"limits" live:"" default:"50" max:"1000000" help:"Commands a second on one socket; 0: no limit."`

	Slow           choice        `group:"slow" live:"" default:"disconnect" oneof:"disconnect drop-oldest conflate drop-newest" help:"Or drop-oldest, conflate, drop-newest."`
	SlowTopic      topicPolicies `group:"slow" live:"" placeholder:"PATTERN=POLICY" help:"For topics such as ticker.*; may be repeated."`
	Backlog        Size          `group:"slow" live:"" default:"256KiB" min:"1KiB" max:"1GiB" help:"Bytes that may wait for one connection."`
	BacklogAge     time.Duration `group:"slow" live:"" default:"15s" min:"1s" max:"1h" help:"How long they may wait."`
	BacklogTotal   Size          `group:"slow" live:"" default:"0" min:"0" max:"1024GiB" help:"Bytes that may wait for all; 0: memory / 4."`
	MaxUndelivered Size          `group:"slow" default:"8MiB" min:"64KiB" max:"16GiB" help:"Bytes that may wait in one topic, then 503."`

	HandshakeTimeout time.Duration `group:"time" live:"" default:"10s" min:"1s" max:"10m" help:"From connecting to a whole request head."`
	MessageTimeout   time.Duration `group:"time" live:"" default:"30s" min:"1s" max:"1h" help:"From a message's first byte to its last."`
	CloseTimeout     time.Duration `group:"time" live:"" default:"5s" min:"1s" max:"10m" help:"For the answer to a close frame."`
	Ping             time.Duration `group:"time" live:"" default:"30s" min:"1s" max:"24h" help:"Between two pings to a connection."`
	PingGrace        time.Duration `group:"time" live:"" default:"15s" min:"1s" max:"1h" help:"For the answer to a ping."`

	DrainWait    time.Duration `group:"drain" live:"" default:"0s" min:"0s" max:"10m" help:"From /readyz saying 503 to the first close."`
	DrainWindow  time.Duration `group:"drain" live:"" default:"10s" min:"0s" max:"1h" help:"Over which the closes are spread."`
	DrainTimeout time.Duration `group:"drain" live:"" default:"30s" min:"1s" max:"1h" help:"What is left so long after it is cut off."`
}

// keyVariable holds publish keys separated by commas. It has no flag: a command line is no place for a secret.
const keyVariable = "FANFARE_PUBLISH_KEY"

// settingError is a value that a setting cannot have.
type settingError struct {
	setting string // flag and variable, or the place in the settings file
	problem string
}

func (e *settingError) Error() string { return e.setting + ": " + e.problem }

// parse reads flags, environment and settings file into c. Its error is or holds a *settingError, or is a *kong.ParseError.
func parse(c *cli, args []string, std streams) (*kong.Context, error) {
	var bad *settingError // kong keeps no more than the text of an error that came from the environment
	parser, err := newParser(c, std, &bad)
	if err != nil {
		return nil, err
	}
	parsed, err := parser.Parse(args)
	var line *kong.ParseError
	if errors.As(err, &line) && bad != nil && strings.Contains(err.Error(), bad.problem) {
		return nil, bad
	}
	if err != nil {
		return parsed, err
	}
	c.args = args
	c.sources, err = fill(parsed, &bad)
	return parsed, err
}

// newParser makes the parser of the command line; it leaves the last bad value that it meets in bad.
func newParser(c *cli, std streams, bad **settingError) (*kong.Kong, error) {
	return kong.New(c,
		kong.Name("fanfare"),
		kong.Description(description),
		kong.Writers(std.out, std.err),
		kong.DefaultEnvars("FANFARE"),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoAppDescFormat: true, FlagsLast: true}),
		kong.ValueFormatter(func(v *kong.Value) string { return v.Help }), // one sentence says how the variables are named
		kong.ExplicitGroups([]kong.Group{
			{Key: "file", Title: "Settings file:"},
			{Key: "listen", Title: "Where it listens:"},
			{Key: "admission", Title: "Who is let in:"},
			{Key: "publish", Title: "Who may publish (without any key: this host only):"},
			{Key: "slow", Title: "Slow readers:"},
			{Key: "limits", Title: "Limits:"},
			{Key: "time", Title: "Times:"},
			{Key: "drain", Title: "After SIGTERM:"},
			{Key: "log", Title: "Log:"},
		}),
		kong.TypeMapper(reflect.TypeFor[Size](), mapper(bad, parseSize)),
		kong.TypeMapper(reflect.TypeFor[int](), mapper(bad, parseCount)),
		kong.TypeMapper(reflect.TypeFor[time.Duration](), mapper(bad, parseDuration)),
		kong.TypeMapper(reflect.TypeFor[choice](), mapper(bad, parseChoice)),
		kong.TypeMapper(reflect.TypeFor[listeners](), listMapper[listeners](bad, proto.ParseListen)),
		kong.TypeMapper(reflect.TypeFor[adminAddress](), mapper(bad, parseAdminAddress)),
		kong.TypeMapper(reflect.TypeFor[origins](), listMapper[origins](bad, parseOrigin)),
		kong.TypeMapper(reflect.TypeFor[proxies](), listMapper[proxies](bad, parseProxy)),
		kong.TypeMapper(reflect.TypeFor[topicPolicies](), listMapper[topicPolicies](bad, parseTopicPolicy)),
	)
}

const description = `fanfare sends what is published to a topic to every WebSocket subscribed to it.

  fanfare serve                               # terminal 1: on 127.0.0.1:8080
  fanfare listen news                         # terminal 2
  fanfare publish news '{"hello":"world"}'    # terminal 3

Every flag can be an environment variable: --max-payload is FANFARE_MAX_PAYLOAD.`

// mapper makes a kong mapper of parse, so that every bad value is reported alike; the last one is also left in bad.
func mapper[T any](bad **settingError, parse func(text string, tag *kong.Tag) (v T, err error)) kong.MapperFunc {
	return func(ctx *kong.DecodeContext, target reflect.Value) error {
		var text string
		if err := ctx.Scan.PopValueInto("value", &text); err != nil {
			return err
		}
		v, err := parse(text, ctx.Value.Tag)
		if err != nil {
			*bad = &settingError{nameOf(ctx.Value), err.Error()}
			return *bad
		}
		target.Set(reflect.ValueOf(v))
		return nil
	}
}

func nameOf(v *kong.Value) string {
	if len(v.Tag.Envs) == 0 {
		return v.ShortSummary()
	}
	return v.ShortSummary() + " (" + v.Tag.Envs[0] + ")"
}

// Size is a number of bytes, written plain or with KiB, MiB or GiB.
type Size int

// UnmarshalText reads 65536, 64KiB, 1MiB or 2GiB.
func (s *Size) UnmarshalText(text []byte) error {
	digits, unit := string(text), 1
	for _, u := range []struct {
		suffix string
		bytes  int
	}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}} {
		if rest, ok := strings.CutSuffix(digits, u.suffix); ok {
			digits, unit = strings.TrimSpace(rest), u.bytes
			break
		}
	}
	n, err := strconv.Atoi(digits)
	if err != nil || n < 0 || n > math.MaxInt/unit {
		return fmt.Errorf("%q is not a size", text)
	}
	*s = Size(n * unit)
	return nil
}

// String writes the size as a setting would: in the largest unit that divides it.
func (s Size) String() string {
	switch {
	case s != 0 && s%(1<<30) == 0:
		return strconv.Itoa(int(s>>30)) + "GiB"
	case s != 0 && s%(1<<20) == 0:
		return strconv.Itoa(int(s>>20)) + "MiB"
	case s != 0 && s%(1<<10) == 0:
		return strconv.Itoa(int(s>>10)) + "KiB"
	}
	return strconv.Itoa(int(s))
}

func parseSize(text string, tag *kong.Tag) (s Size, err error) {
	var least, most Size
	err = errors.Join(least.UnmarshalText([]byte(tag.Get("min"))), most.UnmarshalText([]byte(tag.Get("max"))), s.UnmarshalText([]byte(text)))
	if err != nil || s < least || s > most {
		return 0, fmt.Errorf("%q is not a size from %v to %v, such as %s", text, least, most, tag.Default)
	}
	return s, nil
}

func parseCount(text string, tag *kong.Tag) (n int, err error) {
	n, err = strconv.Atoi(text)
	least, _ := strconv.Atoi(tag.Get("min")) // no min is 0
	most, unbounded := strconv.Atoi(tag.Get("max"))
	if unbounded != nil {
		most = math.MaxInt
	}
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("%q is not a whole number from %d to %d", text, least, most)
	}
	return n, nil
}

func parseDuration(text string, tag *kong.Tag) (d time.Duration, err error) {
	d, err = time.ParseDuration(text)
	least, noMin := time.ParseDuration(tag.Get("min"))
	most, noMax := time.ParseDuration(tag.Get("max"))
	if errors.Join(err, noMin, noMax) != nil || d < least || d > most {
		return 0, fmt.Errorf("%q is not a duration from %s to %s, such as %s", text, tag.Get("min"), tag.Get("max"), tag.Default)
	}
	return d, nil
}

// choice is one of the words in its tag "oneof".
type choice string

func parseChoice(text string, tag *kong.Tag) (c choice, err error) {
	words := strings.Fields(tag.Get("oneof"))
	if !slices.Contains(words, text) {
		return "", fmt.Errorf("%q is none of %s", text, strings.Join(words, ", "))
	}
	return choice(text), nil
}

// listeners are the values of --listen.
type listeners []proto.Listen

// origins are the values of --origin, proxies those of --trusted-proxy, topicPolicies those of --slow-topic.
type (
	origins       []string
	proxies       []netip.Prefix
	topicPolicies []string
)

// adminAddress is HOST:PORT or unix:/PATH; empty is none.
type adminAddress string

func parseAdminAddress(text string, _ *kong.Tag) (adminAddress, error) {
	l, err := proto.ParseListen(text)
	if err == nil && l != (proto.Listen{Dialect: proto.DefaultDialect, Namespace: proto.DefaultNamespace, Addr: text}) {
		err = fmt.Errorf("%q says more than HOST:PORT or unix:/PATH", text)
	}
	if text == "" {
		err = nil
	}
	return adminAddress(text), err
}

func parseOrigin(text string) (string, error) {
	_, err := auth.ParseOrigins([]string{text})
	return text, err
}

func parseTopicPolicy(text string) (string, error) {
	_, err := proto.ParseTopicPolicies([]string{text})
	return text, err
}

func parseProxy(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return prefix, fmt.Errorf("%q is no address such as 10.0.0.1 and no network such as 10.0.0.0/8", text)
	}
	return prefix.Masked(), nil
}

// listMapper adds the value of one flag, or all of the variable's, which are separated by spaces.
func listMapper[L ~[]T, T any](bad **settingError, parse func(text string) (T, error)) kong.MapperFunc {
	return func(ctx *kong.DecodeContext, target reflect.Value) error {
		var text string
		if err := ctx.Scan.PopValueInto("value", &text); err != nil {
			return err
		}
		all, ok := reflect.TypeAssert[*L](target.Addr())
		if !ok {
			return fmt.Errorf("%s is not the list", target.Type())
		}
		words := strings.Fields(text)
		if len(words) == 0 {
			words = []string{""}
		}
		for _, word := range words {
			v, err := parse(word)
			if err != nil {
				*bad = &settingError{nameOf(ctx.Value), err.Error()}
				return *bad
			}
			*all = append(*all, v)
		}
		return nil
	}
}

// readKeys gives the keys of the file, which setting names, and of the environment, as auth.ParseKeys reads them.
func readKeys(file, setting string) (list string, err error) {
	add := func(setting, text string) error {
		if _, err := auth.ParseKeys(text + "\n"); err != nil {
			return &settingError{setting, err.Error()}
		}
		list += text + "\n"
		return nil
	}
	if file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return "", &settingError{setting, err.Error()}
		}
		if err := add(setting, string(text)); err != nil {
			return "", err
		}
	}
	if text := os.Getenv(keyVariable); text != "" {
		if err := add(keyVariable, text); err != nil {
			return "", err
		}
	}
	return list, nil
}
