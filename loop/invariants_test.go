package loop

import (
	"fmt"
	"math/bits"
)

// faultsOf checks what must hold in a loop at any time when no callback is under way.
func faultsOf(l *Loop) (faults []string) {
	bad := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	used, nodes, queued := 0, 0, int64(0)
	for i, ch := range l.slab.chunks {
		if ch == nil {
			continue
		}
		taken, busy := 0, 0
		for _, w := range ch.taken {
			taken += bits.OnesCount64(w)
		}
		for k := range ch.conns {
			c := &ch.conns[k]
			if c.state == free {
				if ch.due[k] != 0 || c.qhead != 0 || c.ext != nil {
					bad("slot %d is free but not clean", i*chunkSlots+k)
				}
				continue
			}
			busy++
			n, b, fault := queueOf(l, c)
			nodes, queued = nodes+n, queued+b
			if fault != "" {
				bad("slot %d: %s", i*chunkSlots+k, fault)
			}
			if c.state == dead && (ch.due[k] != 0 || n != 0) {
				bad("slot %d is dead, but has a due time or a queue", i*chunkSlots+k)
			}
		}
		if taken != ch.used || busy != ch.used {
			bad("chunk %d: %d slots taken, %d used, count %d", i, taken, busy, ch.used)
		}
		if i < l.slab.low && ch.used < chunkSlots {
			bad("chunk %d has room, low is %d", i, l.slab.low)
		}
		used += ch.used
	}
	if l.canary != 0 { // it is no connection
		used--
	}
	if used != l.slab.used {
		bad("slab: %d used, count %d", used, l.slab.used)
	}
	if nodes != l.nodes.used || queued != l.count.queued {
		bad("queues: %d nodes of %d bytes, counts %d and %d", nodes, queued, l.nodes.used, l.count.queued)
	}
	if free := freeNodes(&l.nodes); free+l.nodes.used != int(l.nodes.next) {
		bad("nodes: %d free + %d used, %d in all", free, l.nodes.used, l.nodes.next)
	}
	seen := make(map[Ref]bool)
	for _, ref := range l.resume {
		if seen[ref] {
			bad("%x is to be read twice in a turn", uint64(ref))
		}
		seen[ref] = true
	}
	return faults
}

// queueOf walks the output queue of a connection.
func queueOf(l *Loop, c *Conn) (nodes int, size int64, fault string) {
	behind, last := uint32(0), uint32(0)
	for n := c.qhead; n != 0; n = l.nodes.at(n).next {
		b := len(l.nodes.at(n).bytes)
		if n != c.qhead {
			behind += uint32(b)
		}
		nodes, size, last = nodes+1, size+int64(b), n
	}
	if behind != c.qsize || last != c.qtail {
		fault = fmt.Sprintf("queue of %d nodes: %d bytes behind the head, count %d; tail %d, noted %d", nodes, behind, c.qsize, last, c.qtail)
	}
	return nodes, size, fault
}

func freeNodes(s *nodeSlab) (k int) {
	for n := s.free; n != 0 && k <= int(s.next); n = s.at(n).next {
		k++
	}
	return k
}
