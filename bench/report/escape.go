package report

import (
	"strings"
	"unicode"
)

// plain makes one line of s: what cannot be seen becomes a space, so that no string moves the cursor, breaks a row or turns the text round.
func plain(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(s, "\uFFFD"))
	return strings.Join(strings.Fields(s), " ")
}

// markdown makes s stand for itself in a cell, a heading or a list of Markdown.
func markdown(s string) string {
	var b strings.Builder
	s = plain(s)
	for i, r := range s {
		switch {
		case r == '<':
			b.WriteString("&lt;")
		case r == '>':
			b.WriteString("&gt;")
		case r == '&':
			b.WriteString("&amp;")
		case strings.ContainsRune("\\`*_[]|~#$", r), opensBlock(s, i):
			b.WriteByte('\\')
			b.WriteRune(r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// opensBlock says whether the character at i would begin a list or a rule: a sign in front, or the point behind a number in front.
func opensBlock(s string, i int) bool {
	switch s[i] {
	case '-', '+', '=':
		return i == 0
	case '.', ')':
		return i > 0 && strings.Trim(s[:i], "0123456789") == "" && (i+1 == len(s) || s[i+1] == ' ')
	}
	return false
}

// fence is a fenced block of s; the fence is longer than any in it.
func fence(s string) string {
	mark := "```"
	for strings.Contains(s, mark) {
		mark += "`"
	}
	return mark + "\n" + plain(s) + "\n" + mark + "\n"
}
