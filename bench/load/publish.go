package load

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sort"
	"strconv"
	"strings"
	"time"

	"fanfare/bench/target"
)

// Publisher publishes to one server, one request after the other over a connection that is kept.
type Publisher struct {
	address string
	request target.Request
	sign    *target.Key
	headers string
	prefix  string // of topics' names
	run     string
	size    int
	timeout time.Duration

	conn    net.Conn
	answer  *bufio.Reader
	payload []byte
	text    []byte

	// Refused is how often the server was too busy for a message, which was then sent again.
	Refused int64
}

// NewPublisher connects at the first publish.
func NewPublisher(address, prefix, run string, t *target.Target, size int, timeout time.Duration) *Publisher {
	r := t.Publish
	p := &Publisher{address: address, request: r, sign: t.Key, prefix: prefix, run: run, size: size, timeout: timeout}
	names := make([]string, 0, len(r.Header))
	for name := range r.Header {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		p.headers += name + ": " + r.Header[name] + "\r\n"
	}
	return p
}

// Publish publishes and waits for the answer. A server that is too busy is asked again, which Refused counts.
func (p *Publisher) Publish(ctx context.Context, s Stamp) error {
	p.payload = AppendPayload(p.payload[:0], p.run, s, p.size)
	began := time.Now()
	for {
		status, wait, err := p.send(ctx, p.fill(string(p.payload), TopicName(p.prefix, int(s.Topic))))
		if err != nil {
			return fmt.Errorf("publish: %w", err)
		}
		if status/100 == 2 {
			return nil
		}
		if p.Refused++; time.Since(began) > p.timeout {
			return fmt.Errorf("publish: it was too busy (%d) for %s", status, p.timeout)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(wait):
		}
	}
}

// fill renders the request.
func (p *Publisher) fill(payload, topic string) []byte {
	fill := func(t string) string {
		return target.Fill(t, "topic", topic, "payload", payload, "json", `"`+payload+`"`)
	}
	body := fill(p.request.Body)
	path := fill(p.request.Path)
	if p.sign != nil {
		path = p.sign.Sign(p.request.Method, path, []byte(body), time.Now())
	}
	p.text = append(p.text[:0], p.request.Method+" "+path+" HTTP/1.1\r\nHost: "+p.address+"\r\n"...)
	p.text = append(p.text, fill(p.headers)...)
	p.text = append(p.text, "Content-Length: "+strconv.Itoa(len(body))+"\r\n\r\n"...)
	p.text = append(p.text, body...)
	return p.text
}

// send sends a request; of the statuses that are no success, only those that ask to come again are returned.
func (p *Publisher) send(ctx context.Context, request []byte) (status int, wait time.Duration, err error) {
	if err := p.connect(ctx); err != nil {
		return 0, 0, err
	}
	unhook := context.AfterFunc(ctx, func() { _ = p.conn.SetDeadline(time.Unix(1, 0)) }) // to end the wait below
	defer unhook()
	if err := p.conn.SetDeadline(time.Now().Add(p.timeout)); err != nil {
		return 0, 0, err
	}
	answer, body, err := p.exchange(request) //nolint:bodyclose // exchange closes it
	if err != nil {
		p.Close()
		if ctx.Err() != nil {
			return 0, 0, context.Cause(ctx)
		}
		return 0, 0, explain(err, p.timeout)
	}
	if answer.Close {
		p.Close()
	}
	retry := answer.Header.Get("Retry-After")
	switch {
	case answer.StatusCode/100 == 2:
		return answer.StatusCode, 0, nil
	case retry != "" && (answer.StatusCode == http.StatusServiceUnavailable || answer.StatusCode == http.StatusTooManyRequests):
		seconds, err := strconv.Atoi(retry)
		if err != nil {
			seconds = 1
		}
		return answer.StatusCode, time.Duration(seconds) * time.Second, nil
	}
	return 0, 0, fmt.Errorf("it answered %s: %.200s", answer.Status, bytes.TrimSpace(body))
}

func (p *Publisher) exchange(request []byte) (*http.Response, []byte, error) {
	if _, err := p.conn.Write(request); err != nil {
		return nil, nil, err
	}
	answer, err := http.ReadResponse(p.answer, &http.Request{Method: p.request.Method})
	if err != nil {
		return nil, nil, err
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	return answer, body, errors.Join(err, answer.Body.Close())
}

func (p *Publisher) connect(ctx context.Context) error {
	if p.conn != nil {
		return nil
	}
	d := net.Dialer{Timeout: p.timeout}
	conn, err := d.DialContext(ctx, "tcp4", p.address)
	if err != nil {
		return err
	}
	p.conn, p.answer = conn, bufio.NewReader(conn)
	return nil
}

// Close closes the connection; the next publish makes another.
func (p *Publisher) Close() {
	if p.conn != nil {
		_ = p.conn.Close() // nothing is unsent
		p.conn = nil
	}
}

// explain says in plain words what went wrong.
func explain(err error, timeout time.Duration) error {
	var late net.Error
	switch {
	case errors.As(err, &late) && late.Timeout():
		return fmt.Errorf("no answer within %s", timeout)
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("it closed the connection instead of an answer")
	case strings.Contains(err.Error(), "malformed HTTP"):
		return fmt.Errorf("it answered garbage: %w", err)
	}
	return err
}
