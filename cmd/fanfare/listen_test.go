package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

func asClosed(err error, closed *wsutil.ClosedError) bool { return errors.As(err, closed) }

// scripted runs listen's reader against frames and gives what it prints, what it answers and how it ends.
func scripted(t *testing.T, count int, frames ...ws.Frame) (printed string, answers []ws.Frame, err error) {
	t.Helper()
	var stream, out bytes.Buffer
	for _, f := range frames {
		if err := ws.WriteFrame(&stream, f); err != nil {
			t.Fatal(err)
		}
	}
	var answered bytes.Buffer
	l := &listening{out: bufio.NewWriter(&out), err: io.Discard, most: count}
	err = l.print(bufio.NewReader(&stream), &answered)
	for answered.Len() > 0 {
		f, err := readFrame(&answered)
		if err != nil {
			t.Fatal(err)
		}
		if !f.Header.Masked {
			t.Error("a client's frame is not masked")
		}
		answers = append(answers, ws.UnmaskFrame(f))
	}
	return out.String(), answers, err
}

func readFrame(r io.Reader) (f ws.Frame, err error) {
	if f.Header, err = ws.ReadHeader(r); err != nil {
		return f, err
	}
	f.Payload = make([]byte, f.Header.Length)
	_, err = io.ReadFull(r, f.Payload)
	return f, err
}

func TestListenPrintsAndAnswers(t *testing.T) {
	half := ws.NewFrame(ws.OpText, false, []byte("ab"))
	rest := ws.NewFrame(ws.OpContinuation, true, []byte("cd"))
	closing := ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusGoingAway, "restart"))
	printed, answers, err := scripted(t, 0, ws.NewTextFrame([]byte("one")), ws.NewPingFrame([]byte("are you there")),
		half, ws.NewPingFrame(nil), rest, ws.NewBinaryFrame([]byte{0, 1}), closing)
	if printed != "one\nabcd\n\x00\x01\n" {
		t.Errorf("printed %q", printed)
	}
	var closed wsutil.ClosedError
	if !asClosed(err, &closed) || closed.Code != ws.StatusGoingAway || closed.Reason != "restart" {
		t.Errorf("ended with %v", err)
	}
	if len(answers) != 3 || answers[0].Header.OpCode != ws.OpPong || string(answers[0].Payload) != "are you there" ||
		answers[1].Header.OpCode != ws.OpPong || answers[2].Header.OpCode != ws.OpClose {
		t.Errorf("answered %v", answers)
	}
}

func TestListenCounts(t *testing.T) {
	one := ws.NewTextFrame([]byte("x"))
	line := "x\n"
	if printed, _, err := scripted(t, 2, one, one, one); printed != line+line || !errors.Is(err, errEnough) {
		t.Errorf("printed %q, ended with %v", printed, err)
	}
	if printed, _, err := scripted(t, 0, one, one, one); printed != line+line+line || !errors.Is(err, io.EOF) {
		t.Errorf("printed %q, ended with %v", printed, err)
	}
}

func TestListenRefusesBrokenStreams(t *testing.T) {
	masked := ws.MaskFrame(ws.NewTextFrame([]byte("x")))
	text := ws.NewTextFrame([]byte{0xff})
	huge := ws.Frame{Header: ws.Header{Fin: true, OpCode: ws.OpText, Length: mostMessage + 1}}
	for name, f := range map[string]ws.Frame{"masked": masked, "not UTF-8": text, "huge": huge} {
		if _, _, err := scripted(t, 0, f); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("%s: ended with %v", name, err)
		}
	}
}

// TestSilenceIsBroken: after a quiet time the client asks, and a server that does not answer is taken for lost.
func TestSilenceIsBroken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer func() { _ = far.Close() }()
		w := &watched{near}
		pinged := make(chan time.Duration, 1)
		began := time.Now()
		go func() {
			f, err := readFrame(far)
			if err == nil && f.Header.OpCode == ws.OpPing {
				pinged <- time.Since(began)
			}
		}()
		_, err := w.Read(make([]byte, 1))
		if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != quiet+answer {
			t.Errorf("ended with %v after %v", err, time.Since(began))
		}
		if at := <-pinged; at != quiet {
			t.Errorf("asked after %v", at)
		}
		_ = near.Close()
	})
}

func TestServerURL(t *testing.T) {
	for text, want := range map[string]string{
		"http://h:1": "ws://h:1", "https://h/a/": "wss://h/a", "ws://h": "ws://h", "wss://h": "wss://h",
	} {
		if u, err := serverURL(text, "ws"); err != nil || u.String() != want {
			t.Errorf("%s: got %v, %v", text, u, err)
		}
	}
	for _, text := range []string{"", "localhost:8080", "127.0.0.1:8080", "ftp://h", "http://", ":"} {
		if _, err := serverURL(text, "ws"); exitCode(err) != exitSetting {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestRefusals(t *testing.T) {
	err := refused(503, "2", []byte(`{"error":{"code":"busy","message":"topic news is full"}}`))
	for _, part := range []string{"503", "busy", "topic news is full", "again in 2 s"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q lacks %q", err, part)
		}
	}
	for status, final := range map[int]bool{400: true, 401: true, 404: true, 431: true, 408: false, 429: false, 500: false, 502: false, 503: false} {
		if got := isFinal(&refusedError{status, err}); got != final {
			t.Errorf("%d: final is %v", status, got)
		}
	}
	if isFinal(io.EOF) {
		t.Error("a lost connection is final")
	}
}
