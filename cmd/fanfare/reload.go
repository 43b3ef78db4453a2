package main

import (
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"fanfare/proto/auth"
)

// state is what a reload compares and replaces: it is made whole or not at all.
type state struct {
	settings settings
	texts    map[string]string // value by the name of the flag
	live     map[string]bool   // settings that a reload can change
	keys     auth.Keys
}

// readState reads flags, variables, settings file and key file.
func readState(args []string, std streams) (*state, error) {
	var line cli
	parsed, err := parse(&line, args, std)
	if err != nil {
		return nil, err
	}
	if err := line.Serve.check(line.sources); err != nil {
		return nil, err
	}
	s := &state{settings: line.Serve.settings, texts: map[string]string{}, live: map[string]bool{}}
	if s.keys, err = line.Serve.keys(line.sources); err != nil {
		return nil, err
	}
	for _, flag := range settingsOf(parsed.Selected()) {
		s.texts[flag.Name] = strings.Join(textOf(flag), " ")
		s.live[flag.Name] = isLive(flag)
	}
	return s, nil
}

// isLive tells whether a reload changes the setting in the running server.
func isLive(flag *kong.Flag) bool { return flag.Tag.Has("live") }

// changes lists what differs, as attributes of a log line: what holds now, as compared with the state before, and what waits for a
// restart, as compared with the one that the server began with. Secrets are only counted.
func (s *state) changes(old, first *state) (attrs []any) {
	var now, later []any
	for _, name := range slices.Sorted(maps.Keys(s.texts)) {
		switch text := s.texts[name]; {
		case s.live[name] && text != old.texts[name]:
			now = append(now, slog.String(name, old.texts[name]+" -> "+text))
		case !s.live[name] && text != first.texts[name]:
			later = append(later, slog.String(name, first.texts[name]+" -> "+text))
		}
	}
	if !reflect.DeepEqual(s.keys, old.keys) {
		now = append(now, slog.Group("publish-keys", "before", old.keys.Len(), "now", s.keys.Len()))
	}
	if len(now) > 0 {
		attrs = append(attrs, slog.Group("changed", now...))
	} else {
		attrs = append(attrs, "changed", "nothing")
	}
	if len(later) > 0 {
		attrs = append(attrs, slog.Group("needs-restart", later...))
	}
	return attrs
}
