package kernel

import "fmt"

// What connections cost.
const (
	KernelBytes = 5000     // of the kernel's memory for a connection at rest: 3.9 KB measured on loopback, 5 KB on others
	OurBytes    = 300      // of ours, room for the collector included
	base        = 64 << 20 // bytes of a server without connections
	others      = 256      // descriptors that are no connections: listeners, polls, logs

	Backlog    = 4096  // connections that a loop's socket may have waiting
	synBacklog = 16384 // half-open ones
)

// Spare is how many of so many descriptors are kept for what is no connection: 256, and where there are few a quarter.
func Spare(descriptors int) int { return min(others, descriptors/4) }

// descriptors is the least of which n are left for connections.
func descriptors(n Value) Value {
	if n > 3*others {
		return n.plus(others)
	}
	return (4*n - 1) / 3
}

// connections is how many so many descriptors are enough for.
func connections(files Value) Value {
	if files == Unknown || files == Unlimited {
		return files
	}
	return files - Value(Spare(int(files)))
}

// Check is one limit of the host, compared with what a number of connections needs.
type Check struct {
	Name string `json:"name"`
	Unit string `json:"unit,omitempty"` // none: a number of connections, descriptors or the like
	Have Value  `json:"have"`
	Need Value  `json:"need"`
	OK   bool   `json:"ok"`            // not true of what is unknown
	Fix  string `json:"fix,omitempty"` // the line to set, behind where it belongs: "sysctl: ", "unit: " or "flag: "
	Why  string `json:"why"`

	holds  Value // connections that it is enough for
	shared bool  // by all processes of the host
	soft   bool  // too little of it delays or concerns others: it does not bound the number
}

// Bounds tells whether the limit bounds how many connections there are.
func (c *Check) Bounds() bool { return !c.soft }

// Report is what a host can hold.
type Report struct {
	Connections Value   `json:"connections"` // asked for
	OK          bool    `json:"ok"`          // they fit into one process
	Holds       Value   `json:"holds"`       // connections that do; Unknown if nothing that bounds them is known
	Processes   int     `json:"processes"`   // that would hold those asked for; 0: no number of them
	All         Value   `json:"-"`           // connections that fit into any number of processes
	First       string  `json:"first"`       // name of the limit that is met first
	Checks      []Check `json:"checks"`
}

// Examine says whether n connections fit into one process on h, and what to change.
func Examine(h *Host, n Value) Report {
	r := Report{Connections: n, Holds: Unknown}
	r.Checks = append(h.files(n), h.sockets(n)...)
	r.Checks = append(r.Checks, h.memory(n)...)
	each, all := Unlimited, Unlimited
	for i := range r.Checks {
		c := &r.Checks[i]
		c.OK = c.Have != Unknown && c.Have >= c.Need
		if c.OK {
			c.Fix = ""
		}
		if c.soft || c.holds == Unknown {
			continue
		}
		if r.Holds == Unknown || c.holds < r.Holds {
			r.Holds, r.First = c.holds, c.Name
		}
		if c.shared {
			all = min(all, c.holds)
		} else {
			each = min(each, c.holds)
		}
	}
	r.OK, r.All = r.Holds >= n, all
	if all >= n && each > 0 && r.Holds != Unknown {
		r.Processes = int((n-1)/each + 1)
	}
	return r
}

// files are the limits of descriptors.
func (h *Host) files(n Value) []Check {
	need := descriptors(n)
	unit := fmt.Sprintf("unit: LimitNOFILE=%v", need)
	total := n.plus(others).plus(max(h.FilesUsed, 0))
	watches := n.plus(others)
	return []Check{
		{
			Name: "RLIMIT_NOFILE soft", Have: h.Files, Need: need, Fix: unit, holds: connections(h.Files),
			Why: "a connection takes one descriptor; this is the limit of the shell or unit that doctor runs in",
		},
		{
			Name: "RLIMIT_NOFILE hard", Have: h.FilesHard, Need: need, Fix: unit, holds: connections(h.FilesHard),
			Why: "the soft limit is raised to it at the start",
		},
		{
			Name: "--max-connections default", Have: connections(h.Files), Need: n, Fix: unit, holds: connections(h.Files),
			Why: "the descriptors less 256, where there are few less a quarter; beyond it connections are refused with 503",
		},
		{
			Name: "fs.nr_open", Have: h.NrOpen, Need: need, Fix: sysctl("fs.nr_open", need), holds: connections(h.NrOpen),
			Why: "the most that RLIMIT_NOFILE may be set to",
		},
		{
			Name: "fs.file-max", Have: h.FileMax, Need: total, Fix: sysctl("fs.file-max", total), shared: true,
			holds: h.FileMax.less(max(h.FilesUsed, 0)).less(others),
			Why:   fmt.Sprintf("open files of all processes; open now: %v", h.FilesUsed),
		},
		{
			Name: "fs.epoll.max_user_watches", Have: h.Watches, Need: watches, shared: true,
			Fix: sysctl("fs.epoll.max_user_watches", watches), holds: h.Watches.less(others),
			Why: "a connection is one watch of its user, 160 bytes that never swap",
		},
	}
}

// sockets are the limits of the network.
func (h *Host) sockets(n Value) []Check {
	backlog, syn := min(n, Backlog), min(n, synBacklog)
	checks := []Check{
		{
			Name: "net.core.somaxconn", Have: h.Backlog, Need: backlog, Fix: sysctl("net.core.somaxconn", backlog), soft: true,
			Why: "when all connect at once, whoever finds this queue full waits a second and more",
		},
		{
			Name: "net.ipv4.tcp_max_syn_backlog", Have: h.SynBacklog, Need: syn, Fix: sysctl("net.ipv4.tcp_max_syn_backlog", syn), soft: true,
			Why: "half-open connections; beyond it the kernel falls back to SYN cookies",
		},
		{
			Name: "net.ipv4.tcp_mem", Unit: "pages", Have: h.TCPMem[2], Need: n, Fix: h.fixTCPMem(n), soft: true,
			Why: "the third number; idle connections need none, a message under way to one takes a page, and beyond them the kernel holds it back",
		},
	}
	if h.Tracks {
		need := n.plus(max(h.Tracked, 0))
		checks = append(checks, Check{
			Name: "net.netfilter.nf_conntrack_max", Have: h.TrackedMost, Need: need, shared: true,
			Fix: sysctl("net.netfilter.nf_conntrack_max", need), holds: h.TrackedMost.less(max(h.Tracked, 0)),
			soft: h.Tracked == 0, // the module is there, and no rule uses it
			Why:  fmt.Sprintf("a firewall that tracks connections refuses new ones when its table is full; tracked now: %v", h.Tracked),
		})
	}
	return append(checks, Check{
		Name: "net.ipv4.ip_local_port_range", Unit: "ports", Have: h.Ports, Need: min(n, mostPorts), soft: true,
		Fix: sysctl("net.ipv4.ip_local_port_range", "1024 65535"),
		Why: "only for a proxy or load generator on this host: one port a connection to one address of fanfare; " +
			"beyond 64512 it needs several addresses or a unix socket",
	})
}

// mostPorts is how many a range can have without the well-known ones.
const mostPorts = 65535 - 1024 + 1

// memory are the limits of bytes.
func (h *Host) memory(n Value) []Check {
	need := n.times(KernelBytes + OurBytes).plus(base)
	checks := []Check{
		{
			Name: "MemAvailable", Unit: "bytes", Have: h.MemAvailable, Need: need, holds: fits(h.MemAvailable), shared: true,
			Why: fmt.Sprintf("of %v in all; %d bytes a connection in the kernel and %d in fanfare", h.MemTotal, KernelBytes, OurBytes),
		},
		{
			Name: "memory.max", Unit: "bytes", Have: h.Group, Need: need, Fix: fmt.Sprintf("unit: MemoryMax=%v", need),
			holds: fits(h.Group), shared: true,
			Why: "of the control group that doctor runs in and those above it: a container's limit; the kernel's share of a connection counts too",
		},
	}
	if h.MemAvailable != Unknown {
		checks[0].Fix = fmt.Sprintf("flag: --max-connections %v", max(checks[0].holds, 1))
	}
	return checks
}

// fits is how many connections so many bytes are enough for.
func fits(bytes Value) Value {
	if bytes == Unknown || bytes == Unlimited {
		return bytes
	}
	return bytes.less(base) / (KernelBytes + OurBytes)
}

// sysctl is the line of a file in /etc/sysctl.d.
func sysctl(name string, value any) string { return fmt.Sprintf("sysctl: %s = %v", name, value) }

// fixTCPMem raises the three numbers of tcp_mem as far as needed.
func (h *Host) fixTCPMem(n Value) string {
	return sysctl("net.ipv4.tcp_mem", fmt.Sprintf("%v %v %v", max(h.TCPMem[0], n/2), max(h.TCPMem[1], n/4*3), max(h.TCPMem[2], n)))
}
