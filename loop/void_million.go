//go:build million

package loop

import (
	"unsafe"

	"github.com/cloudwego/netpoll"
	"golang.org/x/sys/unix"
)

// The build tag million lets one process hold a million connections on any machine, to measure what they cost it (proto's
// BenchmarkMillion). Two things of such a connection are not what serves: its descriptor is a number that no kernel gives out, so that
// epoll is not asked to watch it, and the calls that send (sysSend, sysSendv) swallow what they are given. All other connections
// have sockets, so that every test passes with the tag too. It is a tag, and not a test file, because a test of this package may not
// know fanout, whose Shard is to be measured with it; and not a variable, because without the tag nothing may be asked at each send.

// void is whether connections without a socket can be made.
const void = true

// firstVoid is the lowest descriptor without a socket: a process would need 2^30 open files to have it.
const firstVoid = 1 << 30

// Swallow gets what is sent to a connection without a socket, on its loop. nil: nobody does. Set it before any is made.
//
//nolint:gochecknoglobals // sysSend has nobody to ask
var Swallow func(number int, b []byte)

func isVoid(fd int) bool { return fd >= firstVoid }

func swallow(fd int, b []byte) int {
	if Swallow != nil {
		Swallow(fd-firstVoid, b)
	}
	return len(b)
}

func swallowAll(fd int, iov []unix.Iovec) (n int) {
	for i := range iov {
		n += swallow(fd, unsafe.Slice(iov[i].Base, iov[i].Len))
	}
	return n
}

// voidPoll watches everything but descriptors without a socket.
type voidPoll struct{ netpoll.Poll }

// Control asks epoll only about what is there.
func (p voidPoll) Control(op *netpoll.FDOperator, event netpoll.PollEvent) error {
	if isVoid(op.FD) {
		return nil
	}
	return p.Poll.Control(op, event)
}

// Void makes a connection without a socket, as Group.Adopt does with one: local, come by the listener of this index, its first input
// the request of an upgrade. Swallow will get its number, which is below 2^30. On the loop: Group.Post with Loop.Canary runs there.
func (l *Loop) Void(number, index int, input []byte) {
	l.own()
	if _, ok := l.poll.(voidPoll); !ok {
		l.poll = voidPoll{l.poll}
	}
	l.group.gate.open.Add(1)
	l.expect()
	l.takeBack(firstVoid+number, uint8(index), true, input)
}

// Sweep looks through all slots once for what is due, as the first turn after a tick does, and tells how many they are. On the loop.
func (l *Loop) Sweep() (slots int) {
	l.own()
	for l.sweep = 0; l.sweepDue(); {
	}
	return len(l.slab.chunks) * chunkSlots
}
