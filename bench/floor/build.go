package floor

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

//go:embed floor.c
var source []byte

// Build compiles floor into dir, which has to exist, and returns where it is. It needs cc.
func Build(dir string) (string, error) {
	file, path := filepath.Join(dir, "floor.c"), filepath.Join(dir, "floor")
	if err := os.WriteFile(file, source, 0o600); err != nil {
		return "", err
	}
	defer os.Remove(file) //nolint:errcheck // a source that stays behind harms nobody
	out, err := exec.CommandContext(context.Background(), "cc", "-O2", "-pthread", "-o", path, file).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("cc: %w\n%s", err, out)
	}
	return path, nil
}
