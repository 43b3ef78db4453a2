package main

import (
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"fanfare/bench/load"
)

// progress is a line on stderr that tells how far it is: rewritten on a terminal, else a new one now and then.
type progress struct {
	silent, terminal bool

	mu    sync.Mutex
	what  string
	fleet *load.Fleet
	wrote int
	done  chan struct{}
	ended sync.WaitGroup
}

// newProgress begins to tell; end ends it.
func newProgress(silent bool) *progress {
	_, err := unix.IoctlGetTermios(int(os.Stderr.Fd()), unix.TCGETS)
	p := &progress{silent: silent, terminal: err == nil, done: make(chan struct{})}
	if silent {
		return p
	}
	p.ended.Go(func() {
		every := 5 * time.Second
		if p.terminal {
			every = 250 * time.Millisecond
		}
		ticks := time.NewTicker(every)
		defer ticks.Stop()
		for {
			select {
			case <-p.done:
				return
			case <-ticks.C:
				p.show()
			}
		}
	})
	return p
}

// phase says what is going on.
func (p *progress) phase(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.what = fmt.Sprintf(format, args...)
}

// watch says whose numbers to tell.
func (p *progress) watch(f *load.Fleet) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fleet = f
}

func (p *progress) show() {
	p.mu.Lock()
	defer p.mu.Unlock()
	line := p.what
	if p.fleet != nil {
		a := p.fleet.Latest()
		line += fmt.Sprintf(" · %d open, %d received", a.Open, a.Received)
		if a.Lost > 0 {
			line += fmt.Sprintf(", %d lost", a.Lost)
		}
		if a.Refused > 0 {
			line += fmt.Sprintf(", %d refused", a.Refused)
		}
	}
	if !p.terminal {
		fmt.Fprintln(os.Stderr, line)
		return
	}
	fmt.Fprintf(os.Stderr, "\r%-*s", p.wrote, line)
	p.wrote = len(line)
}

// end ends the line.
func (p *progress) end() {
	if p.silent {
		return
	}
	close(p.done)
	p.ended.Wait()
	if p.terminal && p.wrote > 0 {
		fmt.Fprintf(os.Stderr, "\r%*s\r", p.wrote, "")
	}
}
