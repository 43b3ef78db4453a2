//go:build prometheus

package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// loaded serves with subscribers and a publish.
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

var histogram = regexp.MustCompile(`(?m)^(fanfare_\w+_bucket)[{]`)

// TestPrometheusScrapes runs Prometheus on a loaded server and asks it for a quantile.
func TestPrometheusScrapes(t *testing.T) {
	s := loaded(t)
	_, text := s.request(http.MethodGet, "/metrics", "")
	found := histogram.FindStringSubmatch(text)
	if found == nil {
		t.Fatal("no histogram of ours in /metrics")
	}
	config := writeFile(t, "prometheus.yml", fmt.Sprintf("global: {scrape_interval: 1s}\nscrape_configs:\n- job_name: fanfare\n  static_configs: [{targets: [%q]}]\n", s.address()))
	at := freeAddress(t)
	cmd := exec.CommandContext(t.Context(), "prometheus", "--config.file="+config, "--storage.tsdb.path="+t.TempDir(), "--web.listen-address="+at)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	ask := func(query string) (value string) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+at+"/api/v1/query?query="+url.QueryEscape(query), nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := oneShot(nil).Do(r)
		if err != nil { // not up yet
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
	eventually(t, "the target is up and its subscribers are counted", func() bool {
		return ask(`up{job="fanfare"}`) == "1" && ask("fanfare_subscriptions") == "20"
	})
	eventually(t, "a quantile of "+found[1], func() bool {
		s.request(http.MethodPost, "/broadcast?topic=news", "x")
		v := ask("histogram_quantile(0.99, sum by (le) (rate(" + found[1] + "[10s])))")
		return v != "" && v != "NaN"
	})
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
