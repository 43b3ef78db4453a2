package load

import "fanfare/bench/result"

// Subscribers is how many of the subscriptions from (included) to (excluded), in the order of connections, are to topic t.
func Subscribers(from, to int64, topics, t int) int64 {
	below := func(k int64) int64 { // subscriptions before k that are to t
		if k <= int64(t) {
			return 0
		}
		return (k-1-int64(t))/int64(topics) + 1
	}
	return below(to) - below(from)
}

// Last is the sequence that topic t has reached after published messages, which go to the topics in turn; 0: none.
func Last(published int64, topics, t int) uint32 {
	return uint32(Subscribers(0, published, topics, t))
}

// span is a run of sequences that were skipped, both included.
type span struct{ from, to uint32 }

// tally counts what subscriptions receive. A subscription's next sequence is all it remembers, as long as nothing is skipped.
type tally struct {
	want []uint32 // by subscription; 0: whichever comes first
	gaps map[int][]span
}

// begin is a new life of a subscription: next is the first sequence it must get, 0 whichever comes.
func (t *tally) begin(sub int, next uint32) {
	t.want[sub] = next
	if len(t.gaps) > 0 {
		delete(t.gaps, sub)
	}
}

// receive counts one message and says whether it is the first of its kind; it allocates only after something was skipped.
func (t *tally) receive(sub int, seq uint32, a *result.Account) bool {
	a.Received++
	want := t.want[sub]
	switch {
	case seq == want || want == 0:
		t.want[sub] = seq + 1
	case seq > want:
		a.Missing += int64(seq - want)
		t.gaps[sub] = append(t.gaps[sub], span{want, seq - 1})
		t.want[sub] = seq + 1
	case t.fill(sub, seq):
		a.Missing--
		a.Disorder++
	default:
		a.Repeated++
		return false
	}
	return true
}

// fill takes seq out of what was skipped, and says whether it was there.
func (t *tally) fill(sub int, seq uint32) bool {
	spans := t.gaps[sub]
	for k, s := range spans {
		if seq < s.from || seq > s.to {
			continue
		}
		rest := append([]span(nil), spans[:k]...)
		if s.from < seq {
			rest = append(rest, span{s.from, seq - 1})
		}
		if seq < s.to {
			rest = append(rest, span{seq + 1, s.to})
		}
		t.gaps[sub] = append(rest, spans[k+1:]...)
		return true
	}
	return false
}

// short is how many messages up to last a subscription has not had and that nothing after it has shown to be missing.
func (t *tally) short(sub int, last uint32) int64 {
	want := t.want[sub]
	if want == 0 { // it had nothing, and at least the last was for it
		return int64(min(last, 1))
	}
	return max(0, int64(last)+1-int64(want))
}
