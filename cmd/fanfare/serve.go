package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"fanfare/proto"
)

type serveCmd struct{ settings }

// Run serves until SIGTERM, which drains, or SIGINT; a second signal ends the process at once. SIGHUP reads settings and keys anew.
func (c *serveCmd) Run(std streams, line *cli) error {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	signal.Ignore(syscall.SIGPIPE) // a log pipe that closes is no reason to stop serving
	now, err := readState(line.args, std)
	if err != nil {
		return err
	}
	r := &running{args: line.args, std: std, first: now, now: now}
	lines := newLogWriter(std.err, func(w io.Writer) *slog.Logger { return c.logger(w, &r.level) })
	defer lines.close()
	r.log = c.logger(lines, &r.level)
	if err := r.wire(tune(c.Loops, os.DirFS("/"))); err != nil {
		return err
	}
	bound, err := r.listen(line.sources["listen"].origin == byDefault)
	if err != nil {
		return err
	}
	if err := r.server.Start(); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go r.group.Trim(ctx)
	r.warn()
	if c.Open && now.keys.Len() == 0 {
		r.log.Warn("ANYONE who reaches these ports may publish: --open is set and there is no key")
	}
	for _, b := range bound {
		if b.admin {
			r.log.Info("admin", "address", b.addr.String())
			continue
		}
		r.log.Info("serving", pasteable(b.addr, b.as, now.keys.Len() > 0)...)
	}
	systemd := r.service()
	systemd.ready(ctx)
	last := r.obey(signals, systemd)
	signal.Reset(syscall.SIGINT, syscall.SIGTERM)
	r.log.Info("stopping", "signal", last.String())
	if last == syscall.SIGTERM {
		systemd.drains(r.now.settings.drainTime() + patient)
		r.drain()
	} else {
		systemd.notify("STOPPING=1\nSTATUS=stopping")
	}
	stop()
	r.server.Close()
	return nil
}

// patient is what systemd allows beyond the drain.
const patient = 10 * time.Second

// obey reloads at each SIGHUP and returns the first other signal.
func (r *running) obey(signals <-chan os.Signal, systemd *service) os.Signal {
	for s := range signals {
		if s != syscall.SIGHUP {
			return s
		}
		done := systemd.reloading()
		done(r.reload())
	}
	return syscall.SIGTERM
}

func (s *settings) logger(w io.Writer, level *slog.LevelVar) *slog.Logger {
	s.setLevel(level)
	options := &slog.HandlerOptions{Level: level}
	if s.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

func (s *settings) setLevel(to *slog.LevelVar) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(s.LogLevel)); err == nil { // the setting has been checked
		to.Set(level)
	}
}

// pasteable says where the server is, and two commands that work as they stand.
func pasteable(addr net.Addr, l proto.Listen, keys bool) []any {
	header := ""
	if keys {
		header = " -H 'Authorization: Bearer KEY'"
	}
	attrs := []any{"dialect", l.Dialect, "namespace", l.Namespace}
	if addr.Network() == "unix" {
		return append(attrs, "url", "unix:"+addr.String(),
			"publish", fmt.Sprintf("curl --unix-socket '%s'%s -d hello 'http://localhost/broadcast?topic=news'", addr, header))
	}
	host := addr.String()
	if tcp, ok := addr.(*net.TCPAddr); ok && (tcp.IP == nil || tcp.IP.IsUnspecified()) {
		host = net.JoinHostPort("localhost", strconv.Itoa(tcp.Port))
	}
	listen := os.Args[0] + " listen "
	if host != "127.0.0.1:8080" {
		listen += "--url http://" + host + " "
	}
	return append(attrs, "url", "http://"+host, "websocket", "ws://"+host+"/ws?topic=news",
		"publish", fmt.Sprintf("curl%s -d hello 'http://%s/broadcast?topic=news'", header, host), "listen", listen+"news")
}
