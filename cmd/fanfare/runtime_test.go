package main

import (
	"math"
	"runtime"
	"runtime/debug"
	"testing"
	"testing/fstest"
)

func TestCgroupMemory(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	for name, tt := range map[string]struct {
		root fstest.MapFS
		want int64
	}{
		"no cgroups":  {fstest.MapFS{}, 0},
		"version 1":   {fstest.MapFS{"proc/self/cgroup": file("4:memory:/a\n")}, 0},
		"unlimited":   {fstest.MapFS{"proc/self/cgroup": file("0::/a\n"), "sys/fs/cgroup/a/memory.max": file("max\n")}, 0},
		"its own":     {fstest.MapFS{"proc/self/cgroup": file("0::/a\n"), "sys/fs/cgroup/a/memory.max": file("1000\n")}, 1000},
		"a container": {fstest.MapFS{"proc/self/cgroup": file("0::/\n"), "sys/fs/cgroup/memory.max": file("2000\n")}, 2000},
		"a parent's": {fstest.MapFS{
			"proc/self/cgroup":               file("1:x:/y\n0::/a/b/c\n"),
			"sys/fs/cgroup/a/b/c/memory.max": file("max\n"),
			"sys/fs/cgroup/a/b/memory.max":   file("3000\n"),
			"sys/fs/cgroup/a/memory.max":     file("5000\n"),
		}, 3000},
	} {
		if got := cgroupMemory(tt.root); got != tt.want {
			t.Errorf("%s: got %d, want %d", name, got, tt.want)
		}
	}
}

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
