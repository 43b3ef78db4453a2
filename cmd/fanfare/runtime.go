package main

import (
	"io/fs"
	"math"
	"os"
	"runtime"
	"runtime/debug"

	"golang.org/x/sys/unix"

	"fanfare/loop/kernel"
)

// tune sets what the Go runtime may use, where the environment does not say it, and gives the number of loops. Two threads more
// than loops keep plain HTTP and the collector alive while every loop is busy. GOGC stays at its default of 100.
func tune(loops int, root fs.FS) int {
	if loops == 0 {
		loops = runtime.GOMAXPROCS(0) // what the machine, or the container's quota, gives
	}
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(loops + 2)
	}
	if limit := kernel.GroupMemory(root); limit > 0 && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(limit / 10 * 9)
	}
	return loops
}

// memory is what this process may use: the runtime's limit, else all of the machine's.
func memory() int64 {
	limit := debug.SetMemoryLimit(-1)
	var info unix.Sysinfo_t
	if limit != math.MaxInt64 || unix.Sysinfo(&info) != nil {
		return limit
	}
	return int64(info.Totalram) * int64(info.Unit) //nolint:gosec // G115: a machine's memory fits
}
