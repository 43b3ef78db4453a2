package native

import (
	"encoding/base64"
	"strconv"

	"github.com/goccy/go-json"
	"github.com/goccy/go-json/jsontext"

	"fanfare/fanout"
	"fanfare/loop/ws"
	"fanfare/proto"
	"fanfare/proto/auth"
)

// encodeRaw is the payload in a frame of its kind, which is the opcode.
func encodeRaw(ev *fanout.Event) []byte { return ws.AppendFrame(nil, ev.Kind, ev.Data) }

// encodeJSON is the payload with where it belongs, in a text frame.
func encodeJSON(ev *fanout.Event) []byte {
	const keys = 64
	b := make([]byte, 0, keys+len(ev.Key.Name)+len(ev.Data)+len(ev.Data)/3)
	b = append(b, `{"topic":`...)
	b = proto.AppendString(b, ev.Key.Name)
	b = append(b, `,"position":"`...)
	b = appendPosition(b, ev.Pos)
	switch {
	case ev.Kind == ws.OpBinary:
		b = append(b, `","base64":"`...)
		b = base64.StdEncoding.AppendEncode(b, ev.Data)
		b = append(b, '"')
	case json.Valid(ev.Data): // strict: what it lets through cannot break out of the object
		b = append(b, `","data":`...)
		b = append(b, ev.Data...)
	default:
		b = append(b, `","data":`...)
		b = proto.AppendString(b, string(ev.Data))
	}
	return ws.AppendFrame(nil, ws.OpText, append(b, '}'))
}

// appendPosition appends EPOCH-OFFSET.
func appendPosition(b []byte, p fanout.Position) []byte {
	b = strconv.AppendUint(b, p.Epoch, 10)
	b = append(b, '-')
	return strconv.AppendUint(b, p.Offset, 10)
}

// appendReceipt appends {"topic","position","receivers"}.
func appendReceipt(b []byte, topic string, rc fanout.Receipt) []byte {
	b = append(b, `{"topic":`...)
	b = proto.AppendString(b, topic)
	if rc.Pos != (fanout.Position{}) {
		b = append(b, `,"position":"`...)
		b = append(appendPosition(b, rc.Pos), '"')
	}
	b = append(b, `,"receivers":`...)
	return append(strconv.AppendInt(b, int64(rc.Receivers), 10), '}')
}

func appendID(b, id []byte) []byte {
	if id == nil {
		return b
	}
	return append(append(b, `,"id":`...), id...)
}

const idMax = 128

// command is one message of a client: exactly one of verb's commands.
type command struct {
	verb string
	args jsontext.Value
	id   jsontext.Value
}

// parseCommand reads a message, which is UTF-8. The id is there also when something else is wrong.
func parseCommand(data []byte) (c command, err error) {
	if !json.Valid(data) {
		return c, badJSON("", "a command must be valid JSON")
	}
	if jsontext.Value(data).Kind() != jsontext.KindBeginObject {
		return c, badJSON("", "a command must be a JSON object")
	}
	for name, value := range members(data) {
		switch {
		case name == "id" && c.id != nil:
			err = badJSON(name, "given twice")
		case name == "id":
			if c.id, err = parseID(value, err); err != nil {
				continue
			}
		case name != "subscribe" && name != "unsubscribe" && name != "publish":
			err = unknownKey(shorten(name), "one of subscribe, unsubscribe, publish, and id")
		case c.verb != "":
			err = badJSON(name, "one command in a message")
		default:
			c.verb, c.args = name, value
		}
	}
	if err == nil && c.verb == "" {
		err = badJSON("", "no command: one of subscribe, unsubscribe, publish")
	}
	return c, err
}

// parseID takes the id if it is one; former is an error that came before.
func parseID(value jsontext.Value, former error) (jsontext.Value, error) {
	if k := value.Kind(); len(value) > idMax || k != jsontext.KindString && k != jsontext.KindNumber {
		return nil, badJSON("id", "must be a string or a number of at most "+strconv.Itoa(idMax)+" bytes")
	}
	return value, former
}

// Message carries out one command.
func (d *Dialect) Message(p proto.Peer, op byte, data []byte) error {
	if err := d.take(p); err != nil {
		return err
	}
	if op != ws.OpText {
		return errBinary
	}
	c, err := parseCommand(data)
	if err == nil {
		err = d.do(p, &c)
	}
	if err != nil {
		return &commandError{err: err, id: c.id}
	}
	return nil
}

func (d *Dialect) do(p proto.Peer, c *command) error {
	switch c.verb {
	case "subscribe":
		return d.subscribe(p, c)
	case "unsubscribe":
		return d.unsubscribe(p, c)
	default:
		return d.publish(p, c)
	}
}

// topics reads and checks a list of names.
func (d *Dialect) topics(c *command) ([]string, error) {
	if c.args.Kind() != jsontext.KindBeginArray {
		return nil, badJSON(c.verb, "must be an array of topics")
	}
	list, ok := elements(c.args, d.cfg.Load().Subscriptions)
	if !ok {
		return nil, d.errSubscriptions()
	}
	names := make([]string, len(list))
	for i, value := range list {
		if value.Kind() != jsontext.KindString {
			return nil, badJSON(c.verb, "must be an array of topics, which are strings")
		}
		names[i] = text(value)
		if err := d.checkTopic(names[i], c.verb); err != nil {
			return nil, err
		}
	}
	return names, nil
}

func (d *Dialect) subscribe(p proto.Peer, c *command) error {
	names, err := d.topics(c)
	if err != nil {
		return err
	}
	free := d.cfg.Load().Subscriptions - p.Count()
	for i, name := range names {
		if p.Join(name, d.want(p, name)).Already {
			names[i] = "" // nothing to undo
		} else if free--; free < 0 {
			for _, done := range names[:i+1] {
				if done != "" {
					p.Leave(done)
				}
			}
			return d.errSubscriptions()
		}
	}
	reply(p, c, "subscribed", func(b []byte) []byte { return append(b, c.args...) })
	return nil
}

func (d *Dialect) unsubscribe(p proto.Peer, c *command) error {
	names, err := d.topics(c)
	if err != nil {
		return err
	}
	for _, name := range names {
		p.Leave(name)
	}
	reply(p, c, "unsubscribed", func(b []byte) []byte { return append(b, c.args...) })
	return nil
}

func (d *Dialect) publish(p proto.Peer, c *command) error {
	if v := verdict(p); v != auth.Allowed {
		return proto.Forbidden(v)
	}
	it, err := d.parseItem(c.args, c.verb)
	if err != nil {
		return err
	}
	rc, err := p.Publish(it.topic, it.data, ws.OpText)
	if err != nil {
		return err
	}
	reply(p, c, "published", func(b []byte) []byte { return appendReceipt(b, it.topic, rc) })
	return nil
}

// reply answers a command: {verb: value, "id": id}.
func reply(p proto.Peer, c *command, verb string, value func([]byte) []byte) {
	const keys = 64
	b := make([]byte, 0, keys+len(c.args)+len(c.id))
	b = append(append(b, `{"`...), verb...)
	b = value(append(b, `":`...))
	p.Reply(ws.AppendFrame(nil, ws.OpText, append(appendID(b, c.id), '}')))
}
