package proto_test

import (
	"strings"
	"testing"

	"fanfare/loop"
	"fanfare/proto"
)

func TestTopicPolicies(t *testing.T) {
	p, err := proto.ParseTopicPolicies([]string{"tick/*=drop-oldest", "tick/=x=disconnect", "a[bc]?=drop-oldest", "*=disconnect"})
	if err != nil {
		t.Fatal(err)
	}
	for topic, want := range map[string]int{
		"tick/a": int(loop.DropOldest), "tick/": int(loop.DropOldest), "tick/=x": int(loop.DropOldest), "tick": int(loop.Disconnect),
		"tick/a/b": -1, "abx": int(loop.DropOldest), "acé": int(loop.DropOldest), "ab": int(loop.Disconnect),
	} {
		class, ok := p.Find(topic)
		if ok != (want >= 0) || ok && int(class) != want {
			t.Errorf("%q: %d %v", topic, class, ok)
		}
	}
	for list, text := range map[string]string{
		"":              "expected PATTERN=POLICY",
		"=disconnect":   "expected PATTERN=POLICY",
		"a":             "expected PATTERN=POLICY",
		"a=":            "known: disconnect",
		"a=drop-oldset": `did you mean "drop-oldest"?`,
		"[a=disconnect": "malformed",
		`a\=disconnect`: "malformed",
	} {
		if got, err := proto.ParseTopicPolicies([]string{list}); err == nil || !strings.Contains(err.Error(), text) || got != nil {
			t.Errorf("%q: %v %v", list, got, err)
		}
	}
	for _, name := range proto.PolicyNames() {
		if _, err := proto.ParsePolicy(name); err != nil {
			t.Error(err)
		}
	}
}
