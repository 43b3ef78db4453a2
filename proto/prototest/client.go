package prototest

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	gobwas "github.com/gobwas/ws"
)

const patience = 10 * time.Second // for anything that must come

// Client is a WebSocket client that keeps no frame back and hides none.
type Client struct {
	net.Conn

	in *bufio.Reader
}

// Dial connects to addr, host:port or unix:/path.
func Dial(addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	network := "tcp"
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		network, addr = "unix", path
	}
	var d net.Dialer
	return d.DialContext(ctx, network, addr)
}

// Head is the request head that Open sends; extra are header lines, each ended by CRLF.
func Head(addr, target, extra string) string {
	if strings.HasPrefix(addr, "unix:") {
		addr = "localhost"
	}
	return "GET " + target + " HTTP/1.1\r\nHost: " + addr + "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n" + extra + "\r\n"
}

// Open connects and asks for an upgrade. When that is refused, the client is nil and the answer is there, its body read.
func Open(addr, target, extra string) (*Client, *Answer, error) {
	conn, err := Dial(addr)
	if err != nil {
		return nil, nil, err
	}
	c := &Client{Conn: conn, in: bufio.NewReader(conn)}
	if _, err := io.WriteString(conn, Head(addr, target, extra)); err != nil {
		return nil, nil, err
	}
	a, err := c.Answer()
	if err == nil && a.Status == http.StatusSwitchingProtocols {
		return c, nil, nil
	}
	_ = conn.Close()
	return nil, a, err
}

// Raw is a client on a connection that exists.
func Raw(conn net.Conn) *Client { return &Client{Conn: conn, in: bufio.NewReader(conn)} }

// Answer is an HTTP answer.
type Answer struct {
	Status int
	Header http.Header
	Body   string
	Closes bool // the connection ends after it
}

// Answer reads an HTTP answer.
func (c *Client) Answer() (*Answer, error) {
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	res, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return nil, fmt.Errorf("no answer: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	a := &Answer{Status: res.StatusCode, Header: res.Header, Closes: res.Close}
	if res.StatusCode != http.StatusSwitchingProtocols {
		body, err := io.ReadAll(res.Body)
		if err != nil {
			return nil, err
		}
		a.Body = string(body)
	}
	return a, nil
}

// Send sends one frame.
func (c *Client) Send(op gobwas.OpCode, payload []byte) error {
	_, err := c.Write(Frame(op, payload))
	return err
}

// Say sends one text message.
func (c *Client) Say(text string) error { return c.Send(gobwas.OpText, []byte(text)) }

// Frame is a client's frame: final and masked.
func Frame(op gobwas.OpCode, payload []byte) []byte {
	f := gobwas.MaskFrame(gobwas.NewFrame(op, true, payload))
	var b bytes.Buffer
	_ = gobwas.WriteFrame(&b, f) // a buffer takes everything
	return b.Bytes()
}

// Next reads one frame, pings and pongs included.
func (c *Client) Next() (gobwas.OpCode, []byte, error) {
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return 0, nil, err
	}
	h, err := gobwas.ReadHeader(c.in)
	if err != nil {
		return 0, nil, err
	}
	p := make([]byte, h.Length) // what the server under test says
	_, err = io.ReadFull(c.in, p)
	return h.OpCode, p, err
}

// Text reads frames until one is no ping, and says what it is: the payload of a text message, hex for a binary one, the code for a close.
func (c *Client) Text() (string, error) {
	for {
		op, p, err := c.Next()
		switch {
		case err != nil:
			return "", err
		case op == gobwas.OpPing:
		case op == gobwas.OpText:
			return "< " + string(p), nil
		case op == gobwas.OpBinary:
			return fmt.Sprintf("<x %x", p), nil
		case op == gobwas.OpClose:
			code, _ := gobwas.ParseCloseFrameData(p)
			return fmt.Sprintf("<! %d", code), nil
		default:
			return fmt.Sprintf("opcode %d", op), nil
		}
	}
}

// Call makes one HTTP call on a connection of its own.
func Call(addr, method, target, headers, body string) (*Answer, error) {
	conn, err := Dial(addr)
	if err != nil {
		return nil, err
	}
	c := Raw(conn)
	defer func() { _ = conn.Close() }()
	host := addr
	if strings.HasPrefix(addr, "unix:") {
		host = "localhost"
	}
	if !strings.Contains(strings.ToLower(headers), "host:") {
		headers = "Host: " + host + "\r\n" + headers
	}
	if body != "" || method == http.MethodPost {
		headers += fmt.Sprintf("Content-Length: %d\r\n", len(body))
	}
	request := method + " " + target + " HTTP/1.1\r\n" + headers + "Connection: close\r\n\r\n" + body
	_, wrote := io.WriteString(conn, request) // may fail when the server has answered early
	a, err := c.Answer()
	if err != nil && wrote != nil {
		return nil, wrote
	}
	return a, err
}
