package kernel

import (
	"io/fs"
	"maps"
	"os"
	"path"
	"testing"
	"testing/fstest"
)

func file(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }

const limitsHead = "Limit                     Soft Limit           Hard Limit           Units     \n" +
	"Max processes             96365                unlimited            processes \n"

// server is a machine of 64 GiB with the settings of scripts/90-fanfare.conf.
func server() fstest.MapFS {
	return fstest.MapFS{
		"proc/self/limits":                           file(limitsHead + "Max open files            1048576              1048576              files     \n"),
		"proc/self/cgroup":                           file("0::/system.slice/fanfare.service\n"),
		"proc/meminfo":                               file("MemTotal:       65536000 kB\nMemFree:  1 kB\nMemAvailable:   60000000 kB\n"),
		"proc/sys/fs/nr_open":                        file("2097152\n"),
		"proc/sys/fs/file-max":                       file("9223372036854775807\n"),
		"proc/sys/fs/file-nr":                        file("3000\t0\t9223372036854775807\n"),
		"proc/sys/fs/epoll/max_user_watches":         file("14000000\n"),
		"proc/sys/net/core/somaxconn":                file("4096\n"),
		"proc/sys/net/ipv4/tcp_max_syn_backlog":      file("16384\n"),
		"proc/sys/net/ipv4/tcp_mem":                  file("763000\t1017000\t1526000\n"),
		"proc/sys/net/ipv4/ip_local_port_range":      file("10240\t65535\n"),
		"sys/fs/cgroup/system.slice/memory.max":      file("max\n"),
		"proc/sys/net/netfilter/nf_conntrack_max":    file("1048576\n"),
		"proc/sys/net/netfilter/nf_conntrack_count":  file("1000\n"),
		"sys/fs/cgroup/system.slice/fanfare.service": &fstest.MapFile{Mode: fs.ModeDir | 0o755},
	}
}

// container is a small one, whose kernel shows it no more than its own part of the network.
func container() fstest.MapFS {
	return fstest.MapFS{
		"proc/self/limits":                      file(limitsHead + "Max open files            1024                 4096                 files     \n"),
		"proc/self/cgroup":                      file("0::/\n"),
		"proc/meminfo":                          file("MemTotal:        8000000 kB\nMemAvailable:    4000000 kB\n"),
		"proc/sys/fs/nr_open":                   file("1048576\n"),
		"proc/sys/fs/file-max":                  file("800000\n"),
		"proc/sys/fs/file-nr":                   file("2000\t0\t800000\n"),
		"proc/sys/net/core/somaxconn":           file("128\n"),
		"proc/sys/net/ipv4/tcp_max_syn_backlog": file("128\n"),
		"proc/sys/net/ipv4/ip_local_port_range": file("32768\t60999\n"),
		"sys/fs/cgroup/memory.max":              file("268435456\n"),
	}
}

// garbage has every file of a server, none of which makes sense.
func garbage() fstest.MapFS {
	bad := fstest.MapFS{}
	for i, text := range []string{"", "\n", "-1\n", "12 kB", "0x10\n", "1.5 2", "\x00\xff", "9999999999999999999999"} {
		names := fstest.MapFS{}
		maps.Copy(names, server())
		for name := range names {
			if (len(name)+i)%8 == 0 || bad[name] == nil {
				bad[name] = file(text)
			}
		}
	}
	return bad
}

func TestRead(t *testing.T) {
	all := Host{
		Files: Unknown, FilesHard: Unknown, NrOpen: Unknown, FileMax: Unknown, FilesUsed: Unknown, Watches: Unknown,
		Backlog: Unknown, SynBacklog: Unknown, TCPMem: [3]Value{Unknown, Unknown, Unknown}, Ports: Unknown,
		MemTotal: Unknown, MemAvailable: Unknown, Group: Unknown,
	}
	for name, tt := range map[string]struct {
		root fstest.MapFS
		want Host
	}{
		"nothing": {fstest.MapFS{}, all},
		"server": {server(), Host{
			Files: 1048576, FilesHard: 1048576, NrOpen: 2097152, FileMax: Unlimited, FilesUsed: 3000, Watches: 14000000,
			Backlog: 4096, SynBacklog: 16384, TCPMem: [3]Value{763000, 1017000, 1526000}, Ports: 55296,
			MemTotal: 65536000 << 10, MemAvailable: 60000000 << 10, Group: Unlimited, Tracks: true, Tracked: 1000, TrackedMost: 1048576,
		}},
		"container": {container(), Host{
			Files: 1024, FilesHard: 4096, NrOpen: 1048576, FileMax: 800000, FilesUsed: 2000, Watches: Unknown,
			Backlog: 128, SynBacklog: 128, TCPMem: [3]Value{Unknown, Unknown, Unknown}, Ports: 28232,
			MemTotal: 8000000 << 10, MemAvailable: 4000000 << 10, Group: 256 << 20,
		}},
	} {
		if got := Read(tt.root); got != tt.want {
			t.Errorf("%s:\n%+v, want\n%+v", name, got, tt.want)
		}
	}
	got := Read(garbage())
	if !got.Tracks {
		t.Error("a table of connections whose size cannot be read is still one")
	}
	got.Tracks, got.Tracked, got.TrackedMost = false, 0, 0
	all.Group = Unlimited // a process that is in no group
	if got != all {
		t.Errorf("garbage: %+v", got)
	}
}

func TestOpenFiles(t *testing.T) {
	for text, want := range map[string][2]Value{
		limitsHead: {Unknown, Unknown},
		limitsHead + "Max open files            20000                unlimited            files\n": {20000, Unlimited},
		limitsHead + "Max open files            20000\n":                                           {Unknown, Unknown},
		limitsHead + "Max open filesystems      1 2\n":                                             {Unknown, Unknown},
		"Max open files x y": {Unknown, Unknown},
	} {
		if soft, hard := openFiles(text); soft != want[0] || hard != want[1] {
			t.Errorf("%q: %v and %v, want %v", text, soft, hard, want)
		}
	}
}

// TestHost: this machine's own files are read, whatever is in them.
func TestHost(t *testing.T) {
	h := Read(os.DirFS("/"))
	if h.Files < 3 || h.FilesHard < h.Files || h.NrOpen < 1024 || h.FileMax < h.FilesUsed || h.MemTotal < h.MemAvailable || h.Group == Unknown {
		t.Errorf("%+v", h)
	}
}

func TestGroupMemory(t *testing.T) {
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
		if got := GroupMemory(tt.root); got != tt.want {
			t.Errorf("%s: got %d, want %d", name, got, tt.want)
		}
	}
}

func TestGroupMemoryOfBothVersions(t *testing.T) {
	one := func(dir, text string) fstest.MapFS {
		return fstest.MapFS{
			"proc/self/cgroup": file("9:name=systemd:/\n4:cpu,memory:/a/b\n0::/\n"),
			path.Join("sys/fs/cgroup/memory", dir, "memory.limit_in_bytes"): file(text),
		}
	}
	above := one("a", "1000")
	above["sys/fs/cgroup/memory/memory.limit_in_bytes"] = file("9223372036854771712\n")
	above["sys/fs/cgroup/memory/a/b/memory.limit_in_bytes"] = file("2000")
	both := one("", "2000")
	both["sys/fs/cgroup/memory.max"] = file("1500")
	outside := fstest.MapFS{"proc/self/cgroup": file("0::/../../x\n"), "memory.max": file("1"), "sys/memory.max": file("2"), "sys/fs/cgroup/x/memory.max": file("3")}
	for name, tt := range map[string]struct {
		root fstest.MapFS
		want Value
	}{
		"unreadable":          {fstest.MapFS{}, Unknown},
		"empty":               {fstest.MapFS{"proc/self/cgroup": file("")}, Unlimited},
		"1, its own":          {one("a/b", "1000\n"), 1000},
		"1, its parent's":     {above, 1000},
		"1, in a container":   {one("", "1000\n"), 1000},
		"1, unlimited":        {one("a/b", "9223372036854771712\n"), Unlimited},
		"1, garbage":          {one("a/b", "many\n"), Unlimited},
		"both":                {both, 1500},
		"above what it sees":  {outside, 3},
		"a line without path": {fstest.MapFS{"proc/self/cgroup": file("0:\n4:memory\n")}, Unlimited},
	} {
		if got := groupMemory(tt.root); got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}
