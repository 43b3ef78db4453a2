package load

import (
	"testing"

	"golang.org/x/sys/unix"
)

// pair is an engine with one open connection, and the server's end of it.
func pair(t *testing.T) (*engine, int) {
	t.Helper()
	e, err := newEngine(Setup{
		Run: "abcd", Servers: []string{"127.0.0.1:1"}, PerServer: 10, Count: 10, Topics: 20, Subscriptions: 4,
	}, &mailbox{})
	if err != nil {
		t.Fatal(err)
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _, _ = unix.Close(e.epoll), unix.Close(fds[0]), unix.Close(fds[1]) })
	e.records[3] = record{fd: int32(fds[0]), state: open}
	for j := range 4 {
		e.tally.begin(3*4+j, 1)
	}
	return e, fds[1]
}

func TestADeliveryAllocatesNothing(t *testing.T) {
	e, server := pair(t)
	const runs = 100
	var frames [runs + 2][]byte
	for k := range frames {
		frames[k] = frame(0x81, string(AppendPayload(nil, "abcd", Stamp{Topic: 12 + uint32(k%4), Seq: uint32(k/4 + 1), At: e.clock.Now()}, 128)))
	}
	k := 0
	if n := testing.AllocsPerRun(runs, func() {
		if _, err := unix.Write(server, frames[k]); err != nil {
			t.Error(err)
		}
		e.event(3)
		k++
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if a := e.sums[0]; a.Received != runs+1 || a.Missing+a.Repeated+a.Disorder+a.Garbage != 0 {
		t.Errorf("%+v", a)
	}
}

func TestAForeignTopicIsGarbage(t *testing.T) {
	e, server := pair(t)
	b := frame(0x81, string(AppendPayload(nil, "abcd", Stamp{Topic: 11, Seq: 1}, 64)))
	if _, err := unix.Write(server, b); err != nil {
		t.Fatal(err)
	}
	e.event(3)
	if a := e.sums[0]; a.Garbage != 1 || a.Received != 0 {
		t.Errorf("%+v", a)
	}
}
