package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

// TestWarnings: what looks like a mistake is told, and nothing else is.
func TestWarnings(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	said := func(want ...string) {
		t.Helper()
		lines := strings.Count(log.String(), "\n")
		for _, w := range want {
			if !strings.Contains(log.String(), w) {
				t.Errorf("no %s in %s", w, log.String())
			}
		}
		if lines != len(want) {
			t.Errorf("%d lines, want %d: %s", lines, len(want), log.String())
		}
		log.Reset()
	}
	warnVariables(logger, []string{"FANFARE_MAX_CONNECTION=3", "FANFARE_PUBLISH_KEY=secret", "FANFARE_URL=x", "PATH=/", "FANFARE_PING=1s"}, []string{"max-connections", "ping"})
	said("variable=FANFARE_MAX_CONNECTION near=FANFARE_MAX_CONNECTIONS")
	warnCrowd(logger, 0)
	said()
	warnCrowd(logger, 1<<30)
	said("max-connections=1073741824")
}
