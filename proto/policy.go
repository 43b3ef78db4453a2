package proto

import (
	"fmt"
	"path"
	"strings"
)

// ParsePolicy gives the number, as in Want.Class, of a policy for slow consumers.
func ParsePolicy(name string) (class uint8, err error) {
	names := PolicyNames()
	for i, n := range names {
		if n == name {
			return policies[i].class, nil
		}
	}
	return 0, fmt.Errorf("policy %q%s (known: %s)", name, meant(name, names), strings.Join(names, ", "))
}

// PolicyNames are the names that ParsePolicy knows.
func PolicyNames() []string {
	names := make([]string, len(policies))
	for i, p := range policies {
		names[i] = p.name
	}
	return names
}

// TopicPolicy says what is done with slow consumers of the topics that match a pattern.
type TopicPolicy struct {
	Pattern string // as in path.Match: * and ? stop at a slash
	Class   uint8
}

// TopicPolicies are tried in order: the first that matches counts.
type TopicPolicies []TopicPolicy

// ParseTopicPolicies reads a list of PATTERN=POLICY.
func ParseTopicPolicies(list []string) (TopicPolicies, error) {
	t := make(TopicPolicies, 0, len(list))
	for _, s := range list {
		i := strings.LastIndexByte(s, '=')
		if i <= 0 {
			return nil, fmt.Errorf("topic policy %q: expected PATTERN=POLICY", s)
		}
		class, err := ParsePolicy(s[i+1:])
		if err != nil {
			return nil, fmt.Errorf("topic policy %q: %w", s, err)
		}
		if _, err := path.Match(s[:i], ""); err != nil {
			return nil, fmt.Errorf("topic policy %q: malformed pattern: a [ without its ], or a \\ at the end", s)
		}
		t = append(t, TopicPolicy{Pattern: s[:i], Class: class})
	}
	return t, nil
}

// Find gives the policy for a topic, if a pattern matches.
func (t TopicPolicies) Find(topic string) (class uint8, ok bool) {
	for i := range t {
		if ok, err := path.Match(t[i].Pattern, topic); ok && err == nil {
			return t[i].Class, true
		}
	}
	return 0, false
}

// Policy is what the peer's listener does with slow consumers, if it was told.
func (p Peer) Policy() (class uint8, ok bool) {
	l := p.listener()
	return l.class, l.classed
}
