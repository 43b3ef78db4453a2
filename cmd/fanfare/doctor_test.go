package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"testing/fstest"
)

func hostOf(files map[string]string) fstest.MapFS {
	root := fstest.MapFS{}
	for name, text := range files {
		root[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return root
}

var smallHost = map[string]string{
	"proc/self/limits":                      "Max open files            1024                 4096                 files     \n",
	"proc/self/cgroup":                      "0::/\n",
	"proc/meminfo":                          "MemTotal:        8000000 kB\nMemAvailable:    4000000 kB\n",
	"proc/sys/fs/nr_open":                   "1048576\n",
	"proc/sys/fs/file-max":                  "800000\n",
	"proc/sys/fs/file-nr":                   "2000\t0\t800000\n",
	"proc/sys/fs/epoll/max_user_watches":    "900000\n",
	"proc/sys/net/core/somaxconn":           "128\n",
	"proc/sys/net/ipv4/tcp_max_syn_backlog": "512\n",
	"proc/sys/net/ipv4/ip_local_port_range": "32768\t60999\n",
	"sys/fs/cgroup/memory.max":              "1073741824\n",
}

// doctor runs the command on a host.
func doctor(t *testing.T, c doctorCmd) (stdout string, err error) {
	t.Helper()
	var out bytes.Buffer
	err = c.Run(streams{out: &out})
	return out.String(), err
}

func TestDoctor(t *testing.T) {
	root := hostOf(smallHost)
	got, err := doctor(t, doctorCmd{Connections: 2000, root: root})
	const want = `too low  RLIMIT_NOFILE soft               have 1024                 need 2256         unit: LimitNOFILE=2256  # a connection takes one descriptor; this is the limit of the shell or unit that doctor runs in
ok       RLIMIT_NOFILE hard               have 4096                 need 2256
too low  --max-connections default        have 768                  need 2000         unit: LimitNOFILE=2256  # the descriptors less 256, where there are few less a quarter; beyond it connections are refused with 503
ok       fs.nr_open                       have 1048576              need 2256
ok       fs.file-max                      have 800000               need 4256
ok       fs.epoll.max_user_watches        have 900000               need 2256
low      net.core.somaxconn               have 128                  need 2000         sysctl: net.core.somaxconn = 2000  # when all connect at once, whoever finds this queue full waits a second and more
low      net.ipv4.tcp_max_syn_backlog     have 512                  need 2000         sysctl: net.ipv4.tcp_max_syn_backlog = 2000  # half-open connections; beyond it the kernel falls back to SYN cookies
unknown  net.ipv4.tcp_mem                 have unknown              need 2000         sysctl: net.ipv4.tcp_mem = 1000 1500 2000  # the third number; idle connections need none, a message under way to one takes a page, and beyond them the kernel holds it back
ok       net.ipv4.ip_local_port_range     have 28232 ports          need 2000
ok       MemAvailable                     have 4096000000 bytes     need 77708864
ok       memory.max                       have 1073741824 bytes     need 77708864
this host can hold 768 connections in one process; 3 processes would hold 2000; first limit: RLIMIT_NOFILE soft
`
	if got != want {
		t.Errorf("got\n%s", got)
	}
	if err == nil || exitCode(err) != exitFailed {
		t.Errorf("2000 fit: %v", err)
	}
	for n, last := range map[int]string{
		768: "this host can hold 768 connections in one process; 1 process would hold 768; first limit: RLIMIT_NOFILE soft",
		300_000: "this host can hold 768 connections in one process; no number of processes would hold 300000, all together hold 189930; " +
			"first limit: RLIMIT_NOFILE soft",
	} {
		got, err := doctor(t, doctorCmd{Connections: n, root: root})
		if lines := strings.Split(got, "\n"); !strings.HasPrefix(lines[len(lines)-2], last) || (err == nil) != (n == 768) {
			t.Errorf("%d: %v, %s", n, err, lines[len(lines)-2])
		}
	}
	got, err = doctor(t, doctorCmd{Connections: 1, root: hostOf(nil)})
	if err == nil || !strings.HasSuffix(got, "\nnothing that bounds connections could be read: is /proc mounted?\n") {
		t.Errorf("%v: %s", err, got)
	}
}

func TestDoctorJSON(t *testing.T) {
	got, err := doctor(t, doctorCmd{Connections: 2000, JSON: true, root: hostOf(smallHost)})
	if err == nil {
		t.Error("2000 fit")
	}
	var report struct {
		Connections, Holds, Processes int
		OK                            bool
		First                         string
		Checks                        []struct {
			Name, Unit, Fix, Why string
			Have, Need           *int
			OK                   bool
		}
	}
	from := json.NewDecoder(strings.NewReader(got))
	from.DisallowUnknownFields()
	if err := from.Decode(&report); err != nil {
		t.Fatal(err, got)
	}
	if report.Connections != 2000 || report.Holds != 768 || report.Processes != 3 || report.OK || len(report.Checks) != 12 {
		t.Errorf("%+v", report)
	}
	for _, c := range report.Checks {
		if c.Name == "" || c.Need == nil || c.Why == "" || c.OK != (c.Fix == "") || (c.Have == nil) != (c.Name == "net.ipv4.tcp_mem") {
			t.Errorf("%+v", c)
		}
	}
}

// TestDoctorHere: the command as it is typed, on this machine.
func TestDoctorHere(t *testing.T) {
	for line, tt := range map[string]struct {
		code int
		says string
	}{
		"--connections 1":          {0, "this host can hold "},
		"--connections=1 --json":   {0, `{"connections":1,"ok":true,"holds":`},
		"":                         {exitUsage, "missing flags: --connections=N"},
		"--connections 1 2":        {exitUsage, "unexpected argument 2"},
		"--connections 0":          {exitSetting, "--connections"},
		"--connections 1 --listen": {exitUsage, "unknown flag --listen"},
	} {
		var out, stderr bytes.Buffer
		code := run(append([]string{"doctor"}, strings.Fields(line)...), streams{out: &out, err: &stderr})
		if code != tt.code || !strings.Contains(out.String()+stderr.String(), tt.says) {
			t.Errorf("doctor %s: exit code %d, %s%s", line, code, out.String(), stderr.String())
		}
	}
}

func TestWarnLimits(t *testing.T) {
	large := maps.Clone(smallHost)
	large["proc/self/limits"] = "Max open files 1048576 1048576 files\n"
	large["proc/sys/net/core/somaxconn"] = "4096\n"
	for name, tt := range map[string]struct {
		host map[string]string
		want int
	}{"unknown": {nil, 0}, "small": {smallHost, 2}, "large": {large, 0}} {
		var text bytes.Buffer
		warnLimits(slog.New(slog.NewTextHandler(&text, nil)), hostOf(tt.host))
		if n := strings.Count(text.String(), "level=WARN"); n != tt.want || n != strings.Count(text.String(), "fanfare doctor") {
			t.Errorf("%s: %s", name, text.String())
		}
	}
}
