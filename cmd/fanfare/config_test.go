package main

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"fanfare/proto"
	"fanfare/proto/auth"
)

func parsed(t *testing.T, args ...string) (*cli, error) {
	t.Helper()
	var c cli
	_, err := parse(&c, args, streams{strings.NewReader(""), &bytes.Buffer{}, &bytes.Buffer{}})
	return &c, err
}

func TestDefaults(t *testing.T) {
	c, err := parsed(t, "serve")
	if err != nil {
		t.Fatal(err)
	}
	want := settings{
		Listen:           listeners{{Dialect: "native", Addr: "127.0.0.1:8080", Namespace: "default"}},
		MemoryWatermark:  90,
		CommandRate:      50,
		DrainWindow:      10 * time.Second,
		DrainTimeout:     30 * time.Second,
		LogLevel:         "info",
		LogFormat:        "text",
		MaxMessage:       64 << 10,
		MaxFrames:        1024,
		MaxPayload:       64 << 10,
		MaxBody:          1 << 20,
		MaxBatch:         1000,
		MaxHead:          8 << 10,
		MaxHeaders:       100,
		MaxTopic:         255,
		MaxSubscriptions: 256,
		Slow:             "disconnect",
		Backlog:          256 << 10,
		BacklogAge:       15 * time.Second,
		MaxUndelivered:   8 << 20,
		HandshakeTimeout: 10 * time.Second,
		MessageTimeout:   30 * time.Second,
		CloseTimeout:     5 * time.Second,
		Ping:             30 * time.Second,
		PingGrace:        15 * time.Second,
	}
	if !reflect.DeepEqual(c.Serve.settings, want) {
		t.Errorf("got  %+v\nwant %+v", c.Serve.settings, want)
	}
}

// TestEverySettingByFlagVariableAndFile gives each setting a value in three ways, and one outside its range in three ways.
func TestEverySettingByFlagVariableAndFile(t *testing.T) {
	tried := map[string]bool{}
	for _, tt := range []struct {
		flag, good, bad string
		get             func(s *settings) any
		want            any
	}{
		{"config", os.DevNull, "/does/not/exist", func(s *settings) any { return s.Config }, os.DevNull},
		{"listen", "[::]:0,namespace=a", "8080", func(s *settings) any { return s.Listen }, listeners{{Dialect: "native", Addr: "[::]:0", Namespace: "a"}}},
		{"admin-listen", "127.0.0.1:9", "9", func(s *settings) any { return s.AdminListen }, adminAddress("127.0.0.1:9")},
		{"max-connections", "5", "-1", func(s *settings) any { return s.MaxConnections }, 5},
		{"accept-rate", "5", "1.5", func(s *settings) any { return s.AcceptRate }, 5},
		{"memory-watermark", "50", "101", func(s *settings) any { return s.MemoryWatermark }, 50},
		{"per-address", "5", "many", func(s *settings) any { return s.PerAddress }, 5},
		{"trusted-proxy", "10.1.2.3/8", "10.0.0.0/33", func(s *settings) any { return s.TrustedProxy }, proxies{netip.MustParsePrefix("10.0.0.0/8")}},
		{"origin", "https://*.example.com", "example.com", func(s *settings) any { return s.Origin }, origins{"https://*.example.com"}},
		{"command-rate", "5", "-5", func(s *settings) any { return s.CommandRate }, 5},
		{"slow-topic", "ticker.*=conflate", "ticker.*=never", func(s *settings) any { return s.SlowTopic }, topicPolicies{"ticker.*=conflate"}},
		{"backlog-total", "1GiB", "lots", func(s *settings) any { return s.BacklogTotal }, Size(1 << 30)},
		{"drain-wait", "5s", "-1s", func(s *settings) any { return s.DrainWait }, 5 * time.Second},
		{"drain-window", "1m", "2h", func(s *settings) any { return s.DrainWindow }, time.Minute},
		{"drain-timeout", "1m", "0s", func(s *settings) any { return s.DrainTimeout }, time.Minute},
		{"loops", "2", "300", func(s *settings) any { return s.Loops }, 2},
		{"open", "true", "", func(s *settings) any { return s.Open }, true},
		{"publish-key-file", "/k", "", func(s *settings) any { return s.PublishKeyFile }, "/k"},
		{"log-level", "debug", "loud", func(s *settings) any { return s.LogLevel }, choice("debug")},
		{"log-format", "json", "xml", func(s *settings) any { return s.LogFormat }, choice("json")},
		{"max-message", "1MiB", "17MiB", func(s *settings) any { return s.MaxMessage }, Size(1 << 20)},
		{"max-frames", "1", "0", func(s *settings) any { return s.MaxFrames }, 1},
		{"max-payload", "100", "64KB", func(s *settings) any { return s.MaxPayload }, Size(100)},
		{"max-body", "2MiB", "-1", func(s *settings) any { return s.MaxBody }, Size(2 << 20)},
		{"max-batch", "10", "ten", func(s *settings) any { return s.MaxBatch }, 10},
		{"max-head", "16KiB", "1", func(s *settings) any { return s.MaxHead }, Size(16 << 10)},
		{"max-headers", "50", "5", func(s *settings) any { return s.MaxHeaders }, 50},
		{"max-topic", "64", "256", func(s *settings) any { return s.MaxTopic }, 64},
		{"max-subscriptions", "8", "70000", func(s *settings) any { return s.MaxSubscriptions }, 8},
		{"slow", "drop-oldest", "wait", func(s *settings) any { return s.Slow }, choice("drop-oldest")},
		{"backlog", "1KiB", "2GiB", func(s *settings) any { return s.Backlog }, Size(1 << 10)},
		{"backlog-age", "1m", "0s", func(s *settings) any { return s.BacklogAge }, time.Minute},
		{"max-undelivered", "64KiB", "99999999999GiB", func(s *settings) any { return s.MaxUndelivered }, Size(64 << 10)},
		{"handshake-timeout", "2s", "2", func(s *settings) any { return s.HandshakeTimeout }, 2 * time.Second},
		{"message-timeout", "1m", "1ms", func(s *settings) any { return s.MessageTimeout }, time.Minute},
		{"close-timeout", "2s", "20m", func(s *settings) any { return s.CloseTimeout }, 2 * time.Second},
		{"ping", "1m", "-1s", func(s *settings) any { return s.Ping }, time.Minute},
		{"ping-grace", "1m", "soon", func(s *settings) any { return s.PingGrace }, time.Minute},
	} {
		tried[tt.flag] = true
		t.Run(tt.flag, func(t *testing.T) {
			variable := "FANFARE_" + strings.ToUpper(strings.ReplaceAll(tt.flag, "-", "_"))
			good := func(c *cli, err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
				if got := tt.get(&c.Serve.settings); !reflect.DeepEqual(got, tt.want) {
					t.Errorf("got %v, want %v", got, tt.want)
				}
			}
			bad := func(_ *cli, err error) {
				t.Helper()
				if exitCode(err) != exitSetting {
					t.Fatalf("exit code %d of %v", exitCode(err), err)
				}
				for _, part := range []string{"--" + tt.flag, variable, `"` + tt.bad + `"`} {
					if !strings.Contains(err.Error(), part) {
						t.Errorf("%q does not name %s", err, part)
					}
				}
			}
			good(parsed(t, "serve", "--"+tt.flag+"="+tt.good))
			if tt.bad != "" {
				bad(parsed(t, "serve", "--"+tt.flag+"="+tt.bad))
				t.Setenv(variable, tt.bad)
				bad(parsed(t, "serve"))
			}
			t.Setenv(variable, tt.good)
			good(parsed(t, "serve"))
			if tt.flag == configFlag {
				return
			}
			_ = os.Unsetenv(variable)
			good(parsed(t, "serve", "--config", writeFile(t, "good.yaml", tt.flag+": "+quoted(tt.good)+"\n")))
			if tt.bad != "" {
				file := writeFile(t, "bad.yaml", "# first line\n"+tt.flag+": "+quoted(tt.bad)+"\n")
				_, err := parsed(t, "serve", "--config", file)
				if want := fmt.Sprintf("%s:2:%d: %s: ", file, len(tt.flag)+3, tt.flag); exitCode(err) != exitSetting ||
					!strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), strconv.Quote(tt.bad)) {
					t.Errorf("%v does not begin with %s or does not name %q", err, want, tt.bad)
				}
			}
		})
	}
	for _, flag := range serveFlags(t) {
		if !tried[flag.Name] {
			t.Errorf("--%s is not tried here", flag.Name)
		}
	}
}

func serveFlags(t *testing.T) []*kong.Flag {
	t.Helper()
	var bad *settingError
	parser, err := newParser(&cli{}, streams{}, &bad)
	if err != nil {
		t.Fatal(err)
	}
	serve := slices.IndexFunc(parser.Model.Children, func(n *kong.Node) bool { return n.Name == "serve" })
	return parser.Model.Children[serve].Flags
}

func TestSettingsHaveHelpAndRange(t *testing.T) {
	for _, flag := range serveFlags(t) {
		if flag.Help == "" || flag.Group == nil || len(flag.Envs) != 1 {
			t.Errorf("--%s: help %q, group %v, variables %v", flag.Name, flag.Help, flag.Group, flag.Envs)
		}
		if k := flag.Target.Kind(); k == reflect.Int || k == reflect.Int64 {
			if flag.Tag.Get("max") == "" || flag.Default == "" {
				t.Errorf("--%s has no upper bound or no default", flag.Name)
			}
		}
	}
}

func TestFlagWinsOverVariable(t *testing.T) {
	t.Setenv("FANFARE_MAX_BATCH", "10")
	c, err := parsed(t, "serve", "--max-batch=20")
	if err != nil || c.Serve.MaxBatch != 20 {
		t.Errorf("got %d, %v", c.Serve.MaxBatch, err)
	}
}

func TestListenIsRepeatable(t *testing.T) {
	want := listeners{
		{Dialect: "native", Addr: "127.0.0.1:1", Namespace: "a"},
		{Dialect: "native", Addr: "unix:/x", Namespace: "default"},
	}
	c, err := parsed(t, "serve", "--listen", "127.0.0.1:1,namespace=a", "--listen=unix:/x")
	if err != nil || !slices.Equal(c.Serve.Listen, want) {
		t.Errorf("flags: got %+v, %v", c.Serve.Listen, err)
	}
	t.Setenv("FANFARE_LISTEN", "127.0.0.1:1,namespace=a unix:/x")
	c, err = parsed(t, "serve")
	if err != nil || !slices.Equal(c.Serve.Listen, want) {
		t.Errorf("variable: got %+v, %v", c.Serve.Listen, err)
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]Size{"0": 0, "65536": 64 << 10, "64KiB": 64 << 10, "1 MiB": 1 << 20, "2GiB": 2 << 30} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err != nil || s != want {
			t.Errorf("%s: got %d, %v", text, s, err)
		}
	}
	for _, text := range []string{"", "KiB", "-1", "1.5MiB", "64kb", "9223372036854775808", "9007199254740992KiB"} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken as %d", text, s)
		}
	}
	for s, want := range map[Size]string{0: "0", 100: "100", 1 << 10: "1KiB", 3 << 20: "3MiB", 1 << 30: "1GiB", 1<<20 + 1: "1048577"} {
		if s.String() != want {
			t.Errorf("%d: got %s, want %s", int(s), s, want)
		}
	}
}

func TestBadCommandLines(t *testing.T) {
	for _, line := range []string{"", "dance", "serve --lisen=:80", "serve now", "publish", "listen", "serve --listen", "serve --publish-key=x"} {
		_, err := parsed(t, strings.Fields(line)...)
		if exitCode(err) != exitUsage {
			t.Errorf("%q: exit code %d of %v", line, exitCode(err), err)
		}
	}
}

// TestSettingsOfOtherCommands: what serve cannot use does not stop publish.
func TestSettingsOfOtherCommands(t *testing.T) {
	t.Setenv("FANFARE_MAX_PAYLOAD", "huge")
	if _, err := parsed(t, "publish", "news", "x"); err != nil {
		t.Error(err)
	}
	if _, err := parsed(t, "publish", "--nonsense", "news", "x"); exitCode(err) != exitUsage {
		t.Errorf("exit code %d of %v", exitCode(err), err)
	}
}

func TestSlowPoliciesAreThose(t *testing.T) {
	for _, flag := range serveFlags(t) {
		if words := strings.Fields(flag.Tag.Get("oneof")); flag.Name == "slow" && !slices.Equal(words, proto.PolicyNames()) {
			t.Errorf("--slow takes %v, there are %v", words, proto.PolicyNames())
		}
	}
}

func TestListsAreRepeatable(t *testing.T) {
	t.Setenv("FANFARE_ORIGIN", "https://a.example http://b.example:81")
	c, err := parsed(t, "serve", "--trusted-proxy=10.0.0.1", "--trusted-proxy=fd00::/8", "--slow-topic=a=conflate", "--slow-topic=*=drop-newest")
	if err != nil {
		t.Fatal(err)
	}
	s := c.Serve
	want := proxies{netip.MustParsePrefix("10.0.0.1/32"), netip.MustParsePrefix("fd00::/8")}
	if len(s.Origin) != 2 || !slices.Equal(s.TrustedProxy, want) || !slices.Equal(s.SlowTopic, topicPolicies{"a=conflate", "*=drop-newest"}) {
		t.Errorf("got %+v", s.settings)
	}
}

func TestPublishKeys(t *testing.T) {
	write := func(text string) string {
		path := filepath.Join(t.TempDir(), "keys")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const flag = "--publish-key-file (FANFARE_PUBLISH_KEY_FILE)"
	if keys, err := readKeys("", flag); err != nil || keys != "" {
		t.Errorf("none: got %q, %v", keys, err)
	}
	t.Setenv(keyVariable, "c, d")
	list, err := readKeys(write("a\n\n  b\r\n"), flag)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := auth.ParseKeys(list)
	if err != nil || keys.Len() != 4 {
		t.Errorf("got %d keys, %v", keys.Len(), err)
	}
	for _, key := range []string{"a", "b", "c", "d"} {
		if !keys.Has(key) {
			t.Errorf("%s is no key", key)
		}
	}
	t.Setenv(keyVariable, "")
	for name, file := range map[string]string{"missing": "/does/not/exist", "blank": write("\n"), "empty": write(""), "control": write("secret\x01")} {
		_, err := readKeys(file, flag)
		if exitCode(err) != exitSetting || !strings.Contains(err.Error(), flag) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error shows the key: %v", name, err)
		}
	}
	t.Setenv(keyVariable, ",")
	if _, err := readKeys("", flag); exitCode(err) != exitSetting || !strings.Contains(err.Error(), keyVariable) {
		t.Errorf("no key in the list: %v", err)
	}
}

func TestBackoff(t *testing.T) {
	for failures := range 100 {
		bound := min(firstBackoff<<min(failures, 10), mostBackoff)
		var most time.Duration
		for range 200 {
			d := backoff(failures)
			if d <= 0 || d > bound {
				t.Fatalf("%v after %d failures, bound %v", d, failures, bound)
			}
			most = max(most, d)
		}
		if most < bound/2 {
			t.Errorf("200 draws after %d failures stay below %v of %v", failures, most, bound)
		}
	}
}

func TestReadmeListsEverySetting(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, flag := range serveFlags(t) {
		want := "| `--" + flag.Name + "` | `" + flag.Envs[0] + "` | "
		if flag.Default != "" {
			want += "`" + flag.Default + "` |"
		}
		if !strings.Contains(string(readme), "\n"+want) {
			t.Errorf("README.md has no row that begins with %s", want)
		}
	}
}
