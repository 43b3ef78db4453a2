package load

import (
	"math/rand/v2"
	"testing"

	"fanfare/bench/result"
)

func TestTally(t *testing.T) {
	for name, c := range map[string]struct {
		next uint32
		got  []uint32
		last uint32
		want result.Account
	}{
		"all":        {1, []uint32{1, 2, 3}, 3, result.Account{Received: 3}},
		"end":        {1, []uint32{1}, 3, result.Account{Received: 1, Missing: 2}},
		"middle":     {1, []uint32{1, 4}, 4, result.Account{Received: 2, Missing: 2}},
		"beginning":  {1, []uint32{3}, 3, result.Account{Received: 1, Missing: 2}},
		"nothing":    {1, nil, 3, result.Account{Missing: 3}},
		"late":       {1, []uint32{2, 1, 3}, 3, result.Account{Received: 3, Disorder: 1}},
		"very late":  {1, []uint32{5, 3, 1, 2, 4}, 5, result.Account{Received: 5, Disorder: 4}},
		"twice":      {1, []uint32{1, 1, 2, 2, 1}, 2, result.Account{Received: 5, Repeated: 3}},
		"late twice": {1, []uint32{2, 1, 1}, 2, result.Account{Received: 3, Disorder: 1, Repeated: 1}},
		"whichever":  {0, []uint32{7, 8}, 8, result.Account{Received: 2}},
		"after that": {0, []uint32{7, 9}, 10, result.Account{Received: 2, Missing: 2}},
		"none came":  {0, nil, 5, result.Account{Missing: 1}},
		"came later": {4, []uint32{4}, 4, result.Account{Received: 1}},
	} {
		tl := tally{want: make([]uint32, 2), gaps: map[int][]span{}}
		tl.begin(1, c.next)
		var a result.Account
		for _, seq := range c.got {
			tl.receive(1, seq, &a)
		}
		a.Missing += tl.short(1, c.last)
		if a != c.want {
			t.Errorf("%s: %+v, want %+v", name, a, c.want)
		}
	}
}

// TestTallyAgainstASet plays random losses, repetitions and delays and counts them with a set.
func TestTallyAgainstASet(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		var a, want result.Account
		tl := tally{want: make([]uint32, 1), gaps: map[int][]span{}}
		tl.begin(0, 1)
		had, highest := map[uint32]bool{}, uint32(0)
		for range random.IntN(60) {
			seq := 1 + random.Uint32N(30)
			switch {
			case had[seq]:
				want.Repeated++
			case seq < highest:
				want.Disorder++
			}
			had[seq], highest = true, max(highest, seq)
			want.Received++
			tl.receive(0, seq, &a)
		}
		want.Missing = 30 - int64(len(had))
		a.Missing += tl.short(0, 30)
		if a != want {
			t.Fatalf("%+v, want %+v", a, want)
		}
	}
}

func TestSubscribers(t *testing.T) {
	for range 500 {
		topics, n := 1+rand.IntN(9), rand.IntN(40)
		from := rand.IntN(n + 1)
		counts := make([]int64, topics)
		for k := from; k < n; k++ {
			counts[k%topics]++
		}
		for topic, want := range counts {
			if got := Subscribers(int64(from), int64(n), topics, topic); got != want {
				t.Fatalf("%d to %d of %d topics: topic %d has %d, want %d", from, n, topics, topic, got, want)
			}
		}
	}
}
