package report

import (
	"cmp"
	"slices"
	"strings"
)

// Names of scenarios that goals are about, in the order in which a report shows them. Others come after them, by name.
const (
	Idle    = "idle"    // connections subscribe and nothing happens
	Connect = "connect" // connections come, as fast as they can
	Fanout  = "fanout"  // one message to all
	Burst   = "burst"   // messages back to back, to all
	Topics  = "topics"  // memory of topics and of subscriptions
	Slow    = "slow"    // some readers stop; once with and once without them
	Million = "million" // the most connections, and one message to all
)

// Names of servers that are no peers. A variant is one of these, a space or hyphen, and more.
const (
	Floor = "floor"   // the least that sockets cost
	Ours  = "fanfare" // what the goals are about
)

// scenarioOrder compares scenarios as they are shown.
func scenarioOrder(a, b string) int {
	return orderBy([]string{Idle, Connect, Fanout, Burst, Topics, Slow, Million}, a, b)
}

// serverOrder compares servers as they are shown: the floor, ours, the others.
func serverOrder(a, b string) int { return orderBy([]string{Floor, Ours}, a, b) }

// orderBy puts what is in first before what is not.
func orderBy(first []string, a, b string) int {
	place := func(s string) int {
		if i := slices.Index(first, s); i >= 0 {
			return i
		}
		return len(first)
	}
	return cmp.Or(cmp.Compare(place(a), place(b)), cmp.Compare(a, b))
}

// peer says whether the server is somebody else's.
func peer(server string) bool { return !variant(server, Floor) && !variant(server, Ours) }

func variant(server, of string) bool {
	rest, ok := strings.CutPrefix(server, of)
	return ok && (rest == "" || rest[0] == ' ' || rest[0] == '-')
}
