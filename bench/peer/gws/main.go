// Command gws broadcasts with github.com/lxzan/gws: a goroutine per connection reads, a Broadcaster frames a message once and its
// writes are tasks of each connection's queue.
package main

import (
	"log"
	"net/http"
	"sync"

	"github.com/lxzan/gws"

	"fanfare/bench/peer"
)

// room is everyone who is connected.
type room struct {
	gws.BuiltinEventHandler
	mu    sync.RWMutex
	conns map[*gws.Conn]struct{}
}

func (r *room) OnOpen(conn *gws.Conn) {
	r.mu.Lock()
	r.conns[conn] = struct{}{}
	r.mu.Unlock()
}

func (r *room) OnClose(conn *gws.Conn, _ error) {
	r.mu.Lock()
	delete(r.conns, conn)
	r.mu.Unlock()
}

// OnMessage gives the buffer back to the library: subscribers have nothing to say.
func (r *room) OnMessage(_ *gws.Conn, message *gws.Message) {
	message.Close() //nolint:errcheck // it only returns a buffer
}

func (r *room) broadcast(body []byte) int {
	broadcaster := gws.NewBroadcaster(gws.OpcodeText, body)
	defer broadcaster.Close() //nolint:errcheck // it only returns a buffer, once the last write is done
	r.mu.RLock()
	defer r.mu.RUnlock()
	for conn := range r.conns {
		broadcaster.Broadcast(conn) //nolint:errcheck // whoever cannot be written to is closed by the library
	}
	return len(r.conns)
}

func main() {
	addr, err := peer.Addr()
	if err != nil {
		log.Fatal(err)
	}
	everyone := &room{conns: map[*gws.Conn]struct{}{}}
	upgrader := gws.NewUpgrader(everyone, &gws.ServerOption{})
	upgrade := func(w http.ResponseWriter, r *http.Request) {
		conn, err := upgrader.Upgrade(w, r)
		if err != nil {
			return
		}
		go conn.ReadLoop() // in a goroutine of its own, so that what the request held is freed
	}
	server := &http.Server{Addr: addr, Handler: peer.Routes(upgrade, everyone.broadcast)}
	log.Fatal(server.ListenAndServe())
}
