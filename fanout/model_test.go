package fanout

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
)

// The model test runs random operations against a hub and against maps that say what must happen. Everything is decided by a tape of
// bytes, so that seeds and the fuzzer share one interpreter. An encoder may run further operations while its event has a position but is
// not committed: that is what a concurrent publisher looks like to the others, made repeatable.

const (
	modelShards = 3 // at most; at least 2
	modelConns  = 8 // per shard
	modelForms  = 3
	modelDepth  = 2
)

// modelKeys returns few topics with many events, or many topics, so that a connection has more than a chain holds.
func modelKeys(many bool) []Key {
	keys := []Key{{1, "a"}, {1, "b"}, {2, "a"}, {2, "c"}}
	for i := 0; many && i < longChain+8; i++ {
		keys = append(keys, Key{3, strconv.Itoa(i)})
	}
	return keys
}

// tape hands out decisions; at its end all of them are 0.
type tape []byte

func (tp *tape) next(n int) int {
	if len(*tp) == 0 {
		return 0
	}
	b := (*tp)[0]
	*tp = (*tp)[1:]
	return int(b) % n
}

type modelTopic struct {
	epoch, head uint64
	members     int
}

type modelMember struct {
	want Want
	next uint64 // the offset of its next frame, forms that skip apart
	room uint32
}

type modelConn struct {
	ref     uint64
	members map[Key]*modelMember
}

type model struct {
	t       testing.TB
	tape    tape
	keys    []Key
	hub     *Hub
	shards  []*Shard
	sinks   []*modelSink
	conns   [modelShards][modelConns]*modelConn
	topics  map[Key]*modelTopic
	epochs  uint64 // the highest so far
	depth   int
	made    map[*Event][modelForms]bool
	forms   uint64 // encodes that had to happen
	skipped map[skip]bool
	seen    struct{ late, walking, nested, busy, panics, reborn, evicted, aborted, indexed int }
}

var errModel = errors.New("a sink that panics")

// modelSink checks each delivery at once.
type modelSink struct {
	m      *model
	shard  int
	armed  bool            // the next Send panics
	closed map[uint64]bool // connections that were told that nothing more comes in this slice
	sends  int
	wakes  int
}

func (k *modelSink) Wake() { k.wakes++ }

func (k *modelSink) Send(ref uint64, room uint32, class uint8, more bool, frames [][]byte) {
	m := k.m
	c := m.conns[k.shard][slotOf(ref)]
	if c.ref != ref {
		m.t.Fatalf("send to %x, which is not connected", ref)
	}
	if k.closed[ref] {
		m.t.Fatalf("second send to %x in a slice that promised no more", ref)
	}
	k.closed[ref] = !more
	k.sends++
	if len(frames) == 0 || len(frames) > segmentEvents || room == 0 {
		m.t.Fatalf("%d frames for room %d", len(frames), room)
	}
	for _, f := range frames {
		m.receive(c, room, class, f)
	}
	if k.armed {
		k.armed = false
		panic(errModel)
	}
}

// skip names an event that has no bytes in a form.
type skip struct {
	form Form
	pos  Position
}

// skips says which events a form leaves out: every third in the last form, and those whose encoder gave up.
func (m *model) skips(f Form, pos Position) bool {
	return f == modelForms-1 && pos.Offset%3 == 0 || m.skipped[skip{f, pos}]
}

func (m *model) receive(c *modelConn, room uint32, class uint8, frame []byte) {
	form, space := Form(frame[0]), binary.BigEndian.Uint32(frame[1:])
	epoch, offset := binary.BigEndian.Uint64(frame[5:]), binary.BigEndian.Uint64(frame[13:])
	key := Key{space, string(frame[21:])}
	mem := c.members[key]
	if mem == nil {
		m.t.Fatalf("%x gets %v and is no member", c.ref, key)
	}
	for m.skips(form, Position{epoch, mem.next}) {
		mem.next++
	}
	if mem.want.Form != form || mem.want.Class != class || m.topics[key].epoch != epoch || mem.next != offset {
		m.t.Fatalf("%x gets %v form %d class %d position %d/%d, want %+v in epoch %d", c.ref, key, form, class, epoch, offset, mem, m.topics[key].epoch)
	}
	if mem.room != 0 && mem.room != room {
		m.t.Fatalf("%x gets %v by room %d and %d", c.ref, key, mem.room, room)
	}
	mem.room, mem.next = room, mem.next+1
}

func newModel(tb testing.TB, tp tape) *model {
	tb.Helper()
	m := &model{t: tb, tape: tp, topics: map[Key]*modelTopic{}, skipped: map[skip]bool{}, made: map[*Event][modelForms]bool{}}
	limits := []Config{{}, {TopicBytes: 5 * eventOverhead}, {TotalBytes: 7 * eventOverhead}, {TopicBytes: 4 * eventOverhead, TotalBytes: 6 * eventOverhead}}
	m.hub = NewHub(limits[m.tape.next(len(limits))])
	m.keys = modelKeys(m.tape.next(4) == 0)
	for i := range modelForms {
		if _, err := m.hub.Form(m.encoder(Form(i))); err != nil {
			tb.Fatal(err)
		}
	}
	for i := range modelShards {
		for j := range modelConns {
			m.conns[i][j] = &modelConn{ref: uint64(i)<<56 | 1<<24 | uint64(j), members: map[Key]*modelMember{}}
		}
	}
	for i := range modelShards - m.tape.next(2) {
		k := &modelSink{m: m, shard: i}
		m.sinks = append(m.sinks, k)
		m.shards = append(m.shards, m.hub.Shard(k))
	}
	return m
}

func (m *model) encoder(f Form) Encoder {
	return func(ev *Event) []byte {
		made := m.made[ev]
		if made[f] || ev.Pos == (Position{}) {
			m.t.Fatalf("form %d of %v made again, or without a position", f, ev.Pos)
		}
		made[f] = true
		m.made[ev] = made
		m.forms++
		if m.depth > 0 && m.depth <= modelDepth && m.tape.next(3) == 0 {
			m.seen.nested++
			for range m.tape.next(4) {
				m.step()
			}
		}
		switch m.tape.next(40) {
		case 38:
			m.skipped[skip{f, ev.Pos}] = true
		case 39:
			panic(errModel)
		}
		if m.skips(f, ev.Pos) {
			return nil
		}
		b := binary.BigEndian.AppendUint32([]byte{byte(f)}, ev.Key.Space)
		b = binary.BigEndian.AppendUint64(b, ev.Pos.Epoch)
		b = binary.BigEndian.AppendUint64(b, ev.Pos.Offset)
		return append(b, ev.Key.Name...)
	}
}

func (m *model) conn() (shard int, c *modelConn) {
	shard = m.tape.next(len(m.shards))
	return shard, m.conns[shard][m.tape.next(modelConns)]
}

func (m *model) key() Key { return m.keys[m.tape.next(len(m.keys))] }

// step runs one operation.
func (m *model) step() {
	switch m.tape.next(18) {
	case 0, 1, 2, 3:
		m.publish(m.key())
	case 4, 5, 6:
		i, c := m.conn()
		m.join(i, c, m.key())
	case 7, 8:
		m.leave()
	case 9:
		m.leaveAll()
	case 10:
		m.stale()
	case 11:
		i := m.tape.next(len(m.shards))
		m.sinks[i].armed = true
	case 12:
		m.burst()
	default:
		// Inside an encoder too: the publisher may be any goroutine, so the loops go on.
		m.work(m.tape.next(len(m.shards)), 1+m.tape.next(3))
	}
	m.check()
}

// burst publishes more than a segment holds, or makes a connection a member of more topics than a chain holds.
func (m *model) burst() {
	if m.depth > 0 || m.tape.next(3) > 0 {
		return
	}
	i, c := m.conn()
	if k := m.key(); len(m.keys) < longChain {
		for range m.tape.next(2 * segmentEvents) {
			m.publish(k)
		}
		return
	}
	for _, k := range m.keys[:m.tape.next(len(m.keys))] {
		m.join(i, c, k)
	}
	if m.shards[i].chains.first(slotOf(c.ref)) == indexed {
		m.seen.indexed++
	}
}

func (m *model) publish(k Key) {
	ev := &Event{Key: k, Data: make([]byte, m.tape.next(4)*eventOverhead/2)}
	want, busy := Receipt{}, false
	if top := m.topics[ev.Key]; top != nil {
		busy = m.wantBusy(ev)
		if !busy {
			top.head++
			want = Receipt{Position{top.epoch, top.head}, top.members}
		}
	}
	var wantForms [modelForms]bool
	if want.Receivers > 0 {
		for _, conns := range m.conns {
			for _, c := range conns {
				if mem := c.members[ev.Key]; mem != nil {
					wantForms[mem.want.Form] = true
				}
			}
		}
	}
	got, err, aborted := m.tryPublish(ev, wantForms)
	if busy {
		m.seen.busy++
	}
	if aborted {
		m.seen.aborted++
		if ev.Pos != want.Pos {
			m.t.Fatalf("an encoder panicked: position %v, want %v", ev.Pos, want.Pos)
		}
		return
	}
	if busy != errors.Is(err, ErrBusy) || got != want || ev.Pos != want.Pos || m.made[ev] != wantForms {
		m.t.Fatalf("publish %v: %+v %v forms %v, want %+v busy %v forms %v", ev.Key, got, err, m.made[ev], want, busy, wantForms)
	}
}

// tryPublish publishes. If an encoder panics, those whose form is not made get nothing.
func (m *model) tryPublish(ev *Event, forms [modelForms]bool) (rc Receipt, err error, aborted bool) {
	m.depth++
	made := 0
	defer func() {
		m.depth--
		if p := recover(); p != nil {
			if p != any(errModel) {
				panic(p)
			}
			aborted = true
			for f := range forms {
				made += bitOf(ev.forms, f)
				if forms[f] && bitOf(ev.forms, f) == 0 {
					m.skipped[skip{Form(f), ev.Pos}] = true
				}
			}
			if made != len(ev.wire) {
				m.t.Fatalf("%d forms made, %d kept", made, len(ev.wire))
			}
		}
	}()
	rc, err = m.hub.Publish(ev)
	return rc, err, false
}

func bitOf(mask uint32, i int) int { return int(mask >> i & 1) }

// wantBusy computes from the logs alone whether an event must be refused.
func (m *model) wantBusy(ev *Event) bool {
	total, topic := 0, 0
	for i := range m.hub.stripes {
		for _, t := range m.hub.stripes[i].topics {
			n := 0
			for o := t.log.base + 1; o <= t.log.head; o++ {
				n += t.log.at(o).size()
			}
			total += n
			if t.key == ev.Key {
				topic = n
			}
		}
	}
	limit := m.hub.config
	return topic > 0 && topic+ev.size() > limit.TopicBytes || limit.TotalBytes > 0 && total > 0 && total+ev.size() > limit.TotalBytes
}

func (m *model) join(i int, c *modelConn, k Key) {
	w := Want{max(Form(m.tape.next(modelForms+3)), 3) - 3, uint8(m.tape.next(5) / 4)} // most are in one group, so that it is large
	top := m.topics[k]
	want := Joined{First: top == nil}
	if top == nil {
		top = &modelTopic{}
	}
	want.Already = c.members[k] != nil
	got := m.shards[i].Join(c.ref, k, w)
	if want.First {
		if got.Pos.Epoch <= m.epochs {
			m.t.Fatalf("epoch %d was given before", got.Pos.Epoch)
		}
		if m.epochs > 0 {
			m.seen.reborn++
		}
		m.epochs, top.epoch = got.Pos.Epoch, got.Pos.Epoch
		m.topics[k] = top
	}
	want.Pos = Position{top.epoch, top.head}
	if got != want {
		m.t.Fatalf("join %x %v: %+v, want %+v", c.ref, k, got, want)
	}
	if !got.Already {
		top.members++
		c.members[k] = &modelMember{want: w, next: top.head + 1}
		if n, _ := m.shards[i].find(c.ref, k); m.shards[i].nodes.at(n).late {
			m.seen.late++
		}
	}
}

// gone ends a membership in the model.
func (m *model) gone(c *modelConn, k Key) {
	delete(c.members, k)
	if m.topics[k].members--; m.topics[k].members == 0 {
		delete(m.topics, k)
	}
}

func (m *model) leave() {
	i, c := m.conn()
	k := m.key()
	n, _ := m.shards[i].find(c.ref, k)
	if n != 0 && (*m.shards[i].rooms.at(m.shards[i].nodes.at(n).room)).batch > 0 {
		m.seen.walking++
	}
	if got := m.shards[i].Leave(c.ref, k); got != (c.members[k] != nil) {
		m.t.Fatalf("leave %x %v: %v", c.ref, k, got)
	}
	if c.members[k] != nil {
		m.gone(c, k)
	}
}

// leaveAll closes a connection; its slot is used again by another one. Now and then the loop fails to say so: the next Join must notice.
func (m *model) leaveAll() {
	i, c := m.conn()
	forgotten := m.tape.next(4) == 0 && len(c.members) > 0
	old := c.ref
	c.ref += 1 << 24
	if forgotten {
		m.seen.evicted++
		for k := range c.members {
			m.gone(c, k)
		}
		k := m.key() // the model must know of a topic that goes with the eviction: join one that nobody else can be in
		k.Space, k.Name = 9, fmt.Sprintf("%d/%x", i, c.ref)
		got := m.shards[i].Join(c.ref, k, Want{})
		if !got.First || got.Pos.Epoch <= m.epochs || m.shards[i].Count(old) != 0 || m.shards[i].Count(c.ref) != 1 {
			m.t.Fatalf("join over an older generation: %+v", got)
		}
		m.epochs = got.Pos.Epoch
		m.shards[i].LeaveAll(c.ref)
		return
	}
	m.shards[i].LeaveAll(old)
	for k := range c.members {
		m.gone(c, k)
	}
}

// stale calls everything with a ref of the past.
func (m *model) stale() {
	i, c := m.conn()
	k, old := m.key(), c.ref-1<<24
	if m.shards[i].Leave(old, k) || m.shards[i].Count(old) != 0 {
		m.t.Fatal("a stale ref is a member")
	}
	m.shards[i].LeaveAll(old)
	if len(c.members) > 0 {
		if j := m.shards[i].Join(old, k, Want{}); j != (Joined{}) {
			m.t.Fatalf("a stale ref joins: %+v", j)
		}
	}
	if got := m.shards[i].Count(c.ref); got != len(c.members) {
		m.t.Fatalf("count %x: %d, want %d", c.ref, got, len(c.members))
	}
}

// work runs one slice. A panic of the sink counts as a slice that has more to do.
func (m *model) work(i, n int) (more bool) {
	k := m.sinks[i]
	k.closed, k.sends = map[uint64]bool{}, 0
	defer func() {
		if p := recover(); p != nil {
			if p != any(errModel) {
				panic(p)
			}
			m.seen.panics++
			more = true
		}
		if k.sends > n {
			m.t.Fatalf("%d sends in a slice of %d", k.sends, n)
		}
	}()
	return m.shards[i].Work(n)
}

// finish lets all loops come to rest and looks at what is left.
func (m *model) finish() {
	for i := range m.shards {
		for n := 0; m.work(i, 2); n++ {
			if n > 10000 {
				m.t.Fatal("work without end")
			}
			m.check()
		}
	}
	m.check()
	for _, conns := range m.conns {
		for _, c := range conns {
			for k, mem := range c.members {
				for m.skips(mem.want.Form, Position{m.topics[k].epoch, mem.next}) && mem.next <= m.topics[k].head {
					mem.next++
				}
				if mem.next != m.topics[k].head+1 {
					m.t.Fatalf("%x is owed %v from %d to %d", c.ref, k, mem.next, m.topics[k].head)
				}
			}
		}
	}
	if st := m.hub.Stats(); st.UndeliveredBytes != 0 || st.Topics != len(m.topics) || st.Encodes != m.forms {
		m.t.Fatalf("at rest: %+v, %d topics, %d forms made", st, len(m.topics), m.forms)
	}
}

func (m *model) run() {
	for len(m.tape) > 0 {
		m.step()
	}
	m.finish()
}

func TestModel(t *testing.T) {
	seeds, length := 6000, 500
	if raceEnabled {
		seeds = 600
	}
	var total model
	for seed := range seeds {
		rng := rand.New(rand.NewPCG(uint64(seed), 1))
		tp := make(tape, length)
		for i := range tp {
			tp[i] = byte(rng.Uint32())
		}
		m := newModel(t, tp)
		func() {
			defer func() {
				if t.Failed() {
					t.Logf("seed %d", seed)
				}
			}()
			m.run()
		}()
		total.seen.late += m.seen.late
		total.seen.walking += m.seen.walking
		total.seen.nested += m.seen.nested
		total.seen.busy += m.seen.busy
		total.seen.panics += m.seen.panics
		total.seen.reborn += m.seen.reborn
		total.seen.evicted += m.seen.evicted
		total.seen.aborted += m.seen.aborted
		total.seen.indexed += m.seen.indexed
	}
	t.Logf("%d seeds: %+v", seeds, total.seen)
	if s := total.seen; min(s.late, s.walking, s.nested, s.busy, s.panics, s.reborn, s.evicted, s.aborted, s.indexed) == 0 {
		t.Error("the model does not reach everything")
	}
}
