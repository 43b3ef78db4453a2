package native_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"fanfare/fanout"
	"fanfare/proto"
	"fanfare/proto/native"
	"fanfare/proto/prototest"
)

// TestRate: who sends too many commands is told so, loses nothing else, and may go on a little later.
func TestRate(t *testing.T) {
	addr := one(t, native.Config{Rate: 2, Burst: 3})
	c := dial(t, addr, "/ws?topic=a&format=json")
	other := dial(t, addr, "/ws")
	const limited = `< {"error":{"code":"rate_limited","message":"too many commands: slow down"}}`
	for i := range 3 {
		say(t, c, fmt.Sprintf(`{"subscribe":["a"],"id":%d}`, i))
		want(t, c, fmt.Sprintf(`< {"subscribed":["a"],"id":%d}`, i))
	}
	for range 5 {
		say(t, c, `{"subscribe":["a"],"id":1}`)
	}
	errors := 0
	for range 5 {
		got, err := c.Text()
		if err != nil {
			t.Fatal(err)
		}
		if got == limited {
			errors++
		}
	}
	if errors < 3 {
		t.Error(errors)
	}
	say(t, other, `{"subscribe":["b"],"id":1}`) // each connection has a rate of its own
	want(t, other, `< {"subscribed":["b"],"id":1}`)
	time.Sleep(1100 * time.Millisecond)
	for range 2 {
		say(t, c, `{"subscribe":["a"],"id":9}`)
		want(t, c, `< {"subscribed":["a"],"id":9}`)
	}
	// The format is as it was: the clock has left its bits alone.
	if a := call(t, addr, "POST", "/broadcast?topic=a", "", "1"); a.Status != 202 {
		t.Fatal(a)
	}
	for {
		got, err := c.Text()
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(got, `< {"topic":"a","position":`) {
			break
		}
	}
}

// TestPolicies: the policy of a topic's pattern goes before the listener's, and that before the dialect's.
func TestPolicies(t *testing.T) {
	policies, err := proto.ParseTopicPolicies([]string{"price/*=conflate", "last/*=drop-newest"})
	if err != nil {
		t.Fatal(err)
	}
	addrs, _ := server(t, native.Config{Policies: policies, MaxPayload: 1 << 20}, fanout.Config{}, "127.0.0.1:0,slow=drop-oldest", "127.0.0.1:0")
	type reader struct {
		c      *prototest.Client
		policy string
	}
	readers := []reader{
		{dial(t, addrs[0], "/ws?topic=price/x"), "conflate"},
		{dial(t, addrs[1], "/ws?topic=last/x"), "drop-newest"},
		{dial(t, addrs[0], "/ws?topic=plain"), "drop-oldest"},
		{dial(t, addrs[1], "/ws?topic=plain"), "disconnect"},
	}
	payload := strings.Repeat("x", 200<<10)
	for range 100 { // more than sockets and backlogs hold
		for _, topic := range []string{"price/x", "last/x", "plain"} {
			if a := call(t, addrs[0], "POST", "/broadcast?topic="+topic, "", payload); a.Status != 202 {
				t.Fatal(a)
			}
		}
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		body := call(t, addrs[0], "GET", "/metrics", "", "").Body
		missing := ""
		for _, r := range readers[:3] {
			if strings.Contains(body, `fanfare_policy_drops_total{policy="`+r.policy+`"} 0`+"\n") {
				missing = r.policy
			}
		}
		if !strings.Contains(body, `fanfare_disconnects_total{reason="slow"} 1`+"\n") {
			missing = "disconnect"
		}
		if missing == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(missing, body)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
