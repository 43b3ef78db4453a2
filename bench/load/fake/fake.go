package fake

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// Faults are what a server does wrong. Numbers are "every nth message of a connection" unless they say otherwise; 0: never.
type Faults struct {
	Refuse    int  // status that answers an upgrade
	Silent    bool // answers no upgrade
	NoHTTP    bool // answers it with bytes that are no HTTP
	BadAccept bool // answers it with a wrong Sec-WebSocket-Accept

	Repeat  int // sent twice
	Lose    int // not sent
	Swap    int // sent after the one that follows it
	Foreign int // followed by a message that nobody published

	GarbageAt int  // the nth message is a frame with reserved bits
	EndAt     int  // before the nth message the first connection is closed with 1008
	HangAt    int  // the nth publish is not answered
	BusyFor   int  // so many publishes are answered with 503 and Retry-After
	Stingy    int  // the nth publish is answered with 500
	DieAt     int  // at the nth publish the process exits with status 7
	Fragment  int  // frames have so many bytes at most
	Wrap      bool // payloads come within JSON
	Command   bool // topics are subscribed to by messages, after a greeting
	Pings     bool // pings before every message and wants a pong with the same bytes at the end
}

// Server is one, on a port of its own.
type Server struct {
	Address string

	faults Faults
	http   *http.Server
	ended  chan struct{}

	mu        sync.Mutex
	clients   []*client
	published int
	pongs     int
}

// client is one connection. The server's mutex guards it.
type client struct {
	conn  net.Conn
	topic map[string]bool
	sent  int
	held  []byte
}

// Start serves on address until Close.
func Start(ctx context.Context, address string, f Faults) (*Server, error) {
	var c net.ListenConfig
	l, err := c.Listen(ctx, "tcp4", address)
	if err != nil {
		return nil, err
	}
	s := &Server{Address: l.Addr().String(), faults: f, ended: make(chan struct{})}
	routes := http.NewServeMux()
	routes.HandleFunc("/ws", s.upgrade)
	routes.HandleFunc("POST /publish", s.publish)
	routes.HandleFunc("/ready", func(http.ResponseWriter, *http.Request) {})
	s.http = &http.Server{Handler: routes, ReadHeaderTimeout: time.Minute}
	go func() {
		_ = s.http.Serve(l) // Close ends it
	}()
	return s, nil
}

// Pongs is how many pongs had what their pings had.
func (s *Server) Pongs() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pongs
}

// Close ends it.
func (s *Server) Close() {
	close(s.ended)
	_ = s.http.Close() // the test is over
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.clients {
		_ = c.conn.Close()
	}
}

func (s *Server) upgrade(w http.ResponseWriter, r *http.Request) {
	f := &s.faults
	switch {
	case f.Silent:
		<-s.ended
		return
	case f.Refuse > 0:
		http.Error(w, "no", f.Refuse)
		return
	case f.NoHTTP || f.BadAccept:
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		answer := "\x16\x03\x01 this is no HTTP\r\n\r\n"
		if f.BadAccept {
			answer = "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: nonsense\r\n\r\n"
		}
		_, _ = io.WriteString(conn, answer)
		_ = conn.Close()
		return
	}
	conn, _, _, err := ws.UpgradeHTTP(r, w)
	if err != nil {
		return
	}
	c := &client{conn: conn, topic: map[string]bool{}}
	for _, topic := range r.URL.Query()["topic"] {
		c.topic[topic] = true
	}
	s.mu.Lock()
	s.clients = append(s.clients, c)
	if f.Command {
		_ = wsutil.WriteServerText(conn, []byte(`{"hello":"there"}`))
	}
	s.mu.Unlock()
	go s.read(c)
}

// read follows commands and counts pongs, until the client goes.
func (s *Server) read(c *client) {
	defer func() { _ = c.conn.Close() }()
	for {
		op, payload, err := readFrame(c.conn)
		if err != nil || op == ws.OpClose {
			s.mu.Lock()
			c.topic = nil
			_ = ws.WriteFrame(c.conn, ws.NewCloseFrame(nil))
			s.mu.Unlock()
			return
		}
		s.mu.Lock()
		if op == ws.OpPong && string(payload) == pingText {
			s.pongs++
		}
		var command struct{ Subscribe string }
		if op == ws.OpText && json.Unmarshal(payload, &command) == nil && command.Subscribe != "" {
			c.topic[command.Subscribe] = true
			_ = wsutil.WriteServerText(c.conn, []byte(`{"subscribed":"`+command.Subscribe+`"}`))
		}
		s.mu.Unlock()
	}
}

// readFrame reads one short frame.
func readFrame(r io.Reader) (ws.OpCode, []byte, error) {
	h, err := ws.ReadHeader(r)
	if err != nil {
		return 0, nil, err
	}
	if h.Length > 1<<16 {
		return 0, nil, errors.New("a long frame")
	}
	payload := make([]byte, h.Length)
	_, err = io.ReadFull(r, payload)
	ws.Cipher(payload, h.Mask, 0)
	return h.OpCode, payload, err
}

const pingText = "are you still there?"

func (s *Server) publish(w http.ResponseWriter, r *http.Request) {
	payload, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.published++
	f := &s.faults
	switch n := s.published; {
	case n <= f.BusyFor:
		w.Header().Set("Retry-After", "0")
		http.Error(w, "busy", http.StatusServiceUnavailable)
		return
	case n == f.HangAt:
		<-s.ended
		return
	case n == f.Stingy:
		http.Error(w, "out of order", http.StatusInternalServerError)
		return
	case n == f.DieAt:
		_, _ = os.Stderr.WriteString("fake: I was told to die\n")
		os.Exit(7)
	case n == f.EndAt && len(s.clients) > 0:
		c := s.clients[0]
		_ = ws.WriteFrame(c.conn, ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusPolicyViolation, "too slow")))
		c.topic = nil
	}
	topic := r.URL.Query().Get("topic")
	if f.Wrap {
		text, _ := json.Marshal(map[string]string{"topic": topic, "data": string(payload)})
		payload = text
	}
	for _, c := range s.clients {
		if c.topic[topic] {
			s.deliver(c, payload)
		}
	}
}

// deliver sends one message, with the faults of its number.
func (s *Server) deliver(c *client, payload []byte) {
	f := &s.faults
	c.sent++
	nth := func(n int) bool { return n > 0 && c.sent%n == 0 }
	if f.Pings {
		_ = ws.WriteFrame(c.conn, ws.NewPingFrame([]byte(pingText)))
	}
	switch {
	case c.sent == f.GarbageAt:
		_, _ = c.conn.Write([]byte{0xf1, 3, 'b', 'a', 'd'})
		return
	case nth(f.Lose):
		return
	case nth(f.Swap):
		c.held = payload
		return
	}
	s.send(c, payload)
	if nth(f.Repeat) {
		s.send(c, payload)
	}
	if nth(f.Foreign) {
		s.send(c, []byte("nobody published this"))
	}
	if c.held != nil {
		s.send(c, c.held)
		c.held = nil
	}
}

func (s *Server) send(c *client, payload []byte) {
	if s.faults.Fragment == 0 {
		_ = wsutil.WriteServerText(c.conn, payload) // a client that is gone is gone
		return
	}
	var b bytes.Buffer
	op := ws.OpText
	for len(payload) > 0 {
		n := min(s.faults.Fragment, len(payload))
		_ = ws.WriteFrame(&b, ws.NewFrame(op, n == len(payload), payload[:n])) // into memory
		payload, op = payload[n:], ws.OpContinuation
	}
	_, _ = c.conn.Write(b.Bytes())
}

// Serve is a server in a process of its own: the arguments are its port and its faults in JSON.
func Serve(ctx context.Context, arguments []string) error {
	if len(arguments) != 2 {
		return errors.New("port and faults are needed")
	}
	var f Faults
	if err := json.NewDecoder(strings.NewReader(arguments[1])).Decode(&f); err != nil {
		return err
	}
	s, err := Start(ctx, "127.0.0.1:"+arguments[0], f)
	if err != nil {
		return err
	}
	<-ctx.Done()
	s.Close()
	return nil
}
