package main

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"fanfare/proto/auth"
)

type configCmd struct {
	Check   configCheckCmd   `cmd:"" help:"Check every setting of 'fanfare serve', and the files that they name."`
	Show    configShowCmd    `cmd:"" help:"Print the settings with the source of each."`
	Example configExampleCmd `cmd:"" help:"Print a settings file with every setting explained."`
}

type configCheckCmd struct{ settings }

// Help shows what to type.
func (*configCheckCmd) Help() string {
	return "Says nothing if all is well; else what is wrong and where, with exit code 78. It takes the flags and variables of " +
		"'fanfare serve'.\n\n\tfanfare config check --config /etc/fanfare/fanfare.yaml"
}

// Run checks what parsing the settings has not.
func (c *configCheckCmd) Run(line *cli) error { return c.check(line.sources) }

// check looks at what the settings name: key files and dialects.
func (s *settings) check(from sources) error {
	if _, err := s.keys(from); err != nil {
		return err
	}
	names := dialectNames()
	for _, l := range s.Listen {
		if !slices.Contains(names, l.Dialect) {
			near, _ := nearest(l.Dialect, names)
			return &settingError{from.place("listen"), fmt.Sprintf("unknown dialect %q, did you mean %q?", l.Dialect, near)}
		}
	}
	return nil
}

// keys reads the keys that may publish.
func (s *settings) keys(from sources) (auth.Keys, error) {
	list, err := readKeys(s.PublishKeyFile, from.place("publish-key-file"))
	if err != nil {
		return auth.Keys{}, err
	}
	return auth.ParseKeys(list)
}

type configShowCmd struct {
	settings
	Effective bool `env:"-" help:"Also those that have their default."`
}

// Help shows what to type.
func (*configShowCmd) Help() string {
	return "What it prints is a settings file with the same effect. Secrets are masked.\n\n" +
		"\tfanfare config show --effective --config /etc/fanfare/fanfare.yaml"
}

// Run prints the settings.
func (c *configShowCmd) Run(std streams, line *cli, parsed *kong.Context) error {
	w := bufio.NewWriter(std.out)
	for _, flag := range settingsOf(parsed.Selected()) {
		from := line.sources[flag.Name]
		if from.origin == byDefault && !c.Effective {
			continue
		}
		writeSetting(w, flag, "# "+from.String(), flag.Name == configFlag || len(textOf(flag)) == 0 || textOf(flag)[0] == "")
	}
	if os.Getenv(keyVariable) != "" {
		_, _ = fmt.Fprintf(w, "# %s: ****  # env %s\n", "publish-key", keyVariable)
	}
	return w.Flush()
}

type configExampleCmd struct{}

// Run prints the example.
func (configExampleCmd) Run(std streams) error {
	var line cli
	var bad *settingError
	parser, err := newParser(&line, std, &bad)
	if err != nil {
		return err
	}
	serve, err := kong.Trace(parser, []string{"serve"})
	if err != nil {
		return err
	}
	w := bufio.NewWriter(std.out)
	_, _ = fmt.Fprint(w, exampleHead)
	group := ""
	for _, flag := range settingsOf(serve.Selected()) {
		if flag.Name == configFlag {
			continue
		}
		if flag.Group.Title != group {
			group = flag.Group.Title
			_, _ = fmt.Fprintf(w, "\n# ---- %s\n", strings.TrimSuffix(group, ":"))
		}
		_, _ = fmt.Fprintf(w, "\n# %s", flag.Help)
		if most := flag.Tag.Get("max"); most != "" {
			least := flag.Tag.Get("min")
			if least == "" {
				least = "0"
			}
			_, _ = fmt.Fprintf(w, " From %s to %s.", least, most)
		}
		_, _ = fmt.Fprintf(w, "\n#%s: %s\n", flag.Name, exampleValue(flag))
	}
	return w.Flush()
}

const exampleHead = `# Every setting of 'fanfare serve' with its default, made by 'make example'. Take the # off a line to change it; then
# 'fanfare config check --config FILE' says whether all is well. A flag or a variable wins over this file.
# Sizes are bytes, or 64KiB, 1MiB, 1GiB; durations 500ms, 15s, 1m.
`

func exampleValue(flag *kong.Flag) string {
	switch {
	case flag.HasDefault && isList(flag):
		return "[" + quoted(flag.Default) + "]"
	case flag.HasDefault:
		return quoted(flag.Default)
	case flag.IsBool():
		return "false"
	case isList(flag):
		return "[]"
	}
	return `""`
}

// writeSetting writes one setting as a line of a settings file; off makes it a comment.
func writeSetting(w *bufio.Writer, flag *kong.Flag, comment string, off bool) {
	values := textOf(flag)
	for i, v := range values {
		values[i] = quoted(v)
	}
	value := strings.Join(values, ", ")
	if isList(flag) {
		value = "[" + value + "]"
	}
	mark := ""
	if off {
		mark = "# "
	}
	_, _ = fmt.Fprintf(w, "%-40s %s\n", mark+flag.Name+": "+value, comment)
}
