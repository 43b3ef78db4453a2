//go:build faults

package main

import (
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// stalledLog starts the server with its log in a pipe of a page, which nobody reads until read is called. What is read is then in stderr.
func stalledLog(t *testing.T) (s *server, read func()) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, os.Getpagesize()); err != nil {
		t.Fatal(err)
	}
	s = under(t, "", w, "--log-level=debug")
	if err := w.Close(); err != nil { // the server has its own
		t.Fatal(err)
	}
	reading := make(chan struct{})
	close(reading)
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill() // the end of the log
		<-reading
		_ = r.Close()
	})
	return s, func() {
		reading = make(chan struct{})
		go func() {
			defer close(reading)
			_, _ = io.Copy(s.stderr, r)
		}()
	}
}

// reloads asks for n reloads, each of which writes a line, and waits for each: signals that come together are one.
func (c *control) reloads(n int) {
	c.t.Helper()
	const taken = "fanfare_config_last_reload_success_timestamp_seconds"
	for range n {
		before := c.metrics()[taken]
		time.Sleep(time.Millisecond) // which is what the metric tells apart
		c.s.signal(unix.SIGHUP)
		eventually(c.t, "a reload", func() bool { return c.metrics()[taken] != before })
	}
}

var leftOut = regexp.MustCompile(`lines_left_out=(\d+)`)

// TestFaultLogStalled: nobody reads the pipe with the log, and there is more to log than is kept. The server goes on; who reads again is told
// how many lines are missing, and gets all others.
func TestFaultLogStalled(t *testing.T) {
	const lines = logLines + 200 // a pipe of a page holds some 50
	s, read := stalledLog(t)
	c := watch(t, s, patience)
	before := c.calm()
	c.reloads(lines)
	c.restored(before)
	read()
	line := s.stderr.wait(t, "the reader of this log is too slow")
	lost, err := strconv.Atoi(leftOut.FindStringSubmatch(line)[1])
	if err != nil {
		t.Fatal(line, err)
	}
	c.reloads(1) // the last line, to know that all others have been written
	eventually(t, "every line is written or counted", func() bool { return strings.Count(s.stderr.all(), "msg=reloaded")+lost == lines+1 })
	t.Logf("%d lines, %d of them left out", lines, lost)
	if text := s.stderr.all(); lost == 0 || strings.Count(text, "lines_left_out=") != 1 || !strings.Contains(text, "msg=serving") {
		t.Errorf("%d lines left out, in\n%.4096s", lost, text)
	}
	c.restored(before)
	c.finish()
	s.stop()
	s.stderr.wait(t, "msg=stopping")
}

// TestFaultLogStalledAtTheEnd: a log that nobody reads does not keep the server from ending, longer than it waits for its last lines.
func TestFaultLogStalledAtTheEnd(t *testing.T) {
	s, _ := stalledLog(t)
	c := watch(t, s, patience)
	c.reloads(100) // more than the pipe holds
	c.finish()
	start := time.Now()
	s.stop()
	if took := time.Since(start); took < logFlush/2 || took > logFlush+2*time.Second {
		t.Errorf("it ended after %v, it waits %v for the log", took, logFlush)
	}
}
