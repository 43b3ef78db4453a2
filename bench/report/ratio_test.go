package report

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"fanfare/bench/result"
)

// random is a report of two servers of which some runs failed, are missing, or lack the figure.
func random(rng *rand.Rand) *result.Report {
	r := &result.Report{}
	for round := 1; round <= 1+rng.IntN(6); round++ {
		for _, server := range []string{"a", "b"} {
			run := result.Run{Scenario: Fanout, Server: server, Round: round, Shape: result.Shape{Connections: 10}}
			run.CPU.PerDelivery = math.Exp(rng.NormFloat64() * 3)
			switch rng.IntN(8) {
			case 0:
				continue
			case 1:
				run.Failure = "died"
			case 2:
				run.CPU.PerDelivery = 0
			}
			r.Runs = append(r.Runs, run)
		}
	}
	return r
}

// eachRandom tries a property on many reports.
func eachRandom(t *testing.T, holds func(t *testing.T, rng *rand.Rand, r *result.Report)) {
	t.Helper()
	for seed := range uint64(500) {
		rng := rand.New(rand.NewPCG(seed, 7))
		r := random(rng)
		holds(t, rng, r)
		if t.Failed() {
			t.Fatalf("seed %d: %+v", seed, r.Runs)
		}
	}
}

func TestRatiosAreFormedWithinRounds(t *testing.T) {
	eachRandom(t, func(t *testing.T, _ *rand.Rand, r *result.Report) {
		t.Helper()
		values, rounds := map[int]map[string]float64{}, map[int]bool{}
		for _, run := range r.Runs {
			rounds[run.Round] = true
			if run.Failure == "" && run.CPU.PerDelivery > 0 {
				if values[run.Round] == nil {
					values[run.Round] = map[string]float64{}
				}
				values[run.Round][run.Server] = run.CPU.PerDelivery
			}
		}
		var want []float64
		for _, v := range values {
			if len(v) == 2 {
				want = append(want, v["a"]/v["b"])
			}
		}
		got := Ratios(r, "b")
		if len(want) == 0 {
			if len(got) > 0 {
				t.Errorf("%+v from nothing", got)
			}
			return
		}
		if len(got) != 1 || got[0].Spread != spread(want) || got[0].Rounds != len(want) || got[0].Of != len(rounds) {
			t.Errorf("%+v, want %v of %d rounds", got, want, len(rounds))
		}
	})
}

func TestOrderOfRunsDoesNotMatter(t *testing.T) {
	shuffled := func(rng *rand.Rand, r *result.Report) *result.Report {
		other := *r
		other.Runs = slices.Clone(r.Runs)
		rng.Shuffle(len(other.Runs), func(i, j int) { other.Runs[i], other.Runs[j] = other.Runs[j], other.Runs[i] })
		return &other
	}
	eachRandom(t, func(t *testing.T, rng *rand.Rand, r *result.Report) {
		t.Helper()
		r.Runs = append(r.Runs, random(rng).Runs...) // servers with several runs in a round
		if one, two := Ratios(r, "b"), Ratios(shuffled(rng, r), "b"); !slices.Equal(one, two) {
			t.Errorf("%+v and %+v", one, two)
		}
	})
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		other := shuffled(rng, sample())
		golden(t, "report.md", rendered(t, other, sampleSVGs, sampleRecorded))
		golden(t, "floor.txt", written(t, other, Floor))
		for _, c := range Charts(other) {
			golden(t, c.Name+".svg", drawn(t, c))
		}
	}
}

func TestRatiosScale(t *testing.T) {
	near := func(a, b float64) bool { return math.Abs(a-b) <= 1e-9*math.Abs(b) }
	eachRandom(t, func(t *testing.T, rng *rand.Rand, r *result.Report) {
		t.Helper()
		before := Ratios(r, "b")
		weather, factor := map[int]float64{}, math.Exp(rng.NormFloat64())
		for i := range r.Runs {
			run := &r.Runs[i]
			if weather[run.Round] == 0 {
				weather[run.Round] = math.Exp(rng.NormFloat64() * 5) // the machine, the same for all servers of a round
			}
			run.CPU.PerDelivery *= weather[run.Round]
			if run.Server == "a" {
				run.CPU.PerDelivery *= factor
			}
		}
		after := Ratios(r, "b")
		if len(before) != len(after) {
			t.Fatalf("%v became %v", before, after)
		}
		for i := range before {
			if !near(after[i].Median, before[i].Median*factor) || !near(after[i].Max, before[i].Max*factor) || after[i].Rounds != before[i].Rounds {
				t.Errorf("%v times %v became %v", before[i], factor, after[i])
			}
		}
	})
}

func TestRatiosTurnRound(t *testing.T) {
	eachRandom(t, func(t *testing.T, _ *rand.Rand, r *result.Report) {
		t.Helper()
		one, two := Ratios(r, "b"), Ratios(r, "a")
		if len(one) != len(two) {
			t.Fatalf("%v and %v", one, two)
		}
		for i := range one {
			if math.Abs(one[i].Max*two[i].Min-1) > 1e-9 || one[i].Rounds%2 == 1 && math.Abs(one[i].Median*two[i].Median-1) > 1e-9 {
				t.Errorf("%v and %v", one[i], two[i])
			}
		}
	})
}

func TestRatiosKeepShapesApart(t *testing.T) {
	r := &result.Report{}
	add := func(server string, shape result.Shape, cpu float64) {
		r.Runs = append(r.Runs, result.Run{Scenario: Fanout, Server: server, Round: 1, Shape: shape, CPU: result.CPU{PerDelivery: cpu}})
	}
	add("a", result.Shape{Connections: 10, Size: 128, Servers: 2}, 3)
	add("b", result.Shape{Connections: 10, Size: 1024}, 1)
	if got := Ratios(r, "b"); got != nil {
		t.Errorf("payloads of two sizes compared: %+v", got)
	}
	add("b", result.Shape{Connections: 10, Size: 128, Topics: 1, Subscriptions: 10, Burst: 1, Messages: 7, Generators: 3}, 2)
	got := Ratios(r, "b")
	if len(got) != 1 || got[0].Median != 1.5 {
		t.Errorf("%+v", got)
	}
}

func TestRatiosTellWhatTheGeneratorLimited(t *testing.T) {
	bound := 0
	for _, x := range Ratios(sample(), Ours) {
		if x.Bound != (x.Server == "uWebSockets.js" && x.Scenario == Burst) {
			t.Errorf("%+v", x)
		}
		if x.Bound {
			bound++
		}
	}
	if bound == 0 {
		t.Error("none")
	}
}

func TestNothingIsHeldAgainstAFloorThatIsNone(t *testing.T) {
	if got := Ratios(tooDear(), Floor); got != nil {
		t.Errorf("%+v", got)
	}
	if got := Ratios(tooDear(), Ours); len(got) == 0 {
		t.Error("the others may still be compared")
	}
}
