package scripts

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// plant writes a module named fanfare that holds one empty package per folder, and the given files.
func plant(t *testing.T, folders []string, files map[string]string) (root string) {
	t.Helper()
	root = t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module fanfare\n\ngo 1.26.0\n")
	for _, folder := range folders {
		write(folder+"/doc.go", "package "+filepath.Base(folder)+"\n")
	}
	for name, text := range files {
		write(name, text)
	}
	return root
}

// importing is the text of a file in folder that imports path and uses nothing of it.
func importing(folder, path string) string {
	return "package " + filepath.Base(folder) + "\n\nimport _ \"" + path + "\"\n"
}

func runImports(t *testing.T, root string) (out string, err error) {
	t.Helper()
	script, err := filepath.Abs("imports.sh")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "bash", script)
	cmd.Dir = root
	b, err := cmd.CombinedOutput()
	return string(b), err
}

func TestImportsOfThisTreeGoDown(t *testing.T) {
	t.Parallel()
	if out, err := runImports(t, ".."); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func TestImportsFlagsBackEdges(t *testing.T) {
	t.Parallel()
	for _, edge := range []struct {
		from, to string
		back     bool
	}{
		{"loop/ws", "loop", true},
		{"loop", "fanout", true},
		{"loop", "proto", true},
		{"fanout", "loop", true},
		{"fanout", "proto", true},
		{"fanout/natsbus", "proto", true},
		{"proto", "proto/native", true},
		{"proto/native", "proto/pusher", true},
		{"proto/auth", "proto", true},
		{"proto/native", "cmd/fanfare", true},
		{"loop", "loop/ws", false},
		{"fanout/natsbus", "fanout", false},
		{"proto", "loop", false},
		{"proto", "fanout", false},
		{"proto", "proto/auth", false},
		{"proto/native", "proto", false},
		{"cmd/fanfare", "proto/native", false},
	} {
		t.Run(edge.from+" imports "+edge.to, func(t *testing.T) {
			t.Parallel()
			root := plant(t, []string{edge.from, edge.to}, map[string]string{
				edge.from + "/planted.go": importing(edge.from, "fanfare/"+edge.to),
			})
			out, err := runImports(t, root)
			want := "back edge: fanfare/" + edge.from + " -> fanfare/" + edge.to
			if got := strings.Contains(out, want); got != edge.back || (err != nil) != edge.back {
				t.Errorf("flagged = %v, want %v (%v)\n%s", got, edge.back, err, out)
			}
		})
	}
}
