package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"fanfare/fanout"
	"fanfare/loop"
	"fanfare/loop/http1"
	"fanfare/loop/ws"
	"fanfare/proto"
	"fanfare/proto/auth"
	"fanfare/proto/native"
)

type serveCmd struct{ settings }

// Run serves until SIGINT or SIGTERM; a second signal ends the process at once.
func (c *serveCmd) Run(std streams) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	signal.Ignore(syscall.SIGPIPE) // a log pipe that closes is no reason to stop serving
	lines := newLogWriter(std.err, c.logger)
	defer lines.close()
	log := c.logger(lines)
	list, err := readKeys(c.PublishKeyFile, "--publish-key-file (FANFARE_PUBLISH_KEY_FILE)")
	if err != nil {
		return err
	}
	keys, err := auth.ParseKeys(list)
	if err != nil {
		return err
	}
	loops := tune(c.Loops, os.DirFS("/"))
	server, group, err := c.wire(&auth.Policy{Keys: keys, Open: c.Open}, loops, log)
	if err != nil {
		return err
	}
	bound, err := c.listen(server)
	if err != nil {
		return err
	}
	if err := server.Start(); err != nil {
		return err
	}
	go group.Trim(ctx)
	if c.Open && keys.Len() == 0 {
		log.Warn("ANYONE who reaches these ports may publish: --open is set and there is no key")
	}
	for i, addr := range bound {
		log.Info("serving", pasteable(addr, c.Listen[i], keys.Len() > 0)...)
	}
	<-ctx.Done()
	stop()
	log.Info("stopping")
	server.Close()
	return nil
}

func (c *serveCmd) logger(w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{}
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err == nil { // the setting has been checked
		options.Level = level
	}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// wire makes the server of the settings; nothing listens yet.
func (c *serveCmd) wire(policy *auth.Policy, loops int, log *slog.Logger) (*proto.Server, *loop.Group, error) {
	class := loop.Disconnect
	if c.Slow == "drop-oldest" {
		class = loop.DropOldest
	}
	server, err := proto.New(proto.Config{
		Hub: fanout.NewHub(fanout.Config{TopicBytes: int(c.MaxUndelivered), TotalBytes: int(memory() / 8)}),
		Dialects: []proto.Dialect{native.New(native.Config{
			Auth:          *policy,
			MaxPayload:    int(c.MaxPayload),
			MaxBody:       int(c.MaxBody),
			MaxItems:      c.MaxBatch,
			TopicBytes:    c.MaxTopic,
			Subscriptions: c.MaxSubscriptions,
			Ping:          c.Ping,
			Grace:         c.PingGrace,
			Class:         class,
		})},
		Version: version,
		MaxHead: int(c.MaxHead),
		Log:     log,
	})
	if err != nil {
		return nil, nil, err
	}
	group, err := loop.New(loop.Config{
		Loops:   loops,
		Handler: server,
		Limits: loop.Limits{
			Request:    http1.Limits{Head: int(c.MaxHead), Headers: c.MaxHeaders},
			Message:    ws.Limits{Message: int(c.MaxMessage), Frames: c.MaxFrames},
			Backlog:    int(c.Backlog),
			BacklogAge: c.BacklogAge,
			Handshake:  c.HandshakeTimeout,
			Close:      c.CloseTimeout,
		},
		Log: log,
	})
	if err != nil {
		return nil, nil, err
	}
	server.Attach(group)
	return server, group, nil
}

// listen binds every address; what is bound when one fails goes with the process.
func (c *serveCmd) listen(server *proto.Server) (bound []net.Addr, err error) {
	for _, l := range c.Listen {
		addr, err := server.Listen(l)
		if _, ok := errors.AsType[syscall.Errno](err); ok {
			return nil, err
		}
		if err != nil { // no dialect of that name, no such host
			return nil, &settingError{"--listen (FANFARE_LISTEN)", err.Error()}
		}
		bound = append(bound, addr)
	}
	return bound, nil
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
