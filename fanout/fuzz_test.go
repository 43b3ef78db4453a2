package fanout

import "testing"

// FuzzModel gives the model's tape to the fuzzer.
func FuzzModel(f *testing.F) {
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1000 {
			return
		}
		newModel(t, b).run()
	})
}
