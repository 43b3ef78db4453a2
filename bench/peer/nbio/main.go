// Command nbio broadcasts with github.com/lesismal/nbio: epoll, as many pollers as cores, no goroutine per connection. It has no
// frame that is made once for all; each write frames the message again.
package main

import (
	"log"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/lesismal/nbio/logging"
	"github.com/lesismal/nbio/nbhttp"
	"github.com/lesismal/nbio/nbhttp/websocket"

	"fanfare/bench/peer"
)

// room is everyone who is connected.
type room struct {
	mu    sync.RWMutex
	conns map[*websocket.Conn]struct{}
}

func (r *room) join(conn *websocket.Conn) {
	r.mu.Lock()
	r.conns[conn] = struct{}{}
	r.mu.Unlock()
}

func (r *room) leave(conn *websocket.Conn, _ error) {
	r.mu.Lock()
	delete(r.conns, conn)
	r.mu.Unlock()
}

func (r *room) broadcast(body []byte) int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for conn := range r.conns {
		conn.WriteMessage(websocket.TextMessage, body) //nolint:errcheck // whoever cannot be written to is closed by the library
	}
	return len(r.conns)
}

func main() {
	addr, err := peer.Addr()
	if err != nil {
		log.Fatal(err)
	}
	logging.SetLevel(logging.LevelError)
	everyone := &room{conns: map[*websocket.Conn]struct{}{}}
	upgrader := websocket.NewUpgrader()
	upgrader.KeepaliveTime = 0 // the default closes whoever is silent for two minutes, as every subscriber is
	upgrader.CheckOrigin = func(*http.Request) bool { return true }
	upgrader.OnOpen(everyone.join)
	upgrader.OnClose(everyone.leave)
	upgrade := func(w http.ResponseWriter, r *http.Request) {
		upgrader.Upgrade(w, r, nil) //nolint:errcheck // it has answered with what was wrong
	}
	engine := nbhttp.NewEngine(nbhttp.Config{
		Network: "tcp", Addrs: []string{addr}, NPoller: runtime.NumCPU(), MaxLoad: 2_000_000, KeepaliveTime: time.Hour,
		ReleaseWebsocketPayload: true, Handler: peer.Routes(upgrade, everyone.broadcast),
	})
	if err := engine.Start(); err != nil {
		log.Fatal(err)
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	<-stop
	engine.Stop()
}
