package server

import (
	"bufio"
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Usage is what processes have cost so far; times in nanoseconds, sizes in bytes.
type Usage struct {
	CPU                    int64 // user and system, exact
	User, System           int64 // the same, split as the kernel's accounting of ticks does
	RSS, PSS, Peak         int64
	Voluntary, Involuntary int64 // context switches of the threads that live
}

// UsageOf is of all processes of these servers together; false if that is not known of one.
func UsageOf(servers []*Process) (u Usage, known bool) {
	groups := map[string][]int{}
	all, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return u, false
	}
	for _, name := range all {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		if fields := stat(name); err == nil && len(fields) > 2 {
			groups[fields[2]] = append(groups[fields[2]], pid)
		}
	}
	known = true
	for _, p := range servers {
		pids := groups[strconv.Itoa(p.pid)]
		if p.cmd == nil { // it ran already: it and its children
			pids = descendants(p.pid)
		}
		before := u.RSS
		for _, pid := range pids {
			u.Add(pid)
		}
		known = known && u.RSS > before
	}
	return u, known
}

func descendants(pid int) []int {
	if pid == 0 { // it is not known
		return nil
	}
	pids := []int{pid}
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		return pids
	}
	for _, name := range lists {
		b, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		for field := range strings.FieldsSeq(string(b)) {
			if child, err := strconv.Atoi(field); err == nil {
				pids = append(pids, descendants(child)...)
			}
		}
	}
	return pids
}

// stat is the fields of a stat file after the command's name: state, parent, group and so on.
func stat(name string) []string {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil
	}
	_, rest, _ := strings.Cut(string(b[bytes.LastIndexByte(b, ')')+1:]), " ")
	return strings.Fields(rest)
}

// Add adds a process. What cannot be read, because it has just ended, is left out.
func (u *Usage) Add(pid int) {
	cpu := CPU(pid)
	u.CPU += cpu
	if fields := stat(fmt.Sprintf("/proc/%d/stat", pid)); len(fields) > 12 {
		user, err1 := strconv.ParseFloat(fields[11], 64)
		system, err2 := strconv.ParseFloat(fields[12], 64)
		if err1 == nil && err2 == nil && user+system > 0 {
			share := int64(float64(cpu) * user / (user + system))
			u.User += share
			u.System += cpu - share
		}
	}
	status := fields(fmt.Sprintf("/proc/%d/status", pid))
	u.RSS += status["VmRSS"] << 10
	u.Peak += status["VmHWM"] << 10
	u.PSS += fields(fmt.Sprintf("/proc/%d/smaps_rollup", pid))["Pss"] << 10
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil {
		return
	}
	for _, name := range threads {
		thread := fields(name)
		u.Voluntary += thread["voluntary_ctxt_switches"]
		u.Involuntary += thread["nonvoluntary_ctxt_switches"]
	}
}

// CPU is the processor time of a process and all its threads, those included that have ended. It is the clock of
// clock_getcpuclockid(3): exact to the nanosecond, where /proc/PID/stat is to 10 ms and /proc/PID/schedstat of one thread only.
func CPU(pid int) int64 {
	const perProcess = 2 // CPUCLOCK_SCHED of the kernel
	if pid <= 0 || pid > math.MaxInt32>>3 {
		return 0
	}
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|perProcess), &ts); err != nil {
		return 0
	}
	return ts.Nano()
}

// fields reads "name: number" lines.
func fields(name string) map[string]int64 {
	f, err := os.Open(name)
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }() // read only
	all := map[string]int64{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		name, rest, ok := strings.Cut(lines.Text(), ":")
		if words := strings.Fields(rest); ok && len(words) > 0 {
			if v, err := strconv.ParseInt(words[0], 10, 64); err == nil {
				all[name] = v
			}
		}
	}
	return all
}

// Kernel is the memory that the kernel has taken on this machine, in bytes: slab (sockets and their buffers, descriptors, inodes),
// stacks, page tables, large tables. What else runs changes it, too.
func Kernel() int64 {
	m := fields("/proc/meminfo")
	return (m["Slab"] + m["KernelStack"] + m["PageTables"] + m["VmallocUsed"] + m["Percpu"]) << 10
}

// Available is the memory that programs could have, in bytes.
func Available() int64 { return fields("/proc/meminfo")["MemAvailable"] << 10 }

// Total is the machine's memory.
func Total() int64 { return fields("/proc/meminfo")["MemTotal"] << 10 }
