package main

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"fanfare/proto"
)

func writeFile(t *testing.T, name, text string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// inProcess runs fanfare without a process.
func inProcess(args ...string) (stdout, stderr string, code int) {
	var out, errs bytes.Buffer
	code = run(args, streams{strings.NewReader(""), &out, &errs})
	return out.String(), errs.String(), code
}

func TestPrecedence(t *testing.T) {
	file := writeFile(t, "f.yaml", "max-batch: 10\nmax-frames: 11\nmax-headers: 12\nlisten: [\"127.0.0.1:1\", \"unix:/x\"]\nopen: true\n")
	t.Setenv("FANFARE_CONFIG", file)
	t.Setenv("FANFARE_MAX_BATCH", "20")
	t.Setenv("FANFARE_MAX_FRAMES", "21")
	c, err := parsed(t, "serve", "--max-batch=30")
	if err != nil {
		t.Fatal(err)
	}
	if s := c.Serve; s.MaxBatch != 30 || s.MaxFrames != 21 || s.MaxHeaders != 12 || s.MaxTopic != 255 || !s.Open || len(s.Listen) != 2 {
		t.Errorf("got %+v", s.settings)
	}
	for name, want := range map[string]string{
		"max-batch": "flag --max-batch", "max-frames": "env FANFARE_MAX_FRAMES", "max-headers": "file " + file + ":3",
		"max-topic": "default", "config": "env FANFARE_CONFIG",
	} {
		if got := c.sources[name].String(); got != want {
			t.Errorf("%s comes from %q, want %q", name, got, want)
		}
	}
}

func TestFlagWinsOverFileForEverySetting(t *testing.T) {
	file := writeFile(t, "f.yaml", "listen: [\"127.0.0.1:1\", \"127.0.0.1:2\"]\nopen: true\nlog-level: debug\n")
	c, err := parsed(t, "serve", "--config", file, "--listen=127.0.0.1:3", "--open=false", "--log-level=error")
	if err != nil {
		t.Fatal(err)
	}
	if s := c.Serve; len(s.Listen) != 1 || s.Listen[0].Addr != "127.0.0.1:3" || s.Open || s.LogLevel != "error" {
		t.Errorf("got %+v", s.settings)
	}
}

func TestBadSettingsFiles(t *testing.T) {
	for name, tt := range map[string]struct{ text, want string }{
		"unknown key":        {"max-batch: 1\nmax-frams: 2\n", `:2:1: unknown setting "max-frams", did you mean "max-frames"?`},
		"nothing is near":    {"banana: 2\n", `:1:1: unknown setting "banana"; the nearest is "`},
		"a variable's name":  {"FANFARE_OPEN: true\n", `:1:1: unknown setting "FANFARE_OPEN"`},
		"itself":             {"config: x\n", `:1:1: "config" names this file`},
		"out of range":       {"\nping: 99h\n", `:2:7: ping: "99h" is not a duration from 1s to 24h`},
		"no size":            {"backlog: 64KB\n", `:1:10: backlog: "64KB" is not a size from 1KiB to 1GiB`},
		"no number":          {"max-batch: ten\n", `:1:12: max-batch: "ten" is not a whole number from 1 to 1000000`},
		"a fraction":         {"max-batch: 1.5\n", `:1:12: max-batch: "1.5" is not a whole number`},
		"none of the words":  {"slow: wait\n", `:1:7: slow: "wait" is none of disconnect, drop-oldest`},
		"no truth":           {"open: yes\n", `:1:7: open: "yes" is not true or false`},
		"nothing":            {"max-batch:\n", `:1:`},
		"a mapping":          {"limits:\n  max-batch: 1\n", `:1:1: unknown setting "limits"`},
		"a mapping as value": {"max-batch:\n  a: 1\n", `max-batch: `},
		"a list":             {"max-batch: [1, 2]\n", `:1:12: max-batch: this takes one value from 1 to 1000000`},
		"an empty list":      {"listen: []\n", `:1:9: listen: this takes one value or a list`},
		"a bad item":         {"listen:\n  - 127.0.0.1:1\n  - nowhere\n", `:3:5: listen: `},
		"twice":              {"open: true\nopen: false\n", `:2:1: mapping key "open" already defined at [1:1]`},
		"an anchor":          {"max-batch: &x 1\n", `:1:12: max-batch: `},
		"no YAML":            {"listen: [\n", `:1:9: sequence end token`},
		"a tab":              {"\tmax-batch: 1\n", `:1:`},
		"no mapping":         {"- a\n", `:1:1: this is no mapping of settings`},
		"two documents":      {"open: true\n---\nopen: false\n", `:2:1: a second document`},
		"unused yet bad":     {"max-head: 1\n", `:1:11: max-head: "1" is not a size`},
		"binary":             {"\x00\xff\xfe", ``},
	} {
		t.Run(name, func(t *testing.T) {
			file := writeFile(t, "f.yaml", tt.text)
			_, err := parsed(t, "serve", "--config", file, "--max-head=2KiB")
			if exitCode(err) != exitSetting {
				t.Fatalf("exit code %d of %v", exitCode(err), err)
			}
			if tt.want != "" && !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), file) {
				t.Errorf("got %v\nwant %s%s", err, file, tt.want)
			}
		})
	}
	if _, err := parsed(t, "serve", "--config=/does/not/exist"); exitCode(err) != exitSetting || !strings.Contains(err.Error(), "--config (FANFARE_CONFIG)") {
		t.Errorf("no file: %v", err)
	}
}

func TestAllThatIsWrongIsToldAtOnce(t *testing.T) {
	file := writeFile(t, "f.yaml", "a: 1\nping: 0s\nloops: 1000\n")
	stdout, stderr, code := inProcess("config", "check", "--config", file)
	if code != exitSetting || stdout != "" || strings.Count(stderr, "fanfare: "+file+":") != 3 {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
}

func TestConfigCheck(t *testing.T) {
	if stdout, stderr, code := inProcess("config", "check", "--config", "../../scripts/fanfare.example.yaml"); code != 0 || stdout+stderr != "" {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
	if _, stderr, code := inProcess("config", "check", "--publish-key-file=/does/not/exist"); code != exitSetting || !strings.Contains(stderr, "--publish-key-file") {
		t.Errorf("key file: exit code %d\n%s", code, stderr)
	}
	if _, stderr, code := inProcess("config", "check", "--listen=nosuch=127.0.0.1:0"); code != exitSetting || !strings.Contains(stderr, "nosuch") {
		t.Errorf("dialect: exit code %d\n%s", code, stderr)
	}
	for _, text := range []string{"publish-key-file: /does/not/exist\n", "listen: nosuch=127.0.0.1:0\n"} { // what is named is looked at later
		file := writeFile(t, "f.yaml", "ping: 1s\n"+text)
		setting, _, _ := strings.Cut(text, ":")
		if _, stderr, code := inProcess("config", "check", "--config", file); code != exitSetting || !strings.Contains(stderr, file+":2: "+setting+": ") {
			t.Errorf("exit code %d\n%s", code, stderr)
		}
	}
	if _, _, code := inProcess("config", "check", "--nonsense"); code != exitUsage {
		t.Errorf("usage: exit code %d", code)
	}
}

// TestConfigShowIsASettingsFile feeds what show prints back.
func TestConfigShowIsASettingsFile(t *testing.T) {
	file := writeFile(t, "f.yaml", "listen: [\"[::]:0,namespace=a\", \":1\", \"unix:/a-b\"]\nping: 90m\nclose-timeout: 1m30s\nbacklog: 3MiB\n")
	t.Setenv("FANFARE_MAX_TOPIC", "9")
	t.Setenv(keyVariable, "hidden-key")
	few, stderr, code := inProcess("config", "show", "--config", file, "--open")
	all, _, _ := inProcess("config", "show", "--effective", "--config", file, "--open")
	if code != 0 || strings.Contains(few+all, "hidden") || !strings.Contains(few, "****") || strings.Contains(few, "# default") {
		t.Errorf("exit code %d\n%s%s", code, few, stderr)
	}
	for _, want := range []string{"# flag --open", "# env FANFARE_MAX_TOPIC", "# file " + file + ":1"} {
		if !strings.Contains(few, want) {
			t.Errorf("no %q in\n%s", want, few)
		}
	}
	want, err := parsed(t, "serve", "--config", file, "--open")
	if err != nil {
		t.Fatal(err)
	}
	_ = os.Unsetenv("FANFARE_MAX_TOPIC")
	want.Serve.Config = ""
	for name, text := range map[string]string{"show": few, "show --effective": all} {
		again := writeFile(t, "again.yaml", text)
		got, err := parsed(t, "serve", "--config", again)
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, text)
		}
		got.Serve.Config = ""
		if !reflect.DeepEqual(got.Serve.settings, want.Serve.settings) {
			t.Errorf("%s:\ngot  %+v\nwant %+v\n%s", name, got.Serve.settings, want.Serve.settings, text)
		}
	}
	for _, flag := range serveFlags(t) {
		if !strings.Contains("\n"+strings.ReplaceAll(all, "# ", ""), "\n"+flag.Name+": ") {
			t.Errorf("--effective does not show %s", flag.Name)
		}
	}
}

func TestExampleIsCurrent(t *testing.T) {
	example, err := os.ReadFile("../../scripts/fanfare.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if now, _, code := inProcess("config", "example"); code != 0 || now != string(example) {
		t.Errorf("scripts/fanfare.example.yaml is old: 'make example' makes it")
	}
	var on strings.Builder // every setting without its #
	for line := range strings.Lines(string(example)) {
		if len(line) > 1 && line[0] == '#' && line[1] != ' ' {
			line = line[1:]
		}
		if !strings.HasSuffix(line, ": []\n") { // no value is no item
			on.WriteString(line)
		}
	}
	got, err := parsed(t, "serve", "--config", writeFile(t, "on.yaml", on.String()))
	if err != nil {
		t.Fatal(err)
	}
	want, err := parsed(t, "serve")
	if err != nil {
		t.Fatal(err)
	}
	got.Serve.Config = ""
	if !reflect.DeepEqual(got.Serve.settings, want.Serve.settings) {
		t.Errorf("got  %+v\nwant %+v", got.Serve.settings, want.Serve.settings)
	}
}

func TestTextsOfValues(t *testing.T) {
	for d, want := range map[time.Duration]string{
		time.Second: "1s", time.Minute: "1m", time.Hour: "1h", 90 * time.Minute: "1h30m", 500 * time.Millisecond: "500ms",
		10 * time.Minute: "10m", 20 * time.Hour: "20h", time.Hour + time.Second: "1h0m1s", 0: "0s",
	} {
		if got := text(reflect.ValueOf(d)); got != want {
			t.Errorf("%d: got %s, want %s", d, got, want)
		}
	}
	for s, want := range map[string]string{"a:1": "a:1", "": `""`, "[::]:0": `"[::]:0"`, "a,b": `"a,b"`, "*": `"*"`, "a: b": `"a: b"`, "#": `"#"`, "/a/b.c": "/a/b.c"} {
		if got := quoted(s); got != want {
			t.Errorf("%q: got %s, want %s", s, got, want)
		}
	}
}

func TestNearest(t *testing.T) {
	for word, want := range map[string]string{"max-frams": "max-frames", "pings": "ping", "maxbatch": "max-batch", "lisen": "listen"} {
		if got, _ := nearest(word, []string{"max-frames", "ping", "ping-grace", "max-batch", "listen"}); got != want {
			t.Errorf("%s: got %s, want %s", word, got, want)
		}
	}
	if proto.Edits("kitten", "sitting") != 3 || proto.Edits("", "abc") != 3 || proto.Edits("abc", "") != 3 || proto.Edits("same", "same") != 0 {
		t.Error("the distance of kitten and sitting is 3")
	}
}

// FuzzSettingsFile: whatever the file holds, reading it ends in settings or in an error that names it.
func FuzzSettingsFile(f *testing.F) {
	f.Add("max-batch: 20\nlisten: [\":8081\", \"[::]:0,namespace=x\"]\n")
	f.Add("open: true\nping: 1m # c\nslow: \"drop-oldest\"\n")
	f.Add("a: &x [1, {b: *x}]\n--- !!map\n? <<: |\n")
	f.Fuzz(func(t *testing.T, text string) {
		file := writeFile(t, "f.yaml", text)
		var c cli
		_, err := parse(&c, []string{"serve", "--config", file}, streams{strings.NewReader(""), &bytes.Buffer{}, &bytes.Buffer{}})
		if err != nil && (exitCode(err) != exitSetting || !strings.Contains(err.Error(), file)) {
			t.Errorf("%q: %v", text, err)
		}
	})
}
