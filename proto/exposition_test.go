package proto_test

import (
	"net/http"
	"net/url"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"fanfare/proto"
	"fanfare/proto/prototest"
)

// scrape gives the part of /metrics that is ours, of a server that has something to tell.
func scrape(t *testing.T) string {
	t.Helper()
	_, _, addrs := run(t, newToy(), proto.Config{Version: `a"b\c`}, somewhere, true)
	c := dial(t, addrs[0], "/?topic=a")
	want(t, c, "< welcome")
	say(t, c, "publish a")
	want(t, c, "< published")
	say(t, c, "nonsense")
	_, _ = c.Text() // the close
	call(t, addrs[0], http.MethodGet, "/nothing", "")
	metric(t, addrs[1], "fanfare_publish_to_last_write_seconds_count 1")
	var ours strings.Builder
	for line := range strings.Lines(call(t, addrs[1], http.MethodGet, "/metrics", "").Body) {
		if name := strings.TrimPrefix(strings.TrimPrefix(line, "# HELP "), "# TYPE "); strings.HasPrefix(name, "fanfare_") {
			ours.WriteString(line)
		}
	}
	return ours.String()
}

var sampleLine = regexp.MustCompile(`^(fanfare_[a-z_]+)(?:\{([a-z]+)="((?:[^"\\]|\\.)*)"\})? (-?[0-9.e+-]+)$`)

// TestExposition checks names, types, units, help texts and buckets.
func TestExposition(t *testing.T) {
	type family struct {
		kind    string
		samples map[string]float64
	}
	families := map[string]*family{}
	current := ""
	for line := range strings.Lines(scrape(t)) {
		line = strings.TrimSuffix(line, "\n")
		if rest, ok := strings.CutPrefix(line, "# HELP "); ok {
			name, help, _ := strings.Cut(rest, " ")
			if families[name] != nil || !strings.HasSuffix(help, ".") && name != "fanfare_build_info" && !strings.Contains(help, ",") {
				t.Errorf("%s: twice, or without a sentence: %q", name, help)
			}
			current, families[name] = name, &family{samples: map[string]float64{}}
			continue
		}
		if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
			name, kind, _ := strings.Cut(rest, " ")
			if name != current || families[name].kind != "" {
				t.Errorf("%q is not behind its help", line)
			}
			families[name].kind = kind
			continue
		}
		m := sampleLine.FindStringSubmatch(line)
		if m == nil {
			t.Errorf("malformed: %q", line)
			continue
		}
		f := families[current]
		base := m[1]
		if f.kind == "histogram" {
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				base = strings.TrimSuffix(base, suffix)
			}
		}
		v, err := strconv.ParseFloat(m[4], 64)
		if base != current || err != nil || v < 0 && f.kind != "gauge" {
			t.Errorf("%q in %s: %v", line, current, err)
		}
		if _, ok := f.samples[m[1]+m[3]]; ok {
			t.Errorf("twice: %q", line)
		}
		f.samples[m[1]+m[3]] = v
		switch m[2] {
		case "", "reason", "where", "loop", "policy", "dialect", "version", "le":
		default:
			t.Errorf("label of %q", line)
		}
	}
	unit := regexp.MustCompile(`(millis|micros|nanos|_ms|_kb|_minutes|_percent|counter|gauge|histogram)`)
	for name, f := range families {
		counter := f.kind == "counter"
		if counter != strings.HasSuffix(name, "_total") || unit.MatchString(name) || len(f.samples) == 0 && !strings.HasSuffix(name, "_refused_total") {
			t.Errorf("%s %s, %d samples", f.kind, name, len(f.samples))
		}
	}
	h := families["fanfare_publish_to_last_write_seconds"].samples
	const name = "fanfare_publish_to_last_write_seconds"
	if h[name+"_count"] != 1 || h[name+"_bucket+Inf"] != 1 || h[name+"_bucket10"] < h[name+"_bucket0.0001"] || h[name+"_sum"] <= 0 || len(h) != 19 {
		t.Error(h)
	}
	if families["fanfare_build_info"].samples[`fanfare_build_infoa\"b\\c`] != 1 {
		t.Error(families["fanfare_build_info"])
	}
	for _, name := range []string{
		"fanfare_connections", "fanfare_websocket_connections", "fanfare_handshakes_refused_total", "fanfare_disconnects_total", "fanfare_subscriptions",
		"fanfare_topics", "fanfare_publishes_total", "fanfare_encodes_total", "fanfare_deliveries_total", "fanfare_bytes_sent_total", "fanfare_backlog_bytes",
		"fanfare_backlog_frames", "fanfare_policy_drops_total", "fanfare_cursor_lag_events", "fanfare_cursor_lag_bytes", "fanfare_cursor_lag_seconds",
		"fanfare_loop_lag_seconds", "fanfare_loop_busy_ratio", "fanfare_descriptors", "fanfare_descriptors_limit", "fanfare_http_connections",
		"fanfare_config_last_reload_successful",
	} {
		if families[name] == nil || len(families[name].samples) == 0 {
			t.Error("no", name)
		}
	}
}

// hostile sends the word in every place where a client may choose one, alone and in forms that would break a line of the metrics.
func hostile(t *testing.T, addr, word string) {
	t.Helper()
	for _, s := range []string{word, word + `"} 1`, word + `\`, word + "{x='" + word + "'}", "é" + word} {
		escaped := url.QueryEscape(s) + "%0A" + url.QueryEscape(s)
		headers := "User-Agent: " + s + "\r\nX-Request-Id: " + s + "\r\nReferer: http://" + s + "/\r\nX-Forwarded-For: " + s + "\r\nAuthorization: Bearer " + s +
			"\r\nX-" + word + ": " + s + "\r\nCookie: a=" + s + "\r\n"
		for _, extra := range []string{"", "Origin: https://" + s + "\r\n", "Sec-WebSocket-Protocol: " + s + ", x\r\n", "Sec-WebSocket-Extensions: " + s + "\r\n", "Host: " + s + "\r\n", "Expect: " + s + "\r\n"} {
			for _, target := range []string{"/?topic=" + escaped, "/refuse?" + escaped + "=" + escaped, "/silent?topic=" + escaped, "/" + escaped, "*" + escaped} {
				if c, _, err := prototest.Open(addr, target, headers+extra); err == nil && c != nil {
					_ = c.Say("publish " + s)
					_ = c.Say(s)
					_, _ = c.Text() // the greeting, or what was published
					_ = c.Close()
				}
			}
		}
		for _, method := range []string{word, http.MethodGet, http.MethodPost, http.MethodOptions} {
			for _, target := range []string{"/publish/" + escaped, "/things/" + escaped, "/metrics?" + escaped, "/livez?verbose=" + escaped, "/" + escaped, escaped} {
				_, _ = prototest.Call(addr, method, target, headers+"Content-Type: "+s+"\r\nUpgrade: "+s+"\r\n", s)
			}
		}
	}
}

var seriesName = regexp.MustCompile(`(?m)^[^# ][^ ]*`)

// TestNoLabelOfAClient: whatever clients send, none of it is in the metrics, and other words make no other series.
func TestNoLabelOfAClient(t *testing.T) {
	cfg := proto.Config{Reloadable: proto.Reloadable{Origins: origins(t, "https://good.example")}}
	_, _, picky := run(t, newToy(), cfg, somewhere, true)
	_, _, open := run(t, newToy(), proto.Config{}, somewhere, false)
	for _, addrs := range [][]string{picky, open} {
		at := addrs[len(addrs)-1]
		var series []string
		for _, word := range []string{"hOsTiLe", "UnFriendly"} {
			hostile(t, addrs[0], word)
			body := call(t, at, http.MethodGet, "/metrics", "").Body
			if strings.Contains(strings.ToLower(body), strings.ToLower(word)) {
				t.Errorf("%s is in %s", word, body)
			}
			all := seriesName.FindAllString(body, -1)
			if len(all) < 50 || series != nil && !slices.Equal(all, series) {
				t.Errorf("%d series, before that %d:\n%s", len(all), len(series), body)
			}
			series = all
		}
		body := call(t, at, http.MethodGet, "/metrics", "").Body
		for _, counted := range []string{
			`requests_refused_total{reason="not_found"}`, `requests_refused_total{reason="method_not_allowed"}`, `handshakes_refused_total{reason="bad_request"}`,
			`messages_refused_total{reason="internal"}`, "upgrades_total", "publishes_total",
		} {
			if !regexp.MustCompile("\nfanfare_" + regexp.QuoteMeta(counted) + " [1-9]").MatchString(body) {
				t.Error("nothing of", counted, "in", body)
			}
		}
	}
}

// TestPromtool asks Prometheus itself, where it is installed.
func TestPromtool(t *testing.T) {
	tool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("no promtool")
	}
	cmd := exec.CommandContext(t.Context(), tool, "check", "metrics")
	cmd.Stdin = strings.NewReader(scrape(t))
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v: %s", err, out)
	}
}
