package main

import (
	"math"
	"runtime"
	"runtime/debug"
	"testing"
	"testing/fstest"
)

func TestTune(t *testing.T) {
	procs, limit := runtime.GOMAXPROCS(0), debug.SetMemoryLimit(-1)
	defer func() {
		runtime.GOMAXPROCS(procs)
		debug.SetMemoryLimit(limit)
	}()
	root := fstest.MapFS{
		"proc/self/cgroup":         {Data: []byte("0::/\n")},
		"sys/fs/cgroup/memory.max": {Data: []byte("1000000000\n")},
	}
	t.Setenv("GOMAXPROCS", "7")
	t.Setenv("GOMEMLIMIT", "1GiB")
	if got := tune(3, root); got != 3 || runtime.GOMAXPROCS(0) != procs || debug.SetMemoryLimit(-1) != limit {
		t.Errorf("%d loops, GOMAXPROCS %d, limit %d: the environment must win", got, runtime.GOMAXPROCS(0), debug.SetMemoryLimit(-1))
	}
	t.Setenv("GOMAXPROCS", "")
	t.Setenv("GOMEMLIMIT", "")
	if got := tune(0, root); got != procs || runtime.GOMAXPROCS(0) != procs+2 || debug.SetMemoryLimit(-1) != 900_000_000 {
		t.Errorf("%d loops, GOMAXPROCS %d, limit %d", got, runtime.GOMAXPROCS(0), debug.SetMemoryLimit(-1))
	}
	if memory() != 900_000_000 {
		t.Errorf("memory is %d", memory())
	}
	debug.SetMemoryLimit(math.MaxInt64)
	if m := memory(); m < 1<<26 || m > 1<<50 {
		t.Errorf("the machine has %d bytes", m)
	}
}
