//go:build race

package fanout

import (
	"strings"
	"testing"
)

// Each method of a loop notices a call by another goroutine.
func TestOwner(t *testing.T) {
	_, s, _ := simpleHub(t)
	s.Work(1)
	for name, call := range map[string]func(){
		"Join":     func() { s.Join(1, Key{}, Want{}) },
		"Leave":    func() { s.Leave(1, Key{}) },
		"LeaveAll": func() { s.LeaveAll(1) },
		"Count":    func() { s.Count(1) },
		"Work":     func() { s.Work(1) },
	} {
		said := make(chan any)
		go func() {
			defer func() { said <- recover() }()
			call()
		}()
		if text, ok := (<-said).(string); !ok || !strings.Contains(text, "belongs to goroutine") {
			t.Errorf("%s does not mind another goroutine: %q", name, text)
		}
	}
	s.Work(1)
}
