//go:build !race

package native_test

import "testing"

// TestUpgradeGarbage: an upgrade leaves at most 100 bytes of garbage. (The ownership checks of race builds leave more.)
func TestUpgradeGarbage(t *testing.T) {
	const runs = 5
	bytes, objects := 0., 0.
	for range runs { // the runtime allocates, too, now and then
		if bytes, objects = upgradeGarbage(t, 1000); bytes <= 100 {
			return
		}
	}
	t.Errorf("%.0f bytes in %.1f objects", bytes, objects)
}
