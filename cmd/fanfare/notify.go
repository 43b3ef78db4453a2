package main

import (
	"context"
	"fmt"
	"log/slog"
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
		s.notify(fmt.Sprintf("STATUS=%d connections, %.0f deliveries/s", now.connections, rate))
		last, at = now, time.Now()
	}
}

// reloading brackets a reload: the returned function ends it.
func (s *service) reloading() (done func()) {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
	s.notify(fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", now.Nano()/1000))
	return func() { s.notify("READY=1") }
}
