package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

const (
	dialTimeout  = 10 * time.Second
	firstBackoff = 250 * time.Millisecond
	mostBackoff  = 10 * time.Second
	quiet        = 30 * time.Second // silence after which listen asks whether the server is there
	answer       = 15 * time.Second // and how long it waits for any sign of it
	mostMessage  = 64 << 20
)

type listenCmd struct {
	Topics []string `arg:"" name:"topic" sep:"none" help:"Topics to subscribe to."`

	URL   string `default:"http://127.0.0.1:8080" help:"The server."`
	JSON  bool   `name:"json" help:"Print topic, position and data as one JSON object a line."`
	Count int    `default:"0" min:"0" placeholder:"N" help:"Stop after N messages; 0: never."`
}

// Help shows what to type.
func (*listenCmd) Help() string {
	return "Prints each payload and a newline. Connects again for ever when the connection is lost; what was published " +
		"meanwhile is missed.\n\n\tfanfare listen news\n\tfanfare listen --json news sport\n\tfanfare listen --count 1 news"
}

// errEnough ends listen after --count messages.
var errEnough = errors.New("enough messages")

// Run connects, prints, and connects again until it is told to end.
func (c *listenCmd) Run(std streams) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	target, err := serverURL(c.URL, "ws")
	if err != nil {
		return err
	}
	query := url.Values{"topic": c.Topics}
	if c.JSON {
		query.Set("format", "json")
	}
	target.Path, target.RawQuery = target.Path+"/ws", query.Encode()
	l := &listening{url: target, out: bufio.NewWriter(std.out), err: std.err, most: c.Count}
	for failures := 0; ; failures++ {
		start := time.Now()
		err := l.once(ctx)
		switch {
		case errors.Is(err, errEnough), ctx.Err() != nil:
			return nil
		case isFinal(err):
			return err
		}
		if time.Since(start) > mostBackoff {
			failures = 0
		}
		wait := backoff(failures)
		_, _ = fmt.Fprintf(std.err, "lost: %v; connecting again in %v\n", unreachable(err, c.URL), wait.Round(time.Millisecond))
		if !sleep(ctx, wait) {
			return nil
		}
	}
}

// backoff is a random time up to a bound that doubles with each failure: clients that lost one server do not return at once.
func backoff(failures int) time.Duration {
	bound := min(firstBackoff<<min(failures, 16), mostBackoff)
	return rand.N(bound) + 1
}

func sleep(ctx context.Context, d time.Duration) (slept bool) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// refusedError is an upgrade that the server answered with another status than 101.
type refusedError struct {
	status int
	err    error
}

func (e *refusedError) Error() string { return e.err.Error() }

// isFinal tells whether err is an answer that a second try would get again.
func isFinal(err error) bool {
	var no *refusedError
	if !errors.As(err, &no) {
		return false
	}
	return no.status >= 400 && no.status < 500 && no.status != http.StatusRequestTimeout && no.status != http.StatusTooManyRequests
}

// listening is one run of the command; connections come and go.
type listening struct {
	url         *url.URL
	out         *bufio.Writer
	err         io.Writer
	count, most int // messages printed, and to print; most 0: no end
	seen        bool
}

// once connects and prints until the connection is lost or enough has come.
func (l *listening) once(ctx context.Context) error {
	conn, early, err := l.dial(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { goodbye(conn) })
	defer stop()
	word := "connected"
	if l.seen {
		word = "connected again"
	}
	l.seen = true
	_, _ = fmt.Fprintf(l.err, "%s: %s\n", word, l.url)
	err = l.print(bufio.NewReader(io.MultiReader(bytes.NewReader(early), &watched{conn})), conn)
	if errors.Is(err, errEnough) {
		goodbye(conn)
	}
	return err
}

// dial upgrades a connection; early is what the server sent behind its 101.
func (l *listening) dial(ctx context.Context) (conn net.Conn, early []byte, err error) {
	var no *refusedError
	dialer := ws.Dialer{
		Timeout: dialTimeout,
		OnStatusError: func(status int, _ []byte, r io.Reader) {
			no = &refusedError{status, ws.StatusError(status)}
			response, err := http.ReadResponse(bufio.NewReader(r), nil)
			if err != nil {
				return
			}
			defer func() { _ = response.Body.Close() }()
			body, _ := io.ReadAll(io.LimitReader(response.Body, 64<<10)) // what is there of it
			no.err = refused(status, response.Header.Get("Retry-After"), body)
		},
	}
	conn, buffered, _, err := dialer.Dial(ctx, l.url.String())
	if no != nil {
		return nil, nil, no
	}
	if err != nil {
		return nil, nil, err
	}
	if buffered != nil {
		early, _ = buffered.Peek(buffered.Buffered()) // never more than it has
		early = bytes.Clone(early)
		ws.PutReader(buffered)
	}
	return conn, early, nil
}

// print copies messages to the output, and answers control frames on conn.
func (l *listening) print(from *bufio.Reader, conn io.Writer) (err error) {
	defer func() { err = errors.Join(err, l.out.Flush()) }()
	control := wsutil.ControlFrameHandler(conn, ws.StateClientSide)
	frames := wsutil.Reader{
		Source: from, State: ws.StateClientSide, CheckUTF8: true,
		MaxFrameSize: mostMessage, MaxMessageSize: mostMessage, OnIntermediate: control,
	}
	var message bytes.Buffer
	for {
		if from.Buffered() == 0 { // nothing more is here: show what came before waiting
			if err := l.out.Flush(); err != nil {
				return err
			}
		}
		head, err := frames.NextFrame()
		if err != nil {
			return err
		}
		if head.OpCode == ws.OpClose {
			return closing(&frames, conn)
		}
		if head.OpCode.IsControl() {
			if err := control(head, &frames); err != nil {
				return err
			}
			continue
		}
		message.Reset() // whole messages only: half of one is worse than none
		if _, err := message.ReadFrom(&frames); err != nil {
			return err
		}
		message.WriteByte('\n')
		if _, err := l.out.Write(message.Bytes()); err != nil {
			return err
		}
		if l.count++; l.count == l.most {
			return errEnough
		}
	}
}

// closing answers the server's close frame and tells what it said. gobwas/ws knows no 1012, which a server that restarts sends.
func closing(frame io.Reader, conn io.Writer) error {
	body, err := io.ReadAll(frame)
	if err != nil {
		return err
	}
	code, reason := ws.ParseCloseFrameData(body)
	if b, err := ws.CompileFrame(ws.MaskFrameInPlace(ws.NewCloseFrame(slices.Clone(body)))); err == nil {
		_, _ = conn.Write(b)
	}
	return wsutil.ClosedError{Code: code, Reason: reason}
}

// goodbye sends a close frame in one write, which may be beside a pong, and closes.
func goodbye(conn net.Conn) {
	frame := ws.MaskFrameInPlace(ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusNormalClosure, "")))
	if b, err := ws.CompileFrame(frame); err == nil {
		_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = conn.Write(b)
	}
	_ = conn.Close()
}

// watched is a connection whose silence is broken by a ping; if nothing answers that, Read fails.
type watched struct{ net.Conn }

// Read returns what comes within quiet, or within answer after a ping.
func (w *watched) Read(p []byte) (n int, err error) {
	_ = w.SetReadDeadline(time.Now().Add(quiet))
	n, err = w.Conn.Read(p)
	if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		return n, err
	}
	ping, err := ws.CompileFrame(ws.MaskFrameInPlace(ws.NewPingFrame(nil)))
	if err != nil {
		return 0, err
	}
	if _, err := w.Write(ping); err != nil {
		return 0, err
	}
	_ = w.SetReadDeadline(time.Now().Add(answer))
	return w.Conn.Read(p)
}
