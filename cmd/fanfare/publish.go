package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"fanfare/proto/auth"
)

type publishCmd struct {
	Topic string `arg:"" help:"The topic."`
	Data  string `arg:"" optional:"" default:"-" help:"The payload, byte for byte; - reads it from stdin."`

	URL     string `default:"http://127.0.0.1:8080" help:"The server."`
	KeyFile string `placeholder:"FILE" help:"File with the publish key; or FANFARE_PUBLISH_KEY."`
	Binary  bool   `help:"Publish as a binary message, not as text."`
}

// Help shows what to type.
func (*publishCmd) Help() string {
	return "Prints the server's receipt as JSON.\n\n" +
		"\tfanfare publish news 'hello'\n\tdate | fanfare publish news -\n\tfanfare publish --binary pictures - < cat.png"
}

// Run sends the payload in one request.
func (c *publishCmd) Run(std streams) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	target, err := serverURL(c.URL, "http")
	if err != nil {
		return err
	}
	target.Path, target.RawQuery = target.Path+"/broadcast", url.Values{"topic": {c.Topic}}.Encode()
	payload := []byte(c.Data)
	if c.Data == "-" {
		if payload, err = io.ReadAll(std.in); err != nil {
			return fmt.Errorf("read stdin: %w", err)
		}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), bytes.NewReader(payload))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "text/plain; charset=utf-8")
	if c.Binary {
		request.Header.Set("Content-Type", "application/octet-stream")
	}
	keys, err := readKeys(c.KeyFile, "--key-file (FANFARE_KEY_FILE)")
	if err != nil {
		return err
	}
	if list, err := auth.SplitKeys(keys); err == nil && len(list) > 0 { // readKeys has checked it; one is enough
		request.Header.Set("Authorization", "Bearer "+list[0])
	}
	client := http.Client{
		Timeout:       30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	if err != nil {
		return unreachable(err, c.URL)
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return fmt.Errorf("read the receipt: %w", err)
	}
	if response.StatusCode != http.StatusAccepted {
		return refused(response.StatusCode, response.Header.Get("Retry-After"), answer)
	}
	_, err = fmt.Fprintf(std.out, "%s\n", bytes.TrimSpace(answer))
	return err
}

// serverURL checks --url and gives it with the scheme that the transport wants: http or ws, with s where https was asked for.
func serverURL(text, scheme string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimSuffix(text, "/"))
	if err != nil || u.Host == "" {
		return nil, &settingError{"--url (FANFARE_URL)", fmt.Sprintf("%q is not a server's address, such as http://127.0.0.1:8080", text)}
	}
	switch u.Scheme {
	case "http", "ws":
		u.Scheme = scheme
	case "https", "wss":
		u.Scheme = scheme + "s"
	default:
		return nil, &settingError{"--url (FANFARE_URL)", fmt.Sprintf("%q has another scheme than http, https, ws or wss", text)}
	}
	return u, nil
}

func unreachable(err error, server string) error {
	if errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("nothing listens at %s: start 'fanfare serve' there, or name another server with --url", server)
	}
	return err
}

// refused makes an error of the server's answer, in the server's own words where it gives some.
func refused(status int, retryAfter string, answer []byte) error {
	text := strings.TrimSpace(string(answer))
	var body struct {
		Error struct{ Code, Message string }
	}
	if json.Unmarshal(answer, &body) == nil && body.Error.Code != "" {
		text = body.Error.Code + ": " + body.Error.Message
	}
	if retryAfter != "" {
		text += " (try again in " + retryAfter + " s)"
	}
	return fmt.Errorf("the server answered %d %s: %s", status, http.StatusText(status), text)
}
