package floor

import (
	"bytes"
	"testing"
)

// What stands for the physical limit has to be read in one sitting.
func TestFloorIsShort(t *testing.T) {
	const most = 250
	if lines := bytes.Count(source, []byte("\n")); lines == 0 || lines > most {
		t.Errorf("floor.c has %d lines, at most %d are wanted", lines, most)
	}
}
