package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"fanfare/bench/load"
	"fanfare/bench/server"
	"fanfare/bench/target"
)

const (
	ofServer    = 300 // descriptors that a server keeps for itself
	ofGenerator = 64

	// What a connection takes at most when it is idle: both its ends in the kernel, and in the server.
	kernelBoth    = 12 << 10
	perProcess    = 30 << 20
	manyProcesses = 4000
)

// plan is how a run is spread.
type plan struct {
	files      int
	servers    int
	perServer  int // connections of one
	generators int
}

// fit finds a plan, or says what this machine can do.
func (s *settings) fit(scenario string) (plan, error) {
	if err := s.sane(scenario); err != nil {
		return plan{}, err
	}
	p := plan{files: int(files()), servers: 1}
	if s.FilesPerProcess > p.files {
		return p, impossible("--files-per-process %d: this machine allows a process %d", s.FilesPerProcess, p.files)
	}
	if s.FilesPerProcess > 0 {
		p.files = s.FilesPerProcess
	}
	capacity := p.files - ofServer
	if capacity < 1 || p.files <= ofGenerator {
		return p, impossible("a process may have %d descriptors; at least %d are needed", p.files, ofServer+1)
	}
	if scenario == "million" && s.URL == "" {
		p.servers = (s.Connections + capacity - 1) / capacity
	}
	if s.URL == "" && s.Connections > capacity*p.servers {
		return p, impossible("%d connections to one server process: this machine allows a process %d descriptors, which hold %d; "+
			"'bench million' uses more processes, and a higher limit (ulimit -Hn) allows more", s.Connections, p.files, capacity)
	}
	p.perServer = (s.Connections + p.servers - 1) / p.servers
	p.generators = max(s.Generators, 1, (s.Connections+p.files-ofGenerator-1)/(p.files-ofGenerator))
	p.generators = min(p.generators, s.Connections)
	return p, p.affordable(s)
}

// sane checks what does not depend on the machine.
func (s *settings) sane(scenario string) error {
	switch {
	case s.Connections < 1 || s.Topics < 1 || s.Subscriptions < 1 || s.Messages < 1 || s.Burst < 1 || s.Warmup < 0:
		return impossible("a size below 1")
	case s.InFlight < 1 || s.Rate < 1 || s.Generators < 0 || s.Threads < 1:
		return impossible("--in-flight, --rate, --threads are at least 1, --generators 0")
	case s.Timeout <= 0 || s.Lasting <= 0 || s.Idle <= 0 || s.Settle < 0:
		return impossible("a time that is not above 0")
	}
	return s.coherent(scenario)
}

// coherent checks what has to fit together.
func (s *settings) coherent(scenario string) error {
	switch {
	case s.Size < load.StampLen || s.Size > 64<<20:
		return impossible("--size %d: a payload has %d bytes at least, for what is measured with, and 64 MiB at most", s.Size, load.StampLen)
	case s.Subscriptions > s.Topics:
		return impossible("--subscriptions %d of --topics %d: a connection subscribes to a topic once", s.Subscriptions, s.Topics)
	case s.Topics > load.MaxTopics:
		return impossible("--topics %d: at most %d", s.Topics, load.MaxTopics)
	case scenario == "slow" && s.Stopped >= s.Connections:
		return impossible("--stopped %d of %d connections: some must read", s.Stopped, s.Connections)
	case scenario == "churn" && s.Churners >= s.Connections:
		return impossible("--churners %d of %d connections: some must stay", s.Churners, s.Connections)
	}
	return nil
}

// suits checks what a server must be able to do.
func (s *settings) suits(t *target.Target) error {
	if s.URL != "" {
		if _, err := s.address(); err != nil {
			return err
		}
	}
	byPath := strings.Contains(t.Path, "{topic}")
	switch {
	case s.URL != "" && s.PID < 0:
		return impossible("--pid %d is no process", s.PID)
	case t.Path == "" || t.Publish.Path == "" || t.Publish.Method == "":
		return impossible("without a preset (--server), --path and --publish are needed")
	case s.Topics > 1 && !byPath && t.Subscribe == "":
		return impossible("--topics %d: %s knows no topics", s.Topics, nameOf(s, t))
	case s.Subscriptions > 1 && t.Subscribe == "":
		return impossible("--subscriptions %d: a connection to %s has one topic only", s.Subscriptions, nameOf(s, t))
	}
	return nil
}

// affordable checks memory and what the machine allows all processes together.
func (p *plan) affordable(s *settings) error {
	processes := int64(p.servers + p.generators)
	each := int64(kernelBoth) + 8*int64(s.Subscriptions)
	need, have := int64(s.Connections)*each+processes*perProcess, server.Available()
	if have > 0 && need > have {
		return impossible("%d connections need about %s of memory; %s are free, which hold about %d", s.Connections,
			bytesText(need), bytesText(have), max(0, have-processes*perProcess)/each)
	}
	if processes > manyProcesses {
		return impossible("%d connections at %d descriptors a process take %d processes", s.Connections, p.files, processes)
	}
	if most := fileMax(); most > 0 && int64(s.Connections)*2 > most {
		return impossible("%d connections: this machine allows all processes together %d descriptors (fs.file-max), and each connection needs two", s.Connections, most)
	}
	return nil
}

func fileMax() int64 {
	b, err := os.ReadFile("/proc/sys/fs/file-max")
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// bytesText is a size in the unit that fits.
func bytesText(n int64) string {
	switch v := float64(n); {
	case n >= 10<<30 || n <= -10<<30:
		return fmt.Sprintf("%.1f GiB", v/(1<<30))
	case n >= 10<<20 || n <= -10<<20:
		return fmt.Sprintf("%.1f MiB", v/(1<<20))
	case n >= 10<<10 || n <= -10<<10:
		return fmt.Sprintf("%.1f KiB", v/(1<<10))
	}
	return fmt.Sprintf("%d B", n)
}
