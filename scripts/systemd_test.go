//go:build systemd

package scripts

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// install puts everything below a folder, as 'make install DESTDIR=' does.
func install(t *testing.T) (root string) {
	t.Helper()
	root = t.TempDir()
	must(t, exec.CommandContext(t.Context(), "make", "-C", "..", "install", "DESTDIR="+root))
	return root
}

func must(t *testing.T, cmd *exec.Cmd) (out string) {
	t.Helper()
	b, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, b)
	}
	return string(b)
}

// files are the regular files below root, without it.
func files(t *testing.T, root string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			names = append(names, strings.TrimPrefix(path, root))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestSystemdInstallAndUninstall(t *testing.T) {
	root := install(t)
	want := []string{
		"/etc/fanfare/fanfare.yaml",
		"/usr/local/bin/fanfare",
		"/usr/local/lib/sysctl.d/90-fanfare.conf",
		"/usr/local/lib/systemd/system/fanfare.service",
		"/usr/local/lib/systemd/system/fanfare.socket",
		"/usr/local/share/fanfare/fanfare.example.yaml",
	}
	if got := files(t, root); !slices.Equal(got, want) {
		t.Errorf("installed %v, want %v", got, want)
	}
	fanfare := filepath.Join(root, "/usr/local/bin/fanfare")
	must(t, exec.CommandContext(t.Context(), fanfare, "config", "check", "--config", filepath.Join(root, "/etc/fanfare/fanfare.yaml")))
	settings := filepath.Join(root, want[0])
	if err := os.WriteFile(settings, []byte("max-batch: 7\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	must(t, exec.CommandContext(t.Context(), "make", "-C", "..", "install", "DESTDIR="+root))
	if b, err := os.ReadFile(settings); err != nil || string(b) != "max-batch: 7\n" {
		t.Errorf("the second install wrote over the settings: %q, %v", b, err)
	}
	must(t, exec.CommandContext(t.Context(), "make", "-C", "..", "uninstall", "DESTDIR="+root))
	if got := files(t, root); !slices.Equal(got, want[:1]) {
		t.Errorf("left %v, want the changed settings only", got)
	}
}

func TestSystemdVerify(t *testing.T) {
	root := install(t)
	for _, unit := range units(t, root) {
		if out := must(t, exec.CommandContext(t.Context(), "systemd-analyze", "verify", "--man=no", unit)); out != "" {
			t.Errorf("%s:\n%s", unit, out)
		}
	}
}

// units copies the installed units with the binary where it is here.
func units(t *testing.T, root string) (copies []string) {
	t.Helper()
	dir := t.TempDir()
	found, err := filepath.Glob(filepath.Join(root, "usr/local/lib/systemd/system/*"))
	if err != nil || len(found) == 0 {
		t.Fatalf("no units: %v", err)
	}
	for _, path := range found {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		unit := filepath.Join(dir, filepath.Base(path))
		if err := os.WriteFile(unit, bytes.ReplaceAll(b, []byte("/usr/local/bin/"), []byte(root+"/usr/local/bin/")), 0o644); err != nil {
			t.Fatal(err)
		}
		copies = append(copies, unit)
	}
	return copies
}

// directives gives the values of a setting of the unit, in their order.
func directives(t *testing.T, name string) (values []string) {
	t.Helper()
	text, err := os.ReadFile("fanfare.service")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && key == name {
			values = append(values, value)
		}
	}
	return values
}

// TestSystemdSeesProcSys: the server reads kernel settings below /proc/sys, so nothing of the unit may hide them. ProtectProc=
// hides other processes and nothing else; ProtectKernelTunables= leaves them readable.
func TestSystemdSeesProcSys(t *testing.T) {
	for _, subset := range directives(t, "ProcSubset") {
		if subset != "all" {
			t.Errorf("ProcSubset=%s leaves only processes in /proc", subset)
		}
	}
	for _, hides := range []string{"InaccessiblePaths", "TemporaryFileSystem", "BindPaths", "BindReadOnlyPaths", "MountAPIVFS", "RootDirectory", "RootImage"} {
		for _, value := range directives(t, hides) {
			if strings.Contains(value, "/proc") || hides == "MountAPIVFS" || strings.HasPrefix(hides, "Root") {
				t.Errorf("%s=%s may hide /proc/sys", hides, value)
			}
		}
	}
	if got := directives(t, "ProtectProc"); !slices.Equal(got, []string{"invisible"}) {
		t.Errorf("ProtectProc=%v: the lines of the unit are not understood", got)
	}
}

// TestSystemdReloadFailsVisibly: a signal tells systemctl nothing; the same check as before a start does.
func TestSystemdReloadFailsVisibly(t *testing.T) {
	check := directives(t, "ExecStartPre")
	if got := directives(t, "ExecReload"); len(check) != 1 || !slices.Equal(got, []string{"/bin/kill -HUP $MAINPID", check[0]}) {
		t.Errorf("ExecReload=%q, ExecStartPre=%q", got, check)
	}
}

func TestSystemdSecurity(t *testing.T) {
	out := must(t, exec.CommandContext(t.Context(), "systemd-analyze", "security", "--no-pager", "--offline=true", "--threshold=15", "fanfare.service"))
	if !strings.Contains(out, "Overall exposure level for fanfare.service") {
		t.Errorf("no verdict in\n%s", out)
	}
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "→") {
			t.Log(strings.TrimSpace(line))
		}
	}
}

func TestSystemdSysctls(t *testing.T) {
	text, err := os.ReadFile("90-fanfare.conf")
	if err != nil {
		t.Fatal(err)
	}
	explained, settings := false, 0
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			explained = line != ""
			continue
		}
		settings++
		name, value, ok := strings.Cut(line, " = ")
		if !ok || value == "" || !explained {
			t.Errorf("%q: no value or no explanation", line)
		}
		if name[0] == '-' {
			continue
		}
		if _, err := os.Stat("/proc/sys/" + strings.ReplaceAll(name, ".", "/")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if settings == 0 {
		t.Error("no settings")
	}
}
