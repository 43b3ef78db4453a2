// Package peer is what the small servers under it share: the port, and the HTTP that the bench publishes by. The servers are
// written as the authors of their libraries recommend; pings and compression are off, as for every server that is compared.
//
// It is a module of its own, so that what is compared with never becomes a dependency of the product.
package peer

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
)

// Addr reads the flag -port and returns the address to listen on.
func Addr() (string, error) {
	port := flag.Int("port", 0, "port to serve on")
	flag.Parse()
	if *port < 1 || *port > 65535 {
		return "", errors.New("-port is wanted")
	}
	return fmt.Sprintf(":%d", *port), nil
}

// Routes has the WebSocket at /ws, /broadcast for a POST whose body goes to every subscriber, and /healthz. broadcast returns to
// how many the message went.
func Routes(upgrade http.HandlerFunc, broadcast func(body []byte) int) *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ws", upgrade)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	mux.HandleFunc("POST /broadcast", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		//nolint:errcheck // a publisher that went away misses only its answer
		json.NewEncoder(w).Encode(map[string]int{"receivers": broadcast(body)})
	})
	return mux
}
