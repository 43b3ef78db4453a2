package loop

import (
	"errors"
	"fmt"
	"reflect"
	"sync"
	"unsafe"

	"github.com/cloudwego/netpoll"
	"golang.org/x/sys/unix"
)

// reactor holds netpoll's own polls, in the order in which it made them. They belong to the process, not to a Group: netpoll
// keeps them in a package variable of its own and never ends their goroutines.
//
//nolint:gochecknoglobals // mirrors state that is global in netpoll
var reactor struct {
	sync.Mutex
	polls []pollInfo
}

// pollInfo is one poll and an operator that netpoll made for it: the template of ours, since it carries the private field by
// which FDOperator.Control finds its poll.
type pollInfo struct {
	poll netpoll.Poll
	tmpl netpoll.FDOperator
}

// polls gives n different polls of netpoll, each prepared.
func polls(n int) ([]pollInfo, error) {
	if errDetached != nil {
		return nil, errDetached
	}
	reactor.Lock()
	defer reactor.Unlock()
	if n <= len(reactor.polls) {
		return reactor.polls[:n], nil
	}
	if err := netpoll.Configure(netpoll.Config{PollerNum: n, LoadBalance: netpoll.RoundRobin}); err != nil {
		return nil, err
	}
	for range 4 * n { // round robin: n picks see every poll, once netpoll's own cursor has come round
		p, err := pick()
		if err != nil {
			return nil, err
		}
		if err := know(p); err != nil {
			return nil, err
		}
	}
	if len(reactor.polls) < n {
		return nil, fmt.Errorf("netpoll: found %d of %d polls", len(reactor.polls), n)
	}
	return reactor.polls[:n], nil
}

// know adds a poll to the reactor, prepared, unless it is there.
func know(p netpoll.Poll) error {
	for _, x := range reactor.polls {
		if x.poll == p {
			return nil
		}
	}
	tmpl := *p.Alloc()
	if err := prepare(p, tmpl); err != nil {
		return err
	}
	reactor.polls = append(reactor.polls, pollInfo{p, tmpl})
	return nil
}

// pick lets netpoll choose a poll for a throwaway connection and reads which one it took. netpoll exports Poll and FDOperator
// but no way from one to the other; names and types are checked, so that a changed netpoll is an error here and never
// corruption later.
//
//nolint:ireturn // netpoll shows its polls only by this interface
func pick() (netpoll.Poll, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(fds[1]) }()
	conn, err := netpoll.NewFDConnection(fds[0])
	if err != nil {
		_ = unix.Close(fds[0])
		return nil, err
	}
	p, err := pollOf(conn)
	return p, errors.Join(err, conn.Close())
}

// pollOf reads connection.operator.poll.
//
//nolint:ireturn // see pick
func pollOf(conn any) (netpoll.Poll, error) {
	v := reflect.ValueOf(conn)
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		return nil, errors.New("netpoll: its connection is no longer a pointer to a struct")
	}
	op := v.Elem().FieldByName("operator")
	if !op.IsValid() || op.Type() != reflect.TypeFor[*netpoll.FDOperator]() || op.IsNil() {
		return nil, errors.New("netpoll: connection.operator is no longer a *FDOperator")
	}
	poll := op.Elem().FieldByName("poll")
	if !poll.IsValid() || poll.Type() != reflect.TypeFor[netpoll.Poll]() || poll.IsNil() {
		return nil, errors.New("netpoll: FDOperator.poll is no longer a Poll")
	}
	return *(*netpoll.Poll)(unsafe.Pointer(poll.UnsafeAddr())), nil
}

// prepare replaces the poll's exported field Reset by a no-op, on the poll's own goroutine: netpoll doubles its event batch each
// time it comes full, for ever, and 9,000 descriptors that are ready at once would cost 23 MB.
func prepare(p netpoll.Poll, tmpl netpoll.FDOperator) error {
	v := reflect.Indirect(reflect.ValueOf(p))
	if v.Kind() != reflect.Struct {
		return errors.New("netpoll: a poll is no longer a struct")
	}
	reset := v.FieldByName("Reset")
	if !reset.IsValid() || !reset.CanSet() || reset.Type() != reflect.TypeFor[func(int, int)]() {
		return errors.New("netpoll: a poll's Reset is no longer a func(size, caps int)")
	}
	fd, err := unix.Eventfd(1, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("eventfd: %w", err)
	}
	defer func() { _ = unix.Close(fd) }()
	done := make(chan error)
	op := tmpl
	op.FD = fd
	op.OnRead = func(netpoll.Poll) error {
		reset.Set(reflect.ValueOf(func(int, int) {}))
		err := op.Control(netpoll.PollDetach)
		done <- err
		return err
	}
	if err := p.Control(&op, netpoll.PollReadable); err != nil {
		return fmt.Errorf("epoll: %w", err)
	}
	return <-done
}
