//go:build !race

package loop

// owner is checked in race builds only.
type owner struct{}

func (*Loop) own() {}
