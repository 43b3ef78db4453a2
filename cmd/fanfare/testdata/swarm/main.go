// Command swarm holds many WebSocket clients in one process, for the tests that assert what a server's connections cost. It
// prints "connected N" when all are subscribed, then obeys lines on its standard input: "report" prints one line
// "COUNT HASH CONNS" for each group of clients that received the same messages in the same order, and "closed N"; "close" ends
// all clients and prints "ended". It imports nothing of fanfare: a fault in the server's codec must not hide in its tests.
package main

import (
	"bufio"
	"encoding/binary"
	"flag"
	"fmt"
	"hash/crc32"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

var (
	addr  = flag.String("addr", "", "host:port of the server")
	path  = flag.String("path", "/ws?topic=a", "what to ask for; a second one after a space is for every other client")
	conns = flag.Int("n", 1, "clients")
	stall = flag.Bool("stall", false, "never read after the handshake, with a small receive buffer")
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

type client struct {
	conn   net.Conn
	mu     sync.Mutex
	count  int
	hash   uint32
	closed bool
}

func main() {
	flag.Parse()
	clients := make([]*client, *conns)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(clients); i = int(next.Add(1)) - 1 {
				c, err := connect(i)
				if err != nil {
					fmt.Fprintln(os.Stderr, "swarm:", err)
					os.Exit(1)
				}
				clients[i] = c
			}
		})
	}
	wg.Wait()
	fmt.Println("connected", len(clients))
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		switch in.Text() {
		case "report":
			report(clients)
		case "close":
			for _, c := range clients {
				_ = c.conn.Close()
			}
			fmt.Println("ended")
		}
	}
}

func connect(i int) (*client, error) {
	d := net.Dialer{Timeout: 20 * time.Second, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(1+i%200))}}
	buffer := 1 << 20 // as much as the kernel allows: thousands of clients share a processor, and each must wait for its turn
	if *stall {
		buffer = 4 << 10
	}
	d.Control = func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, buffer) })
	}
	conn, err := d.Dial("tcp", *addr)
	if err != nil {
		return nil, err
	}
	paths := strings.Fields(*path)
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", paths[i%len(paths)], *addr)
	head := make([]byte, 0, 256)
	var one [1]byte
	for !strings.HasSuffix(string(head), "\r\n\r\n") { // byte by byte: what follows belongs to the frames
		if _, err := conn.Read(one[:]); err != nil {
			return nil, fmt.Errorf("handshake: %w", err)
		}
		head = append(head, one[0])
	}
	if !strings.HasPrefix(string(head), "HTTP/1.1 101 ") {
		return nil, fmt.Errorf("handshake: %s", head)
	}
	c := &client{conn: conn}
	if !*stall {
		go c.read()
	}
	return c, nil
}

// read counts and hashes the messages that come, and answers pings. It must be quick: thousands of clients share a processor with
// the server, and one that falls behind is cut off.
func (c *client) read() {
	defer func() {
		c.mu.Lock()
		c.closed = true
		c.mu.Unlock()
	}()
	buf, filled, count, hash := make([]byte, 16<<10), 0, 0, uint32(0)
	for {
		n, err := c.conn.Read(buf[filled:])
		if err != nil {
			return
		}
		filled += n
		rest := buf[:filled]
		for {
			op, payload, after, ok := cutFrame(rest)
			if !ok {
				break
			}
			rest = after
			switch op {
			case 8:
				return
			case 9:
				_, _ = c.conn.Write([]byte{0x8a, 0x80, 0, 0, 0, 0})
			default:
				hash = crc32.Update(hash, castagnoli, payload)
				count++
			}
		}
		if filled = copy(buf, rest); filled == len(buf) {
			buf = append(buf, make([]byte, len(buf))...)
		}
		c.mu.Lock()
		c.count, c.hash = count, hash
		c.mu.Unlock()
	}
}

// cutFrame takes a whole frame off b, if one is there.
func cutFrame(b []byte) (op byte, payload, rest []byte, ok bool) {
	if len(b) < 2 {
		return 0, nil, nil, false
	}
	head, n := 2, int(b[1]&127)
	switch {
	case n == 126 && len(b) >= 4:
		head, n = 4, int(binary.BigEndian.Uint16(b[2:]))
	case n == 127 && len(b) >= 10:
		head, n = 10, int(binary.BigEndian.Uint64(b[2:]))
	case n >= 126:
		return 0, nil, nil, false
	}
	if len(b) < head+n {
		return 0, nil, nil, false
	}
	return b[0] & 15, b[head : head+n], b[head+n:], true
}

func report(clients []*client) {
	type what struct {
		count int
		hash  uint32
	}
	groups, closed := map[what]int{}, 0
	for _, c := range clients {
		c.mu.Lock()
		groups[what{c.count, c.hash}]++
		if c.closed {
			closed++
		}
		c.mu.Unlock()
	}
	for g, n := range groups {
		fmt.Println(g.count, g.hash, n)
	}
	fmt.Println("closed", closed)
}
