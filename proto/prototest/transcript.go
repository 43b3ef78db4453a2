package prototest

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	gobwas "github.com/gobwas/ws"
)

// Replay runs the transcript in a file against the server at addr.
func Replay(t *testing.T, addr, file string) {
	t.Helper()
	text, err := os.ReadFile(file) //nolint:gosec // a test names its file
	if err != nil {
		t.Fatal(err)
	}
	p := &player{addr: addr, conns: make(map[string]*Client), holes: make(map[string]string)}
	defer p.close()
	p.lines = strings.Split(string(text), "\n")
	for p.at < len(p.lines) {
		line := p.lines[p.at]
		p.at++
		if line == "" || line[0] == '#' {
			continue
		}
		if err := p.step(line); err != nil {
			t.Fatalf("%s:%d: %s: %v", file, p.at, line, err)
		}
	}
}

type player struct {
	addr  string
	lines []string
	at    int
	conns map[string]*Client
	holes map[string]string
}

func (p *player) close() {
	for _, c := range p.conns {
		_ = c.Close()
	}
}

func (p *player) step(line string) error {
	i := strings.IndexAny(line, "=><!")
	if i < 0 {
		return errors.New("not a step")
	}
	name, verb, text := line[:i], line[i], line[i+1:]
	switch verb {
	case '=':
		return p.open(name, strings.TrimSpace(text))
	case '!':
		return p.call(strings.TrimSpace(text))
	}
	c := p.conns[name]
	if c == nil {
		return fmt.Errorf("no connection %q", name)
	}
	if verb == '<' {
		got, err := c.Text()
		if err != nil {
			return err
		}
		return p.match("<"+text, got)
	}
	if hexed, ok := strings.CutPrefix(text, "x "); ok {
		b, err := hex.DecodeString(hexed)
		if err != nil {
			return err
		}
		return c.Send(gobwas.OpBinary, b)
	}
	return c.Say(strings.TrimPrefix(text, " "))
}

// next gives the text of the following line if it begins with a ! and is of the wanted kind.
func (p *player) next(is func(string) bool) (string, bool) {
	if p.at == len(p.lines) || !strings.HasPrefix(p.lines[p.at], "! ") || !is(p.lines[p.at][2:]) {
		return "", false
	}
	p.at++
	return p.lines[p.at-1][2:], true
}

func isStatus(s string) bool {
	_, err := strconv.Atoi(strings.SplitN(s, " ", 2)[0])
	return err == nil
}

func isHeader(s string) bool { return regexp.MustCompile(`^[A-Za-z-]+:`).MatchString(s) }

func isBody(s string) bool { return strings.HasPrefix(s, "| ") }

func (p *player) headers() (lines string) {
	for {
		line, ok := p.next(isHeader)
		if !ok {
			return lines
		}
		lines += line + "\r\n"
	}
}

func (p *player) open(name, target string) error {
	c, refused, err := Open(p.addr, target, p.headers())
	if err != nil {
		return err
	}
	if c != nil {
		p.conns[name] = c
	}
	want, ok := p.next(isStatus)
	switch {
	case ok && c != nil:
		return fmt.Errorf("upgraded, wanted %s", want)
	case ok:
		return p.match(want, refused.line())
	case c == nil:
		return fmt.Errorf("refused: %s", refused.line())
	}
	return nil
}

func (a *Answer) line() string { return strings.TrimSpace(fmt.Sprintf("%d %s", a.Status, a.Body)) }

func (p *player) call(what string) error {
	method, target, ok := strings.Cut(what, " ")
	if !ok {
		return errors.New("no target")
	}
	headers := p.headers()
	body, _ := p.next(isBody)
	a, err := Call(p.addr, method, target, headers, strings.TrimPrefix(body, "| "))
	if err != nil {
		return err
	}
	want, ok := p.next(isStatus)
	if !ok {
		return fmt.Errorf("no status expected; got %s", a.line())
	}
	return p.match(want, a.line())
}

// match compares what came with what was expected, holes apart.
func (p *player) match(want, got string) error {
	hole := regexp.MustCompile(`\\\{\\\{(\w+)\\\}\\\}`)
	var names []string
	pattern := hole.ReplaceAllStringFunc(regexp.QuoteMeta(want), func(s string) string {
		name := strings.Trim(s, `\{}`)
		if v, ok := p.holes[name]; ok {
			return regexp.QuoteMeta(v)
		}
		names = append(names, name)
		return `([0-9-]+)`
	})
	m := regexp.MustCompile("^(?s:" + pattern + ")$").FindStringSubmatch(got)
	if m == nil {
		return fmt.Errorf("got %s", got)
	}
	for i, name := range names {
		p.holes[name] = m[i+1]
	}
	return nil
}
