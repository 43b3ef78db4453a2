package loop

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	gobwas "github.com/gobwas/ws"
	"golang.org/x/sys/unix"

	"fanfare/loop/ws"
)

// client is a WebSocket client of few lines, so that a test sees every byte.
type client struct {
	net.Conn
	tb testing.TB
	br *bufio.Reader
}

func dial(tb testing.TB, addr net.Addr) *client {
	tb.Helper()
	return dialBy(tb, addr, net.Dialer{Timeout: patience})
}

// dialSmall connects a client whose socket takes only a few kilobytes that nobody reads.
func dialSmall(tb testing.TB, addr net.Addr) *client {
	tb.Helper()
	return dialBy(tb, addr, net.Dialer{Timeout: patience, Control: func(_, _ string, raw syscall.RawConn) (err error) {
		e := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 4096) })
		return errors.Join(e, err)
	}})
}

func dialBy(tb testing.TB, addr net.Addr, d net.Dialer) *client {
	tb.Helper()
	conn, err := d.DialContext(tb.Context(), addr.Network(), addr.String())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(3 * patience))
	return &client{conn, tb, bufio.NewReader(conn)}
}

// small makes the server's end of a connection take only a few kilobytes.
func small(tb testing.TB, g *Group, ref Ref) {
	tb.Helper()
	l := g.loops[ref.Loop()]
	err := ask(tb, l, func() error {
		return unix.SetsockoptInt(l.slab.find(ref).op.FD, unix.SOL_SOCKET, unix.SO_SNDBUF, 4096)
	})
	if err != nil {
		tb.Fatal(err)
	}
}

func upgradeOf(path string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
}

// masked is a client's frame.
func masked(op byte, payload string) []byte {
	f := gobwas.MaskFrame(gobwas.NewFrame(gobwas.OpCode(op), true, []byte(payload)))
	b, _ := gobwas.CompileFrame(f)
	return b
}

func maskedClose(code uint16, reason string) []byte {
	return masked(ws.OpClose, string(gobwas.NewCloseFrameBody(gobwas.StatusCode(code), reason)))
}

// put writes bytes as they are.
func (c *client) put(b ...[]byte) {
	c.tb.Helper()
	if _, err := c.Write(bytes.Join(b, nil)); err != nil {
		c.tb.Fatal(err)
	}
}

func (c *client) request(path string) { c.tb.Helper(); c.put([]byte(upgradeOf(path))) }

func (c *client) say(s string) { c.tb.Helper(); c.put(masked(ws.OpText, s)) }

// reply is an HTTP response, read whole.
type reply struct {
	status int
	header http.Header
	body   string
	last   bool // Connection: close
}

// answer reads an HTTP response.
func (c *client) answer() reply {
	c.tb.Helper()
	r, err := http.ReadResponse(c.br, nil)
	if err != nil {
		c.tb.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }()
	var body []byte
	if r.StatusCode != http.StatusSwitchingProtocols {
		if body, err = io.ReadAll(r.Body); err != nil {
			c.tb.Fatal(err)
		}
	}
	return reply{r.StatusCode, r.Header, string(body), r.Close}
}

func (c *client) upgraded() {
	c.tb.Helper()
	if r := c.answer(); r.status != http.StatusSwitchingProtocols {
		c.tb.Fatalf("%d: %s", r.status, r.body)
	}
}

// refused reads an answer of the given status and the end.
func (c *client) refused(status int) string {
	c.tb.Helper()
	r := c.answer()
	if r.status != status {
		c.tb.Errorf("status %d, want %d", r.status, status)
	}
	c.ends()
	return r.body
}

func (c *client) hear() (op byte, p []byte, err error) {
	h, err := gobwas.ReadHeader(c.br)
	if err != nil {
		return 0, nil, err
	}
	if !h.Fin || h.Masked || h.Rsv != 0 || h.Length > 64<<20 {
		return 0, nil, fmt.Errorf("a frame no server of ours sends: %+v", h)
	}
	p = make([]byte, h.Length)
	_, err = io.ReadFull(c.br, p)
	return byte(h.OpCode), p, err
}

func (c *client) expect(op byte, want string) {
	c.tb.Helper()
	got, p, err := c.hear()
	if err != nil {
		c.tb.Fatal(err)
	}
	if got != op || string(p) != want {
		c.tb.Fatalf("frame %x %.80q, want %x %.80q", got, p, op, want)
	}
}

// expectClose reads a close frame; code 1005 is one without body.
func (c *client) expectClose(code uint16) {
	c.tb.Helper()
	op, p, err := c.hear()
	if err != nil {
		c.tb.Fatal(err)
	}
	if got, _ := ws.ParseClose(p); op != ws.OpClose || got != code {
		c.tb.Fatalf("frame %x %d, want a close frame with %d", op, got, code)
	}
}

// ends reads the end of the stream, before which nothing more may come, and closes the client's side.
func (c *client) ends() {
	c.tb.Helper()
	if b, err := io.ReadAll(c.br); err != nil && !errors.Is(err, syscall.ECONNRESET) || len(b) > 0 {
		c.tb.Fatalf("%.80q, %v, want the end", b, err)
	}
	_ = c.Close()
}

// reset ends the connection by a RST.
func (c *client) reset() {
	c.tb.Helper()
	tcp, ok := c.Conn.(*net.TCPConn)
	if !ok {
		c.tb.Fatal("not TCP")
	}
	if err := errors.Join(tcp.SetLinger(0), tcp.Close()); err != nil {
		c.tb.Fatal(err)
	}
}

func (c *client) closeWrite() {
	c.tb.Helper()
	w, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok {
		c.tb.Fatal("no half close")
	}
	if err := w.CloseWrite(); err != nil {
		c.tb.Fatal(err)
	}
}

func has(s, part string) bool { return strings.Contains(s, part) }

// setSndbuf makes the server's end of a connection small; on its loop.
func setSndbuf(tb testing.TB, c *Conn, size int) {
	tb.Helper()
	if err := unix.SetsockoptInt(c.op.FD, unix.SOL_SOCKET, unix.SO_SNDBUF, size); err != nil {
		tb.Error(err)
	}
}

func newReader(r io.Reader) *bufio.Reader { return bufio.NewReader(r) }

// skipHead reads a response up to its blank line.
func skipHead(br *bufio.Reader) error {
	for {
		line, err := br.ReadString('\n')
		if err != nil {
			return err
		}
		if line == "\r\n" {
			return nil
		}
	}
}

// atBoundary lets the end of a stream pass, however it came.
func atBoundary(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		return nil
	}
	return err
}
