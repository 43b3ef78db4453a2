// Command gorilla broadcasts with github.com/gorilla/websocket: a goroutine per connection reads, another writes what is in the
// connection's channel, and a PreparedMessage is framed once for all.
package main

import (
	"io"
	"log"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"fanfare/bench/peer"
)

const (
	queued    = 256 // messages that may wait for one subscriber before it is cut off
	writeTime = 10 * time.Second
)

// client is one connection and the messages that wait for it.
type client struct {
	conn  *websocket.Conn
	queue chan *websocket.PreparedMessage
}

// hub is everyone who is connected.
type hub struct {
	mu      sync.RWMutex
	clients map[*client]struct{}
}

func (h *hub) join(c *client) {
	h.mu.Lock()
	h.clients[c] = struct{}{}
	h.mu.Unlock()
}

// leave also ends the writer. It may be called again.
func (h *hub) leave(c *client) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, here := h.clients[c]; here {
		delete(h.clients, c)
		close(c.queue)
	}
}

// read throws away what a subscriber says, until it leaves.
func (h *hub) read(c *client) {
	defer h.leave(c)
	for {
		_, reader, err := c.conn.NextReader()
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, reader); err != nil {
			return
		}
	}
}

func (c *client) write() {
	defer c.conn.Close() //nolint:errcheck // nothing is left to lose
	for message := range c.queue {
		if c.conn.SetWriteDeadline(time.Now().Add(writeTime)) != nil || c.conn.WritePreparedMessage(message) != nil {
			return
		}
	}
}

func (h *hub) broadcast(body []byte) int {
	message, err := websocket.NewPreparedMessage(websocket.TextMessage, body)
	if err != nil {
		return 0
	}
	receivers, slow := 0, []*client(nil)
	h.mu.RLock()
	for c := range h.clients {
		select {
		case c.queue <- message:
			receivers++
		default:
			slow = append(slow, c)
		}
	}
	h.mu.RUnlock()
	for _, c := range slow {
		h.leave(c)
	}
	return receivers
}

func main() {
	addr, err := peer.Addr()
	if err != nil {
		log.Fatal(err)
	}
	everyone := &hub{clients: map[*client]struct{}{}}
	upgrader := websocket.Upgrader{
		ReadBufferSize: 1024, WriteBufferSize: 1024, WriteBufferPool: &sync.Pool{},
		CheckOrigin: func(*http.Request) bool { return true },
	}
	upgrade := func(w http.ResponseWriter, r *http.Request) {
		conn, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		c := &client{conn: conn, queue: make(chan *websocket.PreparedMessage, queued)}
		everyone.join(c)
		go c.write()
		go everyone.read(c) // not in the handler's goroutine, so that what the request held is freed
	}
	server := &http.Server{Addr: addr, Handler: peer.Routes(upgrade, everyone.broadcast)}
	log.Fatal(server.ListenAndServe())
}
