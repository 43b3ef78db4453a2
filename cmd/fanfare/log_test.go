package main

import (
	"bytes"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
)

// stuck is a reader of the log that takes one line and then nothing until it is freed.
type stuck struct {
	mu    sync.Mutex
	text  bytes.Buffer
	taken chan struct{}
	free  chan struct{}
	once  sync.Once
}

func (s *stuck) Write(p []byte) (int, error) {
	s.once.Do(func() { close(s.taken) })
	<-s.free
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

// TestLogNeverBlocks: whoever logs goes on when nobody reads the log; what is left out is counted, the rest is there in the end.
func TestLogNeverBlocks(t *testing.T) {
	s := &stuck{taken: make(chan struct{}), free: make(chan struct{})}
	w := newLogWriter(s, func(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) })
	if _, err := io.WriteString(w, "first\n"); err != nil {
		t.Fatal(err)
	}
	<-s.taken
	for range logLines + 7 {
		_, _ = io.WriteString(w, "line\n")
	}
	close(s.free)
	w.close()
	s.mu.Lock()
	defer s.mu.Unlock()
	text := s.text.String()
	if n := strings.Count(text, "line\n"); n != logLines {
		t.Errorf("%d lines, want %d", n, logLines)
	}
	if !strings.Contains(text, "lines_left_out=7\n") {
		t.Error("lines were left out silently")
	}
}
