package target

import (
	"os"
	"path/filepath"
)

// Peers are the servers of others that `make peers` puts into dir. Those that are not there are told by Missing: a comparison with
// them was not run, and what was recorded of them once is in Recorded.
func Peers(dir string) []Target {
	return []Target{
		library("gws", dir), library("gorilla", dir), library("nbio", dir),
		nchan(dir), sockudo(dir),
	}
}

// missing is empty if the file is there.
func missing(path string) string {
	if _, err := os.Stat(path); err != nil {
		return path + " is not here ('make peers' installs what the registries give)"
	}
	return ""
}

// library is one of our small servers in bench/peer.
func library(name, dir string) Target {
	t := everyone(name, filepath.Join(dir, name), "-port", "{port}")
	t.Env = []string{"GOMAXPROCS={threads}"}
	return t
}

// sockudo speaks Pusher, so its publishers sign. Its own limits are lifted, its pings are off. The shell raises the number of
// descriptors, which the Go programs do by themselves.
func sockudo(dir string) Target {
	path := filepath.Join(dir, "sockudo")
	key := Key{Key: "fanfare-key", Secret: "fanfare-secret"}
	return Target{
		Name: "sockudo", Start: unlimited(path), Missing: missing(path),
		Env: []string{
			"HOST=0.0.0.0", "PORT={port}", "TOKIO_WORKER_THREADS={threads}", "METRICS_ENABLED=false", "RATE_LIMITER_ENABLED=false",
			"SOCKUDO_DEFAULT_APP_ID=fanfare", "SOCKUDO_DEFAULT_APP_KEY=" + key.Key, "SOCKUDO_DEFAULT_APP_SECRET=" + key.Secret,
			"SOCKUDO_DEFAULT_APP_ENABLED=true", "SOCKUDO_DEFAULT_APP_MAX_CONNECTIONS=0",
			"SOCKUDO_DEFAULT_APP_MAX_BACKEND_EVENTS_PER_SECOND=1000000",
			"WEBSOCKET_AUTO_PING=false", "WEBSOCKET_IDLE_TIMEOUT=0", "WEBSOCKET_COMPRESSION=disabled", "ACTIVITY_TIMEOUT=3600",
			"SHUTDOWN_GRACE_PERIOD=1",
		},
		Ready: "/up", Path: "/app/" + key.Key + "?protocol=7&client=bench&version=1",
		Greeting:   "pusher:connection_established",
		Subscribe:  `{"event":"pusher:subscribe","data":{"channel":"{topic}"}}`,
		Subscribed: "pusher_internal:subscription_succeeded",
		Publish: Request{
			Method: "POST", Path: "/apps/fanfare/events", Header: map[string]string{"Content-Type": "application/json"},
			Body: `{"name":"message","channel":"{topic}","data":{json}}`,
		},
		Key: &key,
	}
}

// unlimited starts a program with as many descriptors as the user may have.
func unlimited(words ...string) []string {
	return append([]string{"sh", "-c", `ulimit -n "$(ulimit -Hn)" && exec "$@"`, "sh"}, words...)
}
