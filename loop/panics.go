package loop

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
)

var errPanic = errors.New("internal error")

// caught is deferred by every callback. A panic closes the connection it happened in; ten in a minute are taken for a process
// that is broken, which ends, so that whatever supervises it may start a sound one.
func (l *Loop) caught(c *Conn) {
	v := recover()
	if v == nil {
		return
	}
	l.count.panics++
	l.unread = false
	l.log.Error("panic in a callback", "loop", l.id, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
	if l.now-l.panicked > panicWindow {
		l.panicked, l.panics = l.now, 0
	}
	if l.panics++; l.panics >= panicLimit {
		l.log.Error("ten panics in a minute: giving up")
		l.group.exit(1)
	}
	if c == nil || c.state == dead || c.state == free {
		return
	}
	c.why = Panicked
	l.giveUp(c, 1011, errPanic.Error(), Panicked)
}

func exitProcess(code int) { os.Exit(code) }
