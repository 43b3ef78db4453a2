package native

import (
	"math/rand/v2"
	"sync/atomic"
	"time"

	"fanfare/fanout"
	"fanfare/proto"
	"fanfare/proto/auth"
)

// Config holds the limits of the dialect. Zero fields take the defaults.
type Config struct {
	Auth          auth.Policy   // who may publish
	MaxPayload    int           // bytes of one payload; default 64 KiB
	MaxBody       int           // bytes of a JSON body of /broadcast; default 1 MiB
	MaxItems      int           // payloads in one body of /broadcast; default 1,000
	TopicBytes    int           // bytes of a topic's name; default 255
	Subscriptions int           // of one connection; default 256
	Ping          time.Duration // interval; default 30 s
	Grace         time.Duration // for an answer; default 15 s
	Class         uint8         // policy for slow consumers where neither topic nor listener has one; as proto.ParsePolicy numbers them
	Rate          int           // commands a second on one connection; default 50; below 0 is no limit
	Burst         int           // commands at once after a pause; default Rate

	Policies proto.TopicPolicies // for slow consumers, by topic
}

// Dialect speaks the native protocol.
type Dialect struct {
	cfg   atomic.Pointer[Config]
	start time.Time // of the clock in words
	auth  atomic.Pointer[auth.Policy]
}

var (
	_ proto.Dialect    = (*Dialect)(nil)
	_ proto.Mounter    = (*Dialect)(nil)
	_ proto.Publishing = (*Dialect)(nil)
)

// New makes the dialect.
func New(cfg Config) *Dialect {
	d := &Dialect{start: time.Now()}
	d.Configure(cfg)
	d.SetAuth(cfg.Auth)
	return d
}

// Configure replaces everything but Auth, from the next command, request or ping on; subscriptions keep the policy that they were made
// with. Any goroutine may call it.
func (d *Dialect) Configure(cfg Config) {
	def(&cfg.MaxPayload, 64<<10)
	def(&cfg.MaxBody, 1<<20)
	def(&cfg.MaxItems, 1000)
	def(&cfg.TopicBytes, 255)
	def(&cfg.Subscriptions, 256)
	def(&cfg.Ping, 30*time.Second)
	def(&cfg.Grace, 15*time.Second)
	if cfg.Rate == 0 {
		cfg.Rate = 50
	}
	def(&cfg.Burst, cfg.Rate)
	d.cfg.Store(&cfg)
}

func def[T int | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}

// SetAuth replaces who may publish, from now on. Sockets keep what they were told when they opened. Any goroutine may call it.
func (d *Dialect) SetAuth(p auth.Policy) { d.auth.Store(&p) }

// Name is native.
func (d *Dialect) Name() string { return proto.DefaultDialect }

// The forms, in the order of Forms.
const (
	formRaw = iota
	formJSON
)

// Forms gives raw and json.
func (d *Dialect) Forms() []fanout.Encoder {
	return []fanout.Encoder{formRaw: encodeRaw, formJSON: encodeJSON}
}

// What a connection is, in Peer.Word: the verdict about publishing in the low byte, its format, and the clock of its commands.
const (
	wordVerdict = 0xff
	wordJSON    = 1 << 8
	wordClock   = 16 // bits below it
)

const path = "/ws"

// Open subscribes to the topics of the query.
func (d *Dialect) Open(p proto.Peer, r *proto.Request) ([]byte, error) {
	if r.Path != path {
		return nil, errPath
	}
	word := uint64(d.auth.Load().Check(p.Claim(r)))
	topics := 0
	for q, err := range r.Params() {
		if err != nil {
			return nil, errQuery
		}
		switch q.Name {
		case "topic":
			if err := d.checkTopic(q.Value, "topic"); err != nil {
				return nil, err
			}
			topics++
		case "format":
			f, err := format(q.Value)
			if err != nil {
				return nil, err
			}
			word |= f
		default:
			return nil, errParam(q.Name)
		}
	}
	*p.Word() = word
	if topics > 0 {
		if err := d.joinQuery(p, r); err != nil {
			return nil, err
		}
	}
	half := d.cfg.Load().Ping / 2
	p.SetDue(half + rand.N(half+1))
	return nil, nil
}

func format(s string) (bits uint64, err error) {
	switch s {
	case "raw":
		return 0, nil
	case "json":
		return wordJSON, nil
	}
	return 0, errFormat(s)
}

// joinQuery joins the topics of a query that was found good. Names given twice count once.
func (d *Dialect) joinQuery(p proto.Peer, r *proto.Request) error {
	joined, most := 0, d.cfg.Load().Subscriptions
	for q, err := range r.Params() {
		if err != nil || q.Name != "topic" || p.Join(q.Value, d.want(p, q.Value)).Already {
			continue
		}
		if joined++; joined > most {
			return d.errSubscriptions() // which ends all
		}
	}
	return nil
}

// want is how the peer receives a topic: the policy is that of the first pattern that matches, else the listener's, else the dialect's.
func (d *Dialect) want(p proto.Peer, topic string) proto.Want {
	cfg := d.cfg.Load()
	w := proto.Want{Form: formRaw, Class: cfg.Class}
	if class, ok := cfg.Policies.Find(topic); ok {
		w.Class = class
	} else if class, ok := p.Policy(); ok {
		w.Class = class
	}
	if *p.Word()&wordJSON != 0 {
		w.Form = formJSON
	}
	return w
}

// Due keeps the connection alive, or finds that it is not.
func (d *Dialect) Due(p proto.Peer) {
	cfg := d.cfg.Load()
	p.Ping(cfg.Ping, cfg.Grace)
}

// Closed has nothing to do: memberships end by themselves.
func (d *Dialect) Closed(proto.Peer) {}

func verdict(p proto.Peer) auth.Verdict { return auth.Verdict(*p.Word() & wordVerdict) }
