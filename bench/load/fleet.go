package load

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// Fleet is the workers of one run. One goroutine commands it.
type Fleet struct {
	setups  []Setup
	workers []*worker
	order   int

	mu     sync.Mutex
	latest []Answer // of each worker
}

// worker is one process, as the fleet sees it.
type worker struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	answers chan Answer
	err     error // once answers is closed
}

// Enlist starts one process of the program's own per setup: `program worker`.
func Enlist(ctx context.Context, program string, setups []Setup) (*Fleet, error) {
	f := &Fleet{setups: setups, latest: make([]Answer, len(setups))}
	for k := range setups {
		w, err := f.enlist(ctx, program, k)
		if err == nil {
			f.workers = append(f.workers, w)
			err = w.write(&setups[k])
		}
		if err != nil {
			f.Dismiss()
			return nil, fmt.Errorf("generator process: %w", err)
		}
	}
	return f, nil
}

func (f *Fleet) enlist(ctx context.Context, program string, k int) (*worker, error) {
	// It ends when its orders do, which Dismiss sees to.
	w := &worker{cmd: exec.CommandContext(context.WithoutCancel(ctx), program, "worker"), answers: make(chan Answer, 1)}
	w.cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	w.cmd.Stderr = os.Stderr
	w.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	in, err := w.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	w.in = in
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := w.cmd.Start(); err != nil {
		return nil, err
	}
	go w.read(out, func(a Answer) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.latest[k] = a
	})
	return w, nil
}

// read passes the answers on, until the process ends.
func (w *worker) read(out io.Reader, latest func(Answer)) {
	defer close(w.answers)
	lines := bufio.NewReaderSize(out, 64<<10)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			break
		}
		var a Answer
		if w.err = json.Unmarshal(line, &a); w.err != nil {
			break
		}
		latest(a)
		if a.ID != 0 || a.Error != "" {
			w.answers <- a
		}
	}
	if err := w.cmd.Wait(); w.err == nil {
		w.err = err
	}
	if w.err == nil {
		w.err = errors.New("it ended")
	}
}

func (w *worker) write(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = w.in.Write(append(b, '\n'))
	return err
}

// Each orders every worker that of gives an order, and waits for their answers; the others' are empty.
func (f *Fleet) Each(ctx context.Context, of func(worker int, s *Setup) (Order, bool)) ([]Answer, error) {
	f.order++
	answers := make([]Answer, len(f.workers))
	waits := make([]bool, len(f.workers))
	for k, w := range f.workers {
		o, ok := of(k, &f.setups[k])
		if waits[k] = ok; !ok {
			continue
		}
		o.ID = f.order
		if err := w.write(&o); err != nil {
			return nil, fmt.Errorf("generator process %d: %w", k+1, err)
		}
	}
	for k, w := range f.workers {
		for waits[k] {
			select {
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			case a, ok := <-w.answers:
				if !ok {
					return nil, fmt.Errorf("generator process %d: %w", k+1, w.err)
				}
				if a.Error != "" {
					return nil, fmt.Errorf("generator process %d: %s", k+1, a.Error)
				}
				answers[k] = a
				waits[k] = a.ID != f.order // else it is of an order that was given up
			}
		}
	}
	return answers, nil
}

// Latest is what the workers last said of themselves, together.
func (f *Fleet) Latest() Answer {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all Answer
	for k := range f.latest {
		all.add(&f.latest[k])
	}
	return all
}

func (a *Answer) add(b *Answer) {
	a.Open += b.Open
	a.Received += b.Received
	a.Lost += b.Lost
	a.Refused += b.Refused
	a.Opened += b.Opened
	if a.Why == "" {
		a.Why = b.Why
	}
}

// Workers are the process numbers.
func (f *Fleet) Workers() []int {
	pids := make([]int, 0, len(f.workers))
	for _, w := range f.workers {
		pids = append(pids, w.cmd.Process.Pid)
	}
	return pids
}

// dismissal is how long a worker may take to close its sockets.
const dismissal = 10 * time.Second

// Dismiss ends the workers; their sockets are closed without a word.
func (f *Fleet) Dismiss() {
	for _, w := range f.workers {
		_ = w.write(&Order{Do: doQuit}) // if it does not get it, it is gone or will be killed
		_ = w.in.Close()
	}
	for _, w := range f.workers {
		kill := time.AfterFunc(dismissal, func() { _ = w.cmd.Process.Kill() })
		for range w.answers { // of orders that were given up; closed when the process has ended
		}
		kill.Stop()
	}
	f.workers = nil
}
