package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math"
	"time"

	"golang.org/x/sys/unix"

	"fanfare/fanout"
	"fanfare/loop"
	"fanfare/loop/http1"
	"fanfare/loop/kernel"
	"fanfare/loop/ws"
	"fanfare/proto"
	"fanfare/proto/auth"
	"fanfare/proto/native"
)

// running is a server and what a reload needs.
type running struct {
	args   []string
	std    streams
	first  *state // what it began with
	now    *state
	level  slog.LevelVar
	log    *slog.Logger
	hub    *fanout.Hub
	native *native.Dialect
	server *proto.Server
	group  *loop.Group
}

// dialectNames are what --listen may name.
func dialectNames() []string { return []string{proto.DefaultDialect} }

// native is what the native dialect is told.
func (s *settings) native(keys auth.Keys) native.Config {
	class, _ := proto.ParsePolicy(string(s.Slow)) // both have been checked
	policies, _ := proto.ParseTopicPolicies(s.SlowTopic)
	rate := s.CommandRate
	if rate == 0 {
		rate = -1
	}
	return native.Config{
		Auth:          auth.Policy{Keys: keys, Open: s.Open},
		MaxPayload:    int(s.MaxPayload),
		MaxBody:       int(s.MaxBody),
		MaxItems:      s.MaxBatch,
		TopicBytes:    s.MaxTopic,
		Subscriptions: s.MaxSubscriptions,
		Ping:          s.Ping,
		Grace:         s.PingGrace,
		Class:         class,
		Policies:      policies,
		Rate:          rate,
	}
}

// limits are those of one connection.
func (s *settings) limits() loop.Limits {
	return loop.Limits{
		Request:    http1.Limits{Head: int(s.MaxHead), Headers: s.MaxHeaders},
		Message:    ws.Limits{Message: int(s.MaxMessage), Frames: s.MaxFrames},
		Backlog:    int(s.Backlog),
		BacklogAge: s.BacklogAge,
		Handshake:  s.HandshakeTimeout,
		Unfinished: s.MessageTimeout,
		Close:      s.CloseTimeout,

		BacklogTotal: cmp.Or(int64(s.BacklogTotal), memory()/4),
	}
}

// reloadable is what of the settings may change while serving.
func (s *state) reloadable() proto.Reloadable {
	origins, _ := auth.ParseOrigins(s.settings.Origin) // which has been checked
	most := s.settings.MaxConnections
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err == nil && most == 0 {
		most = int(min(limit.Cur, math.MaxInt32))
		most = max(most-kernel.Spare(most), 1)
	}
	return proto.Reloadable{
		Auth:         auth.Policy{Keys: s.keys, Open: s.settings.Open},
		Origins:      origins,
		PerAddress:   s.settings.PerAddress,
		Proxies:      s.settings.TrustedProxy,
		BacklogTotal: s.settings.limits().BacklogTotal,
		Admission: loop.Admission{
			Conns: most, Rate: s.settings.AcceptRate, Memory: memory() / 100 * int64(s.settings.MemoryWatermark),
		},
	}
}

// wire makes the server of the settings; nothing listens yet.
func (r *running) wire(loops int) (err error) {
	s := &r.now.settings
	r.hub = fanout.NewHub(fanout.Config{TopicBytes: int(s.MaxUndelivered), TotalBytes: int(memory() / 8)})
	r.native = native.New(s.native(r.now.keys))
	live := r.now.reloadable()
	r.server, err = proto.New(proto.Config{
		Hub: r.hub, Dialects: []proto.Dialect{r.native}, Version: version, MaxHead: int(s.MaxHead), Log: r.log, Reloadable: live,
	})
	if err != nil {
		return err
	}
	r.group, err = loop.New(loop.Config{
		Loops:     loops,
		Handler:   r.server,
		Limits:    s.limits(),
		Admission: live.Admission,
		Log:       r.log,
	})
	if err != nil {
		return err
	}
	r.server.Attach(r.group)
	return nil
}

// lastTick is how old a loop's last tick may be for the watchdog.
const lastTick = 2 * time.Second

// service is what systemd is told about the server.
func (r *running) service() *service {
	return &service{
		log: r.log,
		read: func() numbers {
			return numbers{r.group.Stats().Conns, r.hub.Stats().Deliveries}
		},
		stalled: func() error { return stalled(r.group.LoopStats(), time.Now()) },
	}
}

// stalled names the first loop that has not ticked lately.
func stalled(loops []loop.LoopStats, now time.Time) error {
	for _, l := range loops {
		if age := now.Sub(l.Ticked); age > lastTick {
			return fmt.Errorf("loop %d has not ticked for %v", l.ID, age.Round(time.Millisecond))
		}
	}
	return nil
}

// reload reads settings and keys anew and applies what can be changed while serving. When anything is wrong, all stays as it was, and
// the error, which is logged already, is for systemd.
func (r *running) reload() error {
	next, err := readState(r.args, r.std)
	if err != nil {
		r.server.ReloadFailed()
	} else {
		err = r.server.Reload(next.reloadable())
	}
	if err != nil {
		r.log.Error("reload refused, everything stays as it was", "error", err)
		return err
	}
	r.group.Limit(next.settings.limits())
	r.native.Configure(next.settings.native(next.keys))
	before := r.level.Level()
	next.settings.setLevel(&r.level)
	after := r.level.Level()
	r.level.Set(min(before, after)) // so that the change of the level is not silenced by itself
	r.log.Info("reloaded", next.changes(r.now, r.first)...)
	r.level.Set(after)
	warnCrowd(r.log, next.settings.MaxConnections)
	r.now = next
	return nil
}

// drain empties the server as the settings say.
func (r *running) drain() {
	s := &r.now.settings
	ctx, cancel := context.WithTimeout(context.Background(), s.drainTime())
	defer cancel()
	r.server.Drain(ctx, proto.DrainOptions{Wait: s.DrainWait, Window: s.DrainWindow})
	r.log.Info("drained", "cut_off", r.group.Stats().Conns)
}

// drainTime is the longest that a drain takes.
func (s *settings) drainTime() time.Duration { return s.DrainWait + s.DrainWindow + s.DrainTimeout }
