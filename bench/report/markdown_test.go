package report

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"fanfare/bench/result"
)

// cells splits a row as GitHub does: at bars that no backslash precedes.
func cells(row string) int { return len(regexp.MustCompile(`(?:^|[^\\])\|`).FindAllString(row, -1)) }

// TestStringsStayText checks that no string of a report opens a tag, a cell, a row, a heading or a block.
func TestStringsStayText(t *testing.T) {
	text := string(rendered(t, hostileReport(), map[string]string{hostile: hostile}, Recorded{hostile, hostile, hostile, hostile, hostile}))
	_, text, _ = strings.Cut(text, "\n`````\n")
	text = text[strings.Index(text, "`````")+5:] // behind the command
	columns := 0
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "| ") {
			if n := cells(strings.ReplaceAll(line, `\\`, "")); columns != 0 && n != columns {
				t.Errorf("%d bars instead of %d: %s", n, columns, line)
			} else {
				columns = n
			}
		} else {
			columns = 0
		}
		if regexp.MustCompile(`^(#+ (c |.*[^\\]#)|- [-+#]|- 1\. |\s*<[a-z]|>)`).MatchString(line) || strings.Contains(line, "<script") {
			t.Errorf("text became markup: %s", line)
		}
		if strings.ContainsAny(line, "\x00\x1b\r\t\u202e") {
			t.Errorf("unseen characters: %q", line)
		}
	}
}

func TestEscapes(t *testing.T) {
	for in, want := range map[string]string{
		"uWebSockets.js 20":   "uWebSockets.js 20",
		"a|b":                 `a\|b`,
		`a\|b`:                `a\\\|b`,
		"<b>&amp;":            "&lt;b&gt;&amp;amp;",
		"# x":                 `\# x`,
		"- x":                 `\- x`,
		"1. x":                `1\. x`,
		"6.18":                "6.18",
		" a\n\n\tb ":          "a b",
		"a\u202eb\x1b[0m\x00": `a b \[0m`,
		"\xff":                "\uFFFD",
		"":                    "",
	} {
		if got := markdown(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

func TestDigits(t *testing.T) {
	for in, want := range map[float64]string{0: "0", 1: "1.00", 0.1234: "0.123", 12.34: "12.3", 123.4: "123", 1234567: "1,234,567", -4321: "-4,321", 1e-9: "0.000000"} {
		if got := digits(in); got != want {
			t.Errorf("%v became %s, want %s", in, got, want)
		}
	}
	for text, s := range map[string]Spread{"1.52 µs (0.990–2,000)": {1520, 990, 2e6, 3}, "–": {}, "5.00 ns": {5, 5, 5, 1}} {
		if got := nanoseconds.format(s); got != text {
			t.Errorf("%v became %s, want %s", s, got, text)
		}
	}
}

func TestFailedRunsHaveNoNumbers(t *testing.T) {
	run := result.Run{Scenario: Fanout, Server: "p", Round: 1, Shape: result.Shape{Connections: 7}, Failure: "garbage: HTTP 400"}
	run.CPU.PerDelivery, run.Reach.Last, run.Account.Missing, run.Load.Bound = 4321, 4321, 4321, true
	text := string(rendered(t, &result.Report{Runs: []result.Run{run}}, nil))
	if !strings.Contains(text, "| p | 7 | 0 | round 1 failed: garbage: HTTP 400 |") || strings.Contains(text, "4,321") || strings.Contains(text, "4.32") {
		t.Error(text)
	}
}

type full struct{}

var errFull = errors.New("full")

// Write takes nothing.
func (full) Write([]byte) (int, error) { return 0, errFull }

func TestErrorsOfTheWriterAreGivenBack(t *testing.T) {
	errs := []error{Markdown(full{}, sample(), nil), WriteRatios(full{}, sample(), Floor), WriteRatios(full{}, tooDear(), Floor), SVG(full{}, Charts(sample())[0])}
	for i, err := range errs {
		if !errors.Is(err, errFull) {
			t.Errorf("%d: %v", i, err)
		}
	}
}
