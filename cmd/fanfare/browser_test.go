//go:build browser

package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// page opens two sockets on the server and tells the test what happens to them, one line a request.
const page = `<!doctype html><title>fanfare</title><script>
let order = Promise.resolve();
const tell = text => order = order.then(() => fetch("/tell", {method: "POST", body: text}));
const open = (name, query, opened) => {
	const socket = new WebSocket("ws://%[1]s/ws?" + query);
	socket.binaryType = "arraybuffer";
	socket.onopen = () => { tell(name + " open"); opened(socket); };
	socket.onclose = e => tell(name + " close " + e.code + " " + e.wasClean);
	socket.onmessage = e => tell(name + " " + (e.data instanceof ArrayBuffer ? "binary " + new Uint8Array(e.data).join(" ") : "text " + e.data));
};
open("plain", "topic=news", () =>
	open("json", "topic=sport&format=json", socket => {
		socket.send('{"subscribe":["news"],"id":7}');
		socket.send('{"publish":{"topic":"news","data":"from another site"},"id":8}');
	}));
</script>`

// browse starts headless Chromium on url. It and all its processes end with the test.
func browse(t *testing.T, url string) {
	t.Helper()
	cmd := exec.Command("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-crash-reporter",
		"--disable-breakpad", "--disable-dev-shm-usage", "--user-data-dir="+t.TempDir(), url)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out := newLines()
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	if err := cmd.Start(); err != nil {
		t.Fatal("chromium is needed: ", err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("chromium wrote:\n%s", out.all())
		}
	})
}

func TestBrowser(t *testing.T) {
	s := serve(t)
	told := make(chan string, 100)
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/":
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = fmt.Fprintf(w, page, s.address())
		case "/tell":
			b, _ := io.ReadAll(r.Body)
			told <- string(b)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(site.Close)
	expect := func(parts ...string) {
		t.Helper()
		select {
		case got := <-told:
			for _, part := range parts {
				if !strings.Contains(got, part) {
					t.Errorf("the page saw %q, want %q in it", got, part)
				}
			}
		case <-time.After(time.Minute): // a browser starts slowly on a busy machine
			t.Fatalf("the page did not see %q", parts)
		}
	}
	publish := func(body string, headers ...string) {
		t.Helper()
		status, answer := s.request(http.MethodPost, "/broadcast?topic=news", body, headers...)
		if status != http.StatusAccepted || receiptOf(t, answer).Receivers != 2 {
			t.Errorf("broadcast: %d %s", status, answer)
		}
	}

	browse(t, site.URL)
	expect("plain open")
	expect("json open")
	expect("json text ", `"id":7`)
	expect("json text ", `"id":8`, `"error"`, `"code"`) // a page of another site may not publish without a key

	publish("h\u00e9llo \U0001f389")
	both := []string{<-told, <-told}
	for _, want := range []string{"plain text h\u00e9llo \U0001f389", `"data":"h` + "\u00e9llo \U0001f389" + `"`} {
		if !strings.Contains(strings.Join(both, "\n"), want) {
			t.Errorf("the page saw %q, want %q in it", both, want)
		}
	}
	publish("\x00\x01\xff", "Content-Type: application/octet-stream")
	both = []string{<-told, <-told}
	for _, want := range []string{"plain binary 0 1 255", `"base64":"AAH/"`} {
		if !strings.Contains(strings.Join(both, "\n"), want) {
			t.Errorf("the page saw %q, want %q in it", both, want)
		}
	}
	s.stop()
	expect("close 1001 true")
	expect("close 1001 true")
}
