package report

import (
	"slices"
	"strings"
)

// dimension is one part of a shape.
type dimension struct {
	name string
	of   func(key) int
	// words say the size in a sentence; empty for what need not be said.
	words func(n int) string
}

func dimensions() []dimension {
	return []dimension{
		{"connections", func(k key) int { return k.connections }, func(n int) string { return integer(n) + " connections" }},
		{"topics", func(k key) int { return k.topics }, beyond(1, func(n int) string { return integer(n) + " topics" })},
		{"subscriptions", func(k key) int { return k.subscriptions }, func(n int) string { return integer(n) + " subscriptions" }},
		{"burst", func(k key) int { return k.burst }, beyond(1, func(n int) string { return "bursts of " + integer(n) })},
		{"payload", func(k key) int { return k.size }, beyond(0, func(n int) string { return integer(n) + " B" })},
		{"stopped", func(k key) int { return k.stopped }, beyond(0, func(n int) string { return integer(n) + " readers stop" })},
	}
}

// beyond says nothing of what is usual.
func beyond(usual int, words func(int) string) func(int) string {
	return func(n int) string {
		if n == usual {
			return ""
		}
		return words(n)
	}
}

// String is for example "15,000 connections, 128 B".
func (k key) String() string { return k.say(dimensions()) }

// say puts some dimensions into words, but for what is usual.
func (k key) say(which []dimension) string {
	var parts []string
	for _, d := range which {
		if d.name == "subscriptions" && k.subscriptions == k.connections {
			continue
		}
		if words := d.words(d.of(k)); words != "" {
			parts = append(parts, words)
		}
	}
	return strings.Join(parts, ", ")
}

// varying are the dimensions in which groups differ; the others are the same in all. One subscription for each connection is neither.
func varying(all []*group) (differ, same []dimension) {
	for _, d := range dimensions() {
		if d.name == "subscriptions" && !slices.ContainsFunc(all, func(g *group) bool { return g.key.subscriptions != g.key.connections }) {
			continue
		}
		differs := false
		for _, g := range all {
			differs = differs || d.of(g.key) != d.of(all[0].key)
		}
		if differs {
			differ = append(differ, d)
		} else {
			same = append(same, d)
		}
	}
	return differ, same
}
