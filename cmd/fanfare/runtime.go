package main

import (
	"io/fs"
	"math"
	"os"
	"path"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
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
	if limit := cgroupMemory(root); limit > 0 && os.Getenv("GOMEMLIMIT") == "" {
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

// cgroupMemory is the lowest memory.max of this process's control group and those above it (cgroups v2); 0 if there is none.
func cgroupMemory(root fs.FS) (limit int64) {
	groups, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(groups)) {
		group, ok := strings.CutPrefix(strings.TrimSpace(line), "0::")
		if !ok {
			continue
		}
		for dir := path.Join("sys/fs/cgroup", group); len(dir) >= len("sys/fs/cgroup"); dir = path.Dir(dir) {
			text, _ := fs.ReadFile(root, path.Join(dir, "memory.max")) // none at the root of all groups
			n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
			if err == nil && (limit == 0 || n < limit) {
				limit = n
			}
		}
	}
	return limit
}
