package fanout

// group holds the members of a room that get the same frames under the same policy.
//
// Its nodes are dense. While a batch is delivered they form two regions: nodes[:visited] have it, the others do not, and a member that
// leaves must not carry another one across the border. Members that joined while the room was behind wait in the late list until the
// cursor has come to where they joined.
type group struct {
	form    Form
	class   uint8
	visited uint32
	nodes   []uint32
	late    *latecomers // nil without any
}

// latecomers are members that joined while the room was behind.
type latecomers struct {
	list   []latecomer
	unseen int // list[:unseen] joined before the batch and were not looked at yet
}

// latecomer is a member that is owed only what came after the offset from.
type latecomer struct {
	from uint64
	node uint32
}

func (l *latecomers) len() int {
	if l == nil {
		return 0
	}
	return len(l.list)
}

// waiting is how many are to be looked at for the batch under way.
func (l *latecomers) waiting() int {
	if l == nil {
		return 0
	}
	return l.unseen
}

func (l *latecomers) rewind() {
	if l != nil {
		l.unseen = len(l.list)
	}
}

func (g *group) empty() bool { return len(g.nodes)+g.late.len() == 0 }

// done says that the batch has been delivered to every member.
func (g *group) done() bool { return int(g.visited) == len(g.nodes) && g.late.waiting() == 0 }

// enter makes node n a member that is owed all that the room has not delivered.
func (g *group) enter(n uint32, nodes *slab[node]) {
	nd := nodes.at(n)
	nd.late, nd.back = false, uint32(len(g.nodes))
	g.nodes = append(g.nodes, n)
}

// wait makes node n a member that is owed what comes after from.
func (g *group) wait(n uint32, from uint64, nodes *slab[node]) {
	nd := nodes.at(n)
	if g.late == nil {
		g.late = new(latecomers)
	}
	nd.late, nd.back = true, uint32(len(g.late.list))
	g.late.list = append(g.late.list, latecomer{from: from, node: n})
}

// leave removes a member wherever it is.
func (g *group) leave(nd *node, nodes *slab[node]) {
	if nd.late {
		g.removeLate(int(nd.back), nodes)
		return
	}
	g.remove(int(nd.back), nodes)
}

// remove fills the place of a visited node with a visited one and leaves the gap at the end.
func (g *group) remove(i int, nodes *slab[node]) {
	if i < int(g.visited) {
		g.visited--
		g.move(int(g.visited), i, nodes)
		i = int(g.visited)
	}
	last := len(g.nodes) - 1
	g.move(last, i, nodes)
	g.nodes = shrink(g.nodes[:last])
}

// move puts the node at index from into index to. If they are equal there is nothing to move, and what stands there may be a node that
// has already moved away: its back index must not be touched.
func (g *group) move(from, to int, nodes *slab[node]) {
	if from == to {
		return
	}
	n := g.nodes[from]
	g.nodes[to] = n
	nodes.at(n).back = uint32(to)
}

// removeLate fills the place with the last one. That may bring one that was seen below unseen: it is looked at once more, and waits on.
func (g *group) removeLate(i int, nodes *slab[node]) {
	l := g.late
	last := len(l.list) - 1
	if i != last {
		l.list[i] = l.list[last]
		nodes.at(l.list[i].node).back = uint32(i)
	}
	if last == 0 {
		g.late = nil
		return
	}
	l.list = shrink(l.list[:last])
	l.unseen = min(l.unseen, last)
}

// shrink gives memory back when a slice that was long uses less than a quarter of it.
func shrink[T any](s []T) []T {
	if cap(s) > 64 && len(s) < cap(s)/4 {
		return append(make([]T, 0, cap(s)/2), s...)
	}
	return s
}
