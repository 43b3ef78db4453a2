package loop

import "golang.org/x/sys/unix"

const (
	lingerTicks   = 2   // that a refused connection stays open, so that its client can read why
	lingerers     = 128 // of all loops together, at most; or four a loop
	farewellReads = 4
)

// refused is a connection that was answered and not accepted. If it were closed at once, the request, which comes or was not
// read, would make the kernel reset it, and a reset can take the answer away from the client (RFC 9112, section 9.6).
type refused struct {
	fd   int
	tick uint32
}

// refuse answers a fresh connection that may not come in and keeps it a little. When too many are kept, the oldest goes.
func (l *Loop) refuse(fd int, why Refusal) {
	l.turnAway(fd, why)
	if len(l.lingering) == l.lingerers {
		l.farewells(1)
	}
	l.lingering = append(l.lingering, refused{fd, l.now})
}

func (l *Loop) turnAway(fd int, why Refusal) {
	l.count.refused[why]++
	_, _ = sysSend(fd, refusalAnswers[why])
	sysShutdown(fd, unix.SHUT_WR)
}

// farewells closes the n that were refused first.
func (l *Loop) farewells(n int) {
	for _, r := range l.lingering[:n] {
		l.farewell(r.fd)
	}
	l.lingering = append(l.lingering[:0], l.lingering[n:]...)
}

// farewell reads what has come, within bounds, and closes.
func (l *Loop) farewell(fd int) {
	for range farewellReads {
		if n, e := sysRead(fd, l.buf); e != 0 || n < len(l.buf) {
			break
		}
	}
	_ = unix.Close(fd)
}

// endLingering closes those that were refused some ticks ago.
func (l *Loop) endLingering() {
	n := 0
	for n < len(l.lingering) && l.now-l.lingering[n].tick >= lingerTicks {
		n++
	}
	if n > 0 {
		l.farewells(n)
	}
}

// openSpare gives a descriptor whose only use is to be closed when there are no more.
func openSpare() int {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		return -1
	}
	return fd
}

// sacrifice serves one that waits when there are no more descriptors: the spare one is given up for him, so that he is told and
// does not wait without an end. ok is false when nobody can be served that way.
func (ln *listener) sacrifice() (more, ok bool) {
	l := ln.loop
	if len(l.lingering) > 0 {
		l.farewells(len(l.lingering))
		return true, true
	}
	if l.spare < 0 {
		return false, false
	}
	_ = unix.Close(l.spare)
	fd, _, e := sysAccept(ln.op.FD)
	if e == 0 {
		l.turnAway(fd, NoFiles)
		l.farewell(fd)
	}
	l.spare = openSpare()
	return e == 0, l.spare >= 0 // accept asks for a descriptor first: only now it is known whether anybody waits
}
