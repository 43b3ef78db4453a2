package kernel

import (
	"maps"
	"strings"
	"testing"
	"testing/fstest"
)

func TestExamine(t *testing.T) {
	for name, tt := range map[string]struct {
		root      fstest.MapFS
		n         Value
		holds     Value
		processes int
		first     string
		bad       string // names of what is not as it should be
	}{
		"nothing is known": {
			fstest.MapFS{},
			1, Unknown, 0, "",
			"RLIMIT_NOFILE soft, RLIMIT_NOFILE hard, --max-connections default, fs.nr_open, fs.file-max, fs.epoll.max_user_watches, " +
				"net.core.somaxconn, net.ipv4.tcp_max_syn_backlog, net.ipv4.tcp_mem, net.ipv4.ip_local_port_range, MemAvailable, memory.max",
		},
		"a server": {server(), 50_000, 1_047_576, 1, "net.netfilter.nf_conntrack_max", ""},
		"its last": {server(), 1_047_576, 1_047_576, 1, "net.netfilter.nf_conntrack_max", "net.ipv4.ip_local_port_range"},
		"one more": {
			server(), 1_047_577, 1_047_576, 0, "net.netfilter.nf_conntrack_max",
			"net.netfilter.nf_conntrack_max, net.ipv4.ip_local_port_range",
		},
		"a container": {
			container(), 500, 768, 1, "RLIMIT_NOFILE soft",
			"fs.epoll.max_user_watches, net.core.somaxconn, net.ipv4.tcp_max_syn_backlog, net.ipv4.tcp_mem",
		},
		"more than it may open": {
			container(), 3000, 768, 4, "RLIMIT_NOFILE soft",
			"RLIMIT_NOFILE soft, --max-connections default, fs.epoll.max_user_watches, net.core.somaxconn, " +
				"net.ipv4.tcp_max_syn_backlog, net.ipv4.tcp_mem",
		},
		"more than its memory": {
			container(), 40_000, 768, 0, "RLIMIT_NOFILE soft",
			"RLIMIT_NOFILE soft, RLIMIT_NOFILE hard, --max-connections default, fs.epoll.max_user_watches, net.core.somaxconn, " +
				"net.ipv4.tcp_max_syn_backlog, net.ipv4.tcp_mem, net.ipv4.ip_local_port_range, memory.max",
		},
	} {
		h := Read(tt.root)
		r := Examine(&h, tt.n)
		var bad []string
		for _, c := range r.Checks {
			if c.Why == "" || c.OK && c.Fix != "" || c.Have == Unknown && c.OK {
				t.Errorf("%s: %+v", name, c)
			}
			if !c.OK {
				bad = append(bad, c.Name)
			}
		}
		if r.Holds != tt.holds || r.Processes != tt.processes || r.First != tt.first || strings.Join(bad, ", ") != tt.bad {
			t.Errorf("%s: %d processes, %v first %q, bad: %s", name, r.Processes, r.Holds, r.First, strings.Join(bad, ", "))
		}
		if r.OK != (tt.n <= tt.holds) || r.Connections != tt.n {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// TestFixes: what a fix says is enough, to the last connection.
func TestFixes(t *testing.T) {
	const n = 1_200_000
	root := server()
	h := Read(root)
	r := Examine(&h, n)
	want := map[string]string{
		"RLIMIT_NOFILE soft":             "unit: LimitNOFILE=1200256",
		"RLIMIT_NOFILE hard":             "unit: LimitNOFILE=1200256",
		"--max-connections default":      "unit: LimitNOFILE=1200256",
		"net.netfilter.nf_conntrack_max": "sysctl: net.netfilter.nf_conntrack_max = 1201000",
		"net.ipv4.ip_local_port_range":   "sysctl: net.ipv4.ip_local_port_range = 1024 65535",
	}
	got := map[string]string{}
	for _, c := range r.Checks {
		if c.Fix != "" {
			got[c.Name] = c.Fix
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("%q", got)
	}
	root["proc/self/limits"] = file("Max open files 1200256 1200256 files\n")
	root["proc/sys/net/netfilter/nf_conntrack_max"] = file("1201000")
	h = Read(root)
	if r = Examine(&h, n); !r.OK || r.Holds != n {
		t.Errorf("%v after all fixes but the last, which is a proxy's", r.Holds)
	}
	for name, fix := range map[string]string{
		"net.ipv4.tcp_mem": "sysctl: net.ipv4.tcp_mem = 1500000 2250000 3000000",
		"fs.nr_open":       "sysctl: fs.nr_open = 3000256",
		"memory.max":       "unit: MemoryMax=15967108864",
		"MemAvailable":     "flag: --max-connections 188",
	} {
		root["sys/fs/cgroup/system.slice/memory.max"] = file("1000000")
		root["proc/meminfo"] = file("MemAvailable: 66512 kB\n")
		h = Read(root)
		for _, c := range Examine(&h, 3_000_000).Checks {
			if c.Name == name && c.Fix != fix {
				t.Errorf("%q, want %q", c.Fix, fix)
			}
		}
	}
}

// TestDescriptors: as many as are needed, and not one more.
func TestDescriptors(t *testing.T) {
	for n := Value(1); n < 3000; n++ {
		d := descriptors(n)
		if connections(d) < n || connections(d-1) >= n {
			t.Fatalf("%v descriptors for %v connections", d, n)
		}
	}
	for d, want := range map[int]int{0: 0, 8: 2, 1000: 250, 1023: 255, 1024: 256, 1 << 20: 256} {
		if got := Spare(d); got != want {
			t.Errorf("%d spare of %d, want %d", got, d, want)
		}
	}
}
