package target

import (
	"fmt"
	"slices"
	"strings"
)

const (
	peersDir    = "bin/peers" // where make peers puts them
	pingSeconds = 30          // fanfare's default, so that the floor does the same
)

// All are the presets, those included that cannot run here.
func All() []Target {
	return slices.Concat(
		fanfare(),
		[]Target{Floor(peersDir+"/floor", pingSeconds)},
		Peers(peersDir),
	)
}

// Lookup returns a preset. If it cannot run here, there is an error, and the preset says in Missing why.
func Lookup(name string) (Target, error) {
	var names []string
	for _, t := range All() {
		if t.Name == name {
			if t.Missing != "" {
				return t, fmt.Errorf("%s cannot run: %s", name, t.Missing)
			}
			return t, nil
		}
		names = append(names, t.Name)
	}
	return Target{}, fmt.Errorf("there is no preset %q; there are %s", name, strings.Join(names, ", "))
}
