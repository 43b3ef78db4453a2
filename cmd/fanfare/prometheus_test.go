//go:build prometheus

package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// loaded serves with subscribers and publishes: the metrics have something to tell.
func loaded(t *testing.T) *server {
	t.Helper()
	s := serve(t)
	for range 20 {
		dial(t, s.ws("topic=news"))
	}
	for range 50 {
		s.request(http.MethodPost, "/broadcast?topic=news", "x")
	}
	return s
}

func TestPrometheusReadsTheNames(t *testing.T) {
	s := loaded(t)
	_, text := s.request(http.MethodGet, "/metrics", "")
	var ours strings.Builder
	for line := range strings.Lines(text) {
		if strings.Contains(line, "fanfare_") {
			ours.WriteString(line)
		}
	}
	cmd := exec.CommandContext(t.Context(), "promtool", "check", "metrics")
	cmd.Stdin = strings.NewReader(ours.String())
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v\n%s\n%s", err, out, ours.String())
	}
}

// TestPrometheusScrapes lets Prometheus scrape a server that is busy all the while, asks for a quantile meanwhile, and at the end for
// what was counted, which must be exact.
func TestPrometheusScrapes(t *testing.T) {
	const subscribers = 1000
	s := serve(t, "--backlog=16MiB", "--backlog-age=5m") // this machine's clients may fall behind, and none may be lost
	w := connect(t, s, subscribers)
	p := scraping(t, s)
	stop := publishing(t, s)
	eventually(t, "the target is up and its subscribers are counted", func() bool {
		return p.ask(`up{job="fanfare"}`) == "1" && p.ask("fanfare_subscriptions") == strconv.Itoa(subscribers)
	})
	const histogram = "fanfare_publish_to_last_write_seconds"
	eventually(t, "a quantile, a rate of deliveries and scrapes of a busy server", func() bool {
		latency := p.ask("histogram_quantile(0.99, sum by (le) (rate(" + histogram + "_bucket[10s])))")
		seconds, err := strconv.ParseFloat(latency, 64)
		return err == nil && seconds > 0 && p.ask("rate(fanfare_deliveries_total[10s]) > 10 * "+strconv.Itoa(subscribers)) != "" &&
			p.ask("min(changes(fanfare_publishes_total[10s])) >= 3") != "" // publishing went on between scrapes
	})
	accepted := stop()
	count, hash := want(accepted)
	eventually(t, "every client has every message", func() bool { return w.allHave(subscribers, count) })
	if groups, _ := w.report(); len(groups) != 1 || groups[0].hash != hash {
		t.Errorf("the clients have %v, published were %d with hash %d", groups, count, hash)
	}
	for query, want := range map[string]int{
		"fanfare_publishes_total": count, "fanfare_encodes_total": count, "fanfare_deliveries_total": count * subscribers,
		histogram + "_count": count, histogram + `_bucket{le="+Inf"}`: count, "fanfare_subscriptions": subscribers,
		"fanfare_dropped_frames_total": 0, `fanfare_disconnects_total{reason="slow"}`: 0, "min_over_time(up[1m])": 1,
	} {
		eventually(t, fmt.Sprintf("%s is %d", query, want), func() bool { return p.ask(query) == strconv.Itoa(want) })
	}
	t.Logf("%d messages to %d subscribers, %s scrapes", count, subscribers, p.ask("count_over_time(up[5m])"))
}

// publishing publishes at a steady pace, about fifty messages a second, until stop, which gives what was accepted.
func publishing(t *testing.T, s *server) (stop func() [][]accepted) {
	t.Helper()
	var list []accepted
	enough, done := make(chan struct{}), make(chan struct{})
	pace := time.NewTicker(20 * time.Millisecond)
	go func() {
		defer close(done)
		defer pace.Stop()
		for i := 0; !t.Failed(); i++ {
			select {
			case <-enough:
				return
			case <-pace.C:
				list = append(list, flood(t, s, i, 64, time.Now().Add(time.Millisecond))...)
			}
		}
	}()
	end := sync.OnceFunc(func() { close(enough) })
	stop = func() [][]accepted {
		end()
		<-done
		return [][]accepted{list}
	}
	t.Cleanup(func() { stop() })
	return stop
}

// prometheus is a running one.
type prometheus struct {
	t  *testing.T
	at string
}

// scraping starts one that scrapes the server every second.
func scraping(t *testing.T, s *server) *prometheus {
	t.Helper()
	config := writeFile(t, "prometheus.yml", fmt.Sprintf("global: {scrape_interval: 1s}\nscrape_configs:\n- job_name: fanfare\n  static_configs: [{targets: [%q]}]\n", s.address()))
	p := &prometheus{t, freeAddress(t)}
	cmd := exec.CommandContext(t.Context(), "prometheus", "--config.file="+config, "--storage.tsdb.path="+t.TempDir(), "--web.listen-address="+p.at)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return p
}

// ask gives the value of a query that has one answer; "" if there is none, or Prometheus is not up yet.
func (p *prometheus) ask(query string) (value string) {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, "http://"+p.at+"/api/v1/query?query="+url.QueryEscape(query), nil)
	if err != nil {
		p.t.Fatal(err)
	}
	response, err := oneShot(nil).Do(r)
	if err != nil {
		return ""
	}
	defer func() { _ = response.Body.Close() }()
	var answer struct {
		Data struct {
			Result []struct{ Value [2]any }
		}
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || len(answer.Data.Result) == 0 {
		return ""
	}
	return fmt.Sprint(answer.Data.Result[0].Value[1])
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}
