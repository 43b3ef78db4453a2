package loop

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"time"
)

const (
	maxLargest  = 1000  // backlogs that Largest gives
	maxCounting = 10000 // frames of one backlog that are counted
)

// Backlog is what waits for one connection.
type Backlog struct {
	Ref    Ref
	Remote netip.AddrPort // invalid for unix sockets
	Bytes  int64
	Frames int           // 10,000 means: or more
	Age    time.Duration // of the oldest frame, a quarter of a second exact
}

// Largest gives the n largest backlogs, at most 1,000, the largest first. It asks the loops and waits for their answers until ctx
// ends; a loop that has not answered by then is left out.
func (g *Group) Largest(ctx context.Context, n int) []Backlog {
	n = min(n, maxLargest)
	if n <= 0 {
		return nil
	}
	answers := make(chan []Backlog, len(g.loops))
	for _, l := range g.loops {
		l.post(0, func(*Conn) { answers <- l.largest(n) })
	}
	var all []Backlog
	for range g.loops {
		select {
		case <-ctx.Done():
			return first(all, n)
		case some := <-answers:
			all = append(all, some...)
		}
	}
	return first(all, n)
}

// first sorts backlogs and keeps n.
func first(all []Backlog, n int) []Backlog {
	slices.SortFunc(all, func(a, b Backlog) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Ref, b.Ref))
	})
	return all[:min(n, len(all))]
}

func (l *Loop) largest(n int) []Backlog {
	all := make([]Backlog, 0, len(l.backlog))
	for _, ref := range l.backlog {
		if c := l.slab.find(ref); c != nil && c.state != dead && c.qhead != 0 {
			all = append(all, Backlog{Ref: ref, Bytes: l.queued(c)})
		}
	}
	all = slices.Clone(first(all, n))
	for i := range all {
		c := l.slab.find(all[i].Ref)
		all[i].Remote = c.Remote()
		all[i].Age = time.Duration(l.now-l.nodes.at(c.qhead).tick) * tick
		for k := c.qhead; k != 0 && all[i].Frames < maxCounting; k = l.nodes.at(k).next {
			all[i].Frames++
		}
	}
	return all
}
