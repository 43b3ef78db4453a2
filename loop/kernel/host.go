package kernel

import (
	"io/fs"
	"strings"
)

// Host is what bounds connections on this machine and in this process. The zero value means nothing: use Read.
type Host struct {
	Files     Value // RLIMIT_NOFILE; Go has raised it to FilesHard at the start, if it may
	FilesHard Value
	NrOpen    Value // fs.nr_open
	FileMax   Value // fs.file-max
	FilesUsed Value // descriptors of all processes
	Watches   Value // fs.epoll.max_user_watches

	Backlog    Value    // net.core.somaxconn
	SynBacklog Value    // net.ipv4.tcp_max_syn_backlog
	TCPMem     [3]Value // net.ipv4.tcp_mem, in pages: at ease, under pressure, at the limit
	Ports      Value    // how many net.ipv4.ip_local_port_range has

	MemTotal     Value // bytes
	MemAvailable Value
	Group        Value // lowest limit of memory of the process's control groups, bytes

	Tracks      bool  // a firewall tracks connections
	Tracked     Value // net.netfilter.nf_conntrack_count
	TrackedMost Value // net.netfilter.nf_conntrack_max
}

// Read reads a host from the root of its file system.
func Read(root fs.FS) Host {
	sysctl := func(name string) string { return text(root, "proc/sys/"+strings.ReplaceAll(name, ".", "/")) }
	h := Host{
		NrOpen:     number(sysctl("fs.nr_open")),
		FileMax:    number(sysctl("fs.file-max")),
		FilesUsed:  numbers(sysctl("fs.file-nr"), 3)[0],
		Watches:    number(sysctl("fs.epoll.max_user_watches")),
		Backlog:    number(sysctl("net.core.somaxconn")),
		SynBacklog: number(sysctl("net.ipv4.tcp_max_syn_backlog")),
		TCPMem:     [3]Value(numbers(sysctl("net.ipv4.tcp_mem"), 3)),
		Ports:      ports(sysctl("net.ipv4.ip_local_port_range")),
		Group:      groupMemory(root),
	}
	h.Files, h.FilesHard = openFiles(text(root, "proc/self/limits"))
	memory := text(root, "proc/meminfo")
	h.MemTotal, h.MemAvailable = kilobytes(memory, "MemTotal"), kilobytes(memory, "MemAvailable")
	if _, err := fs.Stat(root, "proc/sys/net/netfilter/nf_conntrack_max"); err == nil {
		h.Tracks = true
		h.Tracked = number(sysctl("net.netfilter.nf_conntrack_count"))
		h.TrackedMost = number(sysctl("net.netfilter.nf_conntrack_max"))
	}
	return h
}

// text is a file's content, empty if it cannot be read: every parser makes Unknown of that.
func text(root fs.FS, name string) string {
	b, err := fs.ReadFile(root, name)
	if err != nil {
		return ""
	}
	return string(b)
}

// openFiles finds the soft and the hard limit of descriptors in /proc/self/limits.
func openFiles(limits string) (soft, hard Value) {
	for line := range strings.Lines(limits) {
		if rest, ok := strings.CutPrefix(line, "Max open files "); ok {
			v := numbers(rest, 2)
			return v[0], v[1]
		}
	}
	return Unknown, Unknown
}

// kilobytes finds a line of /proc/meminfo and gives its value in bytes.
func kilobytes(meminfo, name string) Value {
	for line := range strings.Lines(meminfo) {
		rest, ok := strings.CutPrefix(line, name+":")
		if !ok {
			continue
		}
		if digits, ok := strings.CutSuffix(strings.TrimSpace(rest), " kB"); ok {
			if v := number(digits); v != Unknown {
				return v.times(1 << 10)
			}
		}
	}
	return Unknown
}

// ports is how many a range has, both ends included.
func ports(text string) Value {
	v := numbers(text, 2)
	if v[0] == Unknown || v[1] < v[0] || v[1] > 65535 {
		return Unknown
	}
	return v[1] - v[0] + 1
}
