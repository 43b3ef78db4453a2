package loop

import (
	"reflect"
	"testing"

	"github.com/cloudwego/netpoll"
)

func TestPollsAreDistinct(t *testing.T) {
	three, err := polls(3)
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[netpoll.Poll]bool)
	for _, p := range three {
		if p.poll == nil || seen[p.poll] {
			t.Fatalf("%v twice, or none", p.poll)
		}
		seen[p.poll] = true
		if tmpl := reflect.ValueOf(p.tmpl).FieldByName("poll"); tmpl.Elem().Pointer() != reflect.ValueOf(p.poll).Pointer() {
			t.Error("the template belongs to another poll")
		}
	}
	two, err := polls(2)
	if err != nil || len(two) != 2 || two[0].poll != three[0].poll || two[1].poll != three[1].poll {
		t.Errorf("asked again: %v, %v", two, err)
	}
}

// fakePoll has the methods of a poll, whatever its fields are.
type fakePoll struct{}

func (fakePoll) Wait() error                                          { return nil }
func (fakePoll) Close() error                                         { return nil }
func (fakePoll) Trigger() error                                       { return nil }
func (fakePoll) Control(*netpoll.FDOperator, netpoll.PollEvent) error { return nil }
func (fakePoll) Alloc() *netpoll.FDOperator                           { return new(netpoll.FDOperator) }
func (fakePoll) Free(*netpoll.FDOperator)                             {}

// TestChangedNetpoll: a netpoll that looks different inside is an error at the start.
func TestChangedNetpoll(t *testing.T) {
	number := 1
	for name, conn := range map[string]any{
		"nothing":                  nil,
		"no pointer":               struct{ operator *netpoll.FDOperator }{new(netpoll.FDOperator)},
		"pointer to no struct":     &number,
		"nil pointer":              (*struct{ operator *netpoll.FDOperator })(nil),
		"no field operator":        &struct{ op *netpoll.FDOperator }{new(netpoll.FDOperator)},
		"operator is no pointer":   &struct{ operator netpoll.FDOperator }{},
		"operator is another type": &struct{ operator *int }{&number},
		"operator is nil":          &struct{ operator *netpoll.FDOperator }{},
		"operator without a poll":  &struct{ operator *netpoll.FDOperator }{new(netpoll.FDOperator)},
	} {
		if p, err := pollOf(conn); err == nil {
			t.Errorf("%s: %v and no error", name, p)
		}
	}
	type poll = fakePoll
	for name, p := range map[string]netpoll.Poll{
		"no pointer": fakePoll{},
		"no Reset":   &fakePoll{},
		"unexported": &struct {
			poll
			reset func(int, int)
		}{},
		"other func": &struct {
			poll
			Reset func(int)
		}{},
		"no func": &struct {
			poll
			Reset int
		}{},
		"with result": &struct {
			poll
			Reset func(int, int) error
		}{},
	} {
		if err := prepare(p, netpoll.FDOperator{}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestResetIsReplaced: the poll's own Reset would make its batch of events as large as it is told.
func TestResetIsReplaced(t *testing.T) {
	g, _ := serve(t, Config{Loops: 3, Handler: echo{}})
	for i, l := range g.Loops() {
		on(t, l, func() {
			reset, ok := reflect.TypeAssert[func(int, int)](reflect.ValueOf(l.poll).Elem().FieldByName("Reset"))
			if !ok {
				t.Error("Reset is another function")
				return
			}
			reset(256, 32)
		})
		if n := batch(t, l); n != 128 {
			t.Errorf("poll %d takes %d events at once", i, n)
		}
	}
}

// batch reads how many events the loop's poll takes at once.
func batch(tb testing.TB, l *Loop) int {
	tb.Helper()
	return ask(tb, l, func() int { return int(reflect.ValueOf(l.poll).Elem().FieldByName("size").Int()) })
}
