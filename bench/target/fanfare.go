package target

import "os"

// fanfare is the server of this repository, in its native dialect.
func fanfare() []Target {
	t := Target{
		Name:       "fanfare",
		Start:      []string{"bin/fanfare", "serve", "--listen", "127.0.0.1:{port}", "--loops", "{threads}", "--log-level", "warn"},
		Ready:      "/readyz",
		Path:       "/ws?topic={topic}",
		Subscribe:  `{"subscribe":["{topic}"]}`,
		Subscribed: `"subscribed":["{topic}"`,
		Publish:    Request{Method: "POST", Path: "/broadcast?topic={topic}", Body: "{payload}"},
		Metrics:    "/metrics",
		Lag:        "fanfare_loop_lag_seconds",
		Mallocs:    "go_memstats_mallocs_total",
	}
	if _, err := os.Stat("bin/fanfare"); err != nil {
		t.Missing = "bin/fanfare is not here: make build, and start from the root of the repository"
	}
	return []Target{t}
}
