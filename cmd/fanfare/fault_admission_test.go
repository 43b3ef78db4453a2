//go:build faults

package main

import (
	"fmt"
	"testing"
	"time"
)

// intake is how many connections a storm may have brought in by now: rate a second, and one second's worth at once.
type intake struct {
	c      *control
	rate   int
	before float64 // upgrades
	since  time.Time
}

func (c *control) intake(rate int) *intake {
	c.t.Helper()
	return &intake{c, rate, c.metrics()["fanfare_upgrades_total"], time.Now()}
}

// bounded gives the metrics, and fails if more were let in than may be.
func (in *intake) bounded() map[string]float64 {
	in.c.t.Helper()
	m := in.c.metrics()
	came, most := m["fanfare_upgrades_total"]-in.before, float64(in.rate)*(1+time.Since(in.since).Seconds())
	if came > most {
		in.c.t.Fatalf("%.0f let in after %v, at most %.0f", came, time.Since(in.since), most)
	}
	return m
}

// TestFaultAdmission: 3,000 clients come at once and come again until they are let in, 500 a second and at first 1,500 in all. Then there is
// room for everybody, and in the end all of them leave and come back together. Who is not let in is told, and counted.
func TestFaultAdmission(t *testing.T) {
	const clients, rate, most = 3_000, 500, 1_500
	limits := fmt.Sprintf("accept-rate: %d\nmax-connections: ", rate)
	file := writeFile(t, "f.yaml", limits+fmt.Sprintln(most))
	s := serve(t, "--config", file)
	c := watch(t, s, patience)
	before, overflows := c.calm(), s.overflows()
	subscribed := func(m map[string]float64) float64 { return m["fanfare_subscriptions"] - before.subscriptions }

	in := c.intake(rate)
	f := begin(t, nil, s.address(), "again", clients, "-patchy")
	eventually(t, "all who may are there", func() bool {
		time.Sleep(50 * time.Millisecond) // asking costs the server something
		m := in.bounded()
		if n := m["fanfare_connections"] + m["fanfare_http_connections"]; n > most {
			t.Fatalf("%v connections, at most %d", n, most)
		}
		return m["fanfare_connections"]+m["fanfare_http_connections"] == most
	})
	t.Logf("%d connections after %v", most, time.Since(in.since).Round(time.Millisecond))
	time.Sleep(2 * time.Second) // in which the others try again
	if m := in.bounded(); subscribed(m) > most {
		t.Errorf("%v subscribed, at most %d", subscribed(m), most)
	}

	s.rewrite(file, limits+"0\n")
	all := func() bool {
		time.Sleep(50 * time.Millisecond)
		return subscribed(in.bounded()) == clients
	}
	eventually(t, "there is room for everybody", all)
	t.Logf("everybody is there after %v: %v", time.Since(in.since).Round(time.Millisecond), f.facts("report"))

	in = c.intake(rate)
	f.say(fmt.Sprint("leave ", clients))
	if got := f.line(); got != fmt.Sprint("left ", clients) {
		t.Fatal(got)
	}
	eventually(t, "they have left", func() bool { return subscribed(in.bounded()) < clients })
	eventually(t, "everybody is back", all)
	took := time.Since(in.since)
	if least := time.Duration(clients-rate) * time.Second / rate; took < least {
		t.Errorf("everybody is back after %v, at %d a second that takes %v", took, rate, least)
	}
	facts := f.facts("stop")
	m := c.metrics()
	full, often := m[`fanfare_handshakes_refused_total{reason="connections_full"}`], m[`fanfare_handshakes_refused_total{reason="accept_rate"}`]
	t.Logf("everybody is back after %v: %v; refused: %v for the number, %v for the rate", took.Round(time.Millisecond), facts, full, often)
	if facts["503"] == 0 || facts["429"] == 0 || full < float64(facts["503"]) || often < float64(facts["429"]) {
		t.Error("not all who were refused are counted, or nobody was refused")
	}
	if told := facts["later"]; told != facts["503"]+facts["429"] || float64(told) < 0.99*(full+often) {
		t.Errorf("%d were told when to come again", told)
	}
	f.kill()
	c.restored(before)
	if n := s.overflows() - overflows; n != 0 {
		t.Errorf("%d connections were lost in the accept queue", n)
	}
	s.peak()
}
