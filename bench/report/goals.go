package report

import "strconv"

// Goal is one thing that fanfare is meant to reach, on one figure of one scenario.
type Goal struct {
	Name   string
	Target string // in words

	scenario string
	fits     func(key) bool // shapes that the goal is about; of several the one with most connections counts
	figure   string         // empty: whether all was delivered
	against  against
	limit    float64 // most that the figure, or its ratio to what it is held against, may be
}

// against is what a figure is held against.
type against int

const (
	nothing against = iota
	theFloor
	everyPeer // the limit is not used: it must be below
	withoutStopped
	everybody // nobody may be without any message
)

// Goals are the targets, in the order in which they are reported.
func Goals() []Goal {
	var all []Goal
	all = append(all, memoryGoals()...)
	all = append(all, fanoutGoals()...)
	return append(all, otherGoals()...)
}

func memoryGoals() []Goal {
	manyTopics := func(shared bool) func(key) bool {
		return func(k key) bool {
			return k.connections == 10_000 && k.subscriptions == 100_000 && shared == (k.topics < k.subscriptions)
		}
	}
	idle := Goal{Name: "RSS per idle subscribed connection", scenario: Idle, fits: anyShape, figure: perConnection}
	topic := Goal{Name: "RSS per topic with one subscriber, 10,000 connections × 10 topics", scenario: Topics, fits: manyTopics(false), figure: perTopic}
	further := Goal{Name: "RSS per further subscription, 10,000 connections × 10 topics", scenario: Topics, fits: manyTopics(true), figure: perSubscription}
	return []Goal{idle.atMost(300, "B"), idle.belowPeers(), topic.atMost(400, "B"), further.atMost(32, "B")}
}

func fanoutGoals() []Goal {
	one := func(k key) bool { return k.connections == 15_000 && k.size == 128 && k.burst == 1 && k.topics == 1 }
	burst := func(k key) bool { return k.connections == 10_000 && k.burst == 32 && k.topics == 1 }
	delivery := Goal{Name: "CPU per delivery, 1 × 128 B to 15,000", scenario: Fanout, fits: one, figure: perDelivery}
	last := Goal{Name: "last receiver of 15,000", scenario: Fanout, fits: one, figure: lastReceiver}
	allocated := Goal{Name: "allocations per delivery, 1 × 128 B to 15,000", scenario: Fanout, fits: one, figure: allocations}
	bursts := Goal{Name: "CPU per delivery, burst of 32 to 10,000", scenario: Burst, fits: burst, figure: perDelivery}
	ended := Goal{Name: "first publish to last receiver of the 32nd, to 10,000", scenario: Burst, fits: burst, figure: lastReceiver}
	return []Goal{
		delivery.timesFloor(1.10), delivery.belowPeers(), last.timesFloor(1.1), last.belowPeers(), allocated.atMost(0.01, ""), // what remains is the publisher's
		bursts.timesFloor(0.12), ended.timesFloor(0.5),
	}
}

func otherGoals() []Goal {
	connect := Goal{Name: "CPU per connect", scenario: Connect, fits: anyShape, figure: perConnect}
	calm := Goal{
		Name: "p99 delivery of the others while 5 % of the readers stop", Target: "≤ 1.2 × without them",
		scenario: Slow, fits: func(k key) bool { return k.stopped > 0 && k.stopped*20 >= k.connections }, figure: deliveryP99,
		against: withoutStopped, limit: 1.2,
	}
	million := func(k key) bool { return k.connections >= 1_000_000 }
	all := Goal{Name: "a million get the message", Target: "all of them", scenario: Million, fits: million, against: everybody}
	share := Goal{Name: "idle CPU of a million", scenario: Million, fits: million, figure: cpuShare}
	return []Goal{connect.timesFloor(1.4), calm, all, share.timesFloor(1.3)}
}

func anyShape(key) bool { return true }

func (g Goal) atMost(limit float64, unit string) Goal {
	g.limit, g.Target = limit, "≤ "+strconv.FormatFloat(limit, 'g', -1, 64)+" "+unit
	return g
}

func (g Goal) timesFloor(limit float64) Goal {
	g.against, g.limit, g.Target = theFloor, limit, "≤ "+strconv.FormatFloat(limit, 'g', -1, 64)+" × floor"
	return g
}

func (g Goal) belowPeers() Goal {
	g.against, g.Target = everyPeer, "below every peer"
	return g
}
