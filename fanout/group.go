package fanout

// group holds the members of a room that get the same frames under the same policy.
//
// Its nodes are dense. While a batch is delivered they form two regions: nodes[:visited] have it, the others do not, and a member that
// leaves must not carry another one across the border. Members that joined while the room was behind wait in the late list until the
// cursor has come to where they joined.
type group struct {
	form    Form
	class   uint8
	nodes   []uint32
	visited int
	late    []latecomer
	unseen  int // late[:unseen] joined before the batch and were not looked at yet
}

// latecomer is a member that is owed only what came after the offset from.
type latecomer struct {
	from uint64
	node uint32
}

func (g *group) empty() bool { return len(g.nodes)+len(g.late) == 0 }

// enter makes node n a member that is owed all that the room has not delivered.
func (g *group) enter(n uint32, nodes *slab[node]) {
	nd := nodes.at(n)
	nd.late, nd.back = false, uint32(len(g.nodes))
	g.nodes = append(g.nodes, n)
}

// wait makes node n a member that is owed what comes after from.
func (g *group) wait(n uint32, from uint64, nodes *slab[node]) {
	nd := nodes.at(n)
	nd.late, nd.back = true, uint32(len(g.late))
	g.late = append(g.late, latecomer{from: from, node: n})
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
	if i < g.visited {
		g.visited--
		g.move(g.visited, i, nodes)
		i = g.visited
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
	last := len(g.late) - 1
	if i != last {
		g.late[i] = g.late[last]
		nodes.at(g.late[i].node).back = uint32(i)
	}
	g.late = shrink(g.late[:last])
	g.unseen = min(g.unseen, last)
}

// shrink gives memory back when a slice that was long uses less than a quarter of it.
func shrink[T any](s []T) []T {
	if cap(s) > 64 && len(s) < cap(s)/4 {
		return append(make([]T, 0, cap(s)/2), s...)
	}
	return s
}
