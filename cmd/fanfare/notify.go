package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon" // maintained, and nothing but the standard library comes with it
	"golang.org/x/sys/unix"
)

// statusEvery is how often systemd gets new numbers.
const statusEvery = 5 * time.Second

// numbers is what the status line shows.
type numbers struct {
	connections int64
	deliveries  uint64
}

// service tells systemd how the server is. Without NOTIFY_SOCKET it says nothing.
type service struct {
	read    func() numbers
	stalled func() error // names the loop that does not tick
	log     *slog.Logger

	mu       sync.Mutex // held while a status is made and sent, so that an old one never comes last
	rate     float64    // deliveries a second
	draining bool
	refused  string // why the last reload was; "": it was not
}

// notify sends one message to the service manager, if there is one.
func (s *service) notify(state string) (sent bool) {
	sent, err := daemon.SdNotify(false, state)
	if err != nil {
		s.log.Debug("systemd cannot be told", "error", err)
	}
	return sent
}

// ready tells that the server serves, and keeps the status and the watchdog up to date until ctx ends.
func (s *service) ready(ctx context.Context) {
	if !s.notify("READY=1\nSTATUS=serving") {
		return
	}
	watchdog, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		s.log.Warn("systemd's watchdog is set wrongly", "error", err)
	}
	go s.watch(ctx, watchdog)
}

// watch reports every five seconds, and four times in the watchdog's interval when there is one.
func (s *service) watch(ctx context.Context, watchdog time.Duration) {
	every := statusEvery
	if watchdog > 0 {
		every = min(every, watchdog/4)
	}
	last, at := s.read(), time.Now()
	for sleep(ctx, every) { // also while it drains
		if watchdog > 0 {
			if err := s.stalled(); err != nil { // no WATCHDOG=1: systemd ends a server that stays so
				s.log.Error("the watchdog is not answered", "error", err)
			} else {
				s.notify("WATCHDOG=1")
			}
		}
		if time.Since(at) < min(statusEvery, 5*every) {
			continue
		}
		now := s.read()
		rate := float64(now.deliveries-last.deliveries) / time.Since(at).Seconds()
		s.tell("", func() { s.rate = rate })
		last, at = now, time.Now()
	}
}

// tell makes a change to what the status says and sends it, behind other lines that may be given.
func (s *service) tell(lines string, change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	s.notify(lines + "STATUS=" + s.status(s.read().connections))
}

// status is the line that systemctl shows; s.mu is held.
func (s *service) status(connections int64) string {
	if s.draining {
		return fmt.Sprintf("draining: %d connections left", connections)
	}
	line := fmt.Sprintf("%d connections, %.0f deliveries/s", connections, s.rate)
	if s.refused != "" {
		line += "; last reload refused: " + s.refused
	}
	return line
}

// drains tells that the server empties itself, and how long that may take.
func (s *service) drains(most time.Duration) {
	s.tell(fmt.Sprintf("STOPPING=1\nEXTEND_TIMEOUT_USEC=%d\n", most.Microseconds()), func() { s.draining = true })
}

// reloading brackets a reload: the returned function ends it, with what was wrong. systemctl takes a server that goes on for one that
// has reloaded; only the status can say that it has not.
func (s *service) reloading() (done func(refused error)) {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
	s.notify(fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", now.Nano()/1000))
	return func(refused error) {
		s.tell("READY=1\n", func() { s.refused = short(refused) })
	}
}

// short is an error's first line, and not all of it if that is long: the log has the rest. Errors of settings quote no keys.
func short(err error) string {
	if err == nil {
		return ""
	}
	const most = 200
	line, _, _ := strings.Cut(err.Error(), "\n")
	if len(line) > most {
		line = strings.ToValidUTF8(line[:most], "") + "…"
	}
	return line
}
