package main

import (
	"bytes"
	"io"
	"log/slog"
	"sync/atomic"
	"time"
)

const (
	logLines = 1024        // that wait for a reader of the log that is slow
	logFlush = time.Second // for the last of them, at the end
)

// logWriter passes lines on to a writer that may block: a paused terminal, a stuck log shipper. Write never does, since event loops
// log; lines beyond 1,024 are left out, and counted.
type logWriter struct {
	to    io.Writer
	lines chan []byte // nil: somebody waits for flushed
	lost  atomic.Int64
	note  func(w io.Writer) *slog.Logger // makes the line that tells of lost ones
	flush chan struct{}
}

func newLogWriter(to io.Writer, note func(io.Writer) *slog.Logger) *logWriter {
	w := &logWriter{to: to, lines: make(chan []byte, logLines), note: note, flush: make(chan struct{})}
	go w.run()
	return w
}

// Write takes one line.
func (w *logWriter) Write(line []byte) (int, error) {
	select {
	case w.lines <- bytes.Clone(line):
	default:
		w.lost.Add(1)
	}
	return len(line), nil
}

func (w *logWriter) run() {
	for line := range w.lines {
		if line == nil {
			close(w.flush)
			return
		}
		if n := w.lost.Swap(0); n > 0 {
			w.note(w.to).Warn("the reader of this log is too slow", "lines_left_out", n)
		}
		_, _ = w.to.Write(line) // a log that is gone is no reason to stop serving
	}
}

// close waits for the lines that were written, for a second at most.
func (w *logWriter) close() {
	deadline := time.NewTimer(logFlush)
	defer deadline.Stop()
	select {
	case w.lines <- nil:
	case <-deadline.C:
		return
	}
	select {
	case <-w.flush:
	case <-deadline.C:
	}
}
