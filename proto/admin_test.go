package proto_test

import (
	"encoding/json"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fanfare/fanout"
	"fanfare/loop"
	"fanfare/proto"
	"fanfare/proto/prototest"
)

// With an admin listener clients see sockets and the dialect's routes only.
func TestAdminListener(t *testing.T) {
	srv, _, addrs := run(t, newToy(), proto.Config{Version: "v1"}, somewhere, true)
	public, admin := addrs[0], addrs[1]
	if _, err := srv.ListenAdmin("127.0.0.1:0"); err == nil {
		t.Error("two of them")
	}
	for _, path := range []string{"/livez", "/readyz", "/healthz", "/metrics", "/stats", "/debug/pprof/", "/debug/pprof/heap"} {
		if a := call(t, public, http.MethodGet, path, ""); a.Status != http.StatusNotFound {
			t.Error(path, a)
		}
		target := path
		if path == "/debug/pprof/heap" {
			target += "?debug=1"
		}
		if a := call(t, admin, http.MethodGet, target, ""); a.Status != http.StatusOK {
			t.Error(path, a.Status, a.Body)
		}
	}
	if a := call(t, admin, http.MethodPost, "/publish/a", "x"); a.Status != http.StatusNotFound {
		t.Error(a)
	}
	if a := call(t, admin, http.MethodPost, "/stats", "x"); a.Status != http.StatusMethodNotAllowed {
		t.Error(a)
	}
	if c, a, err := prototest.Open(admin, "/?topic=a", ""); c != nil || err != nil || a.Status != http.StatusNotFound {
		t.Error(a, err)
	}
	dial(t, public, "/?topic=a")
	dial(t, public, "/?topic=a")
	dial(t, public, "/?topic=b")
	metric(t, admin, `fanfare_websocket_connections{dialect="toy"} 3`)
	a := call(t, admin, http.MethodGet, "/stats", "")
	var got struct {
		Version string
		Uptime  float64 `json:"uptime_seconds"`
		Loops   []struct {
			ID      int
			Answers bool
			Conns   int
		}
		Topics []struct {
			Namespace, Topic string
			Subscribers      int
		}
		Backlogs []any
		Complete bool
	}
	if err := json.Unmarshal([]byte(a.Body), &got); err != nil {
		t.Fatal(err)
	}
	if got.Version != "v1" || got.Uptime <= 0 || len(got.Loops) != 2 || !got.Loops[1].Answers || !got.Complete ||
		len(got.Topics) != 2 || got.Topics[0].Topic != "a" || got.Topics[0].Subscribers != 2 || got.Topics[0].Namespace != "n" || got.Backlogs == nil {
		t.Error(a.Body)
	}
}

// The largest backlogs are told.
func TestStatsBacklogs(t *testing.T) {
	_, _, addrs := run(t, newToy(), proto.Config{}, somewhere, true)
	slow := dial(t, addrs[0], "/?topic=a")
	big := strings.Repeat("x", 60<<10)
	for range 500 { // until the socket's buffers are full: nobody reads
		say(t, slow, "echo "+big)
		time.Sleep(time.Millisecond)
		a := call(t, addrs[1], http.MethodGet, "/stats", "")
		var got struct {
			Backlogs []struct {
				Remote        string
				Bytes, Frames int
			}
			Complete bool
		}
		if err := json.Unmarshal([]byte(a.Body), &got); err != nil || !got.Complete {
			t.Fatal(err, a.Body)
		}
		if len(got.Backlogs) > 0 {
			if b := got.Backlogs[0]; b.Remote != slow.LocalAddr().String() || b.Frames < 1 || b.Bytes < 1 {
				t.Error(a.Body)
			}
			return
		}
	}
	t.Fatal("no backlog")
}

// Pages of other sites get nothing from the admin listener, and nobody gets CORS.
func TestAdminPages(t *testing.T) {
	_, _, addrs := run(t, newToy(), proto.Config{}, somewhere, true)
	for headers, want := range map[string]int{
		"Origin: https://evil.example\r\n":                                   http.StatusForbidden,
		"Origin: null\r\n":                                                   http.StatusForbidden,
		"Sec-Fetch-Site: cross-site\r\n":                                     http.StatusForbidden,
		"Sec-Fetch-Site: same-site\r\n":                                      http.StatusForbidden,
		"Sec-Fetch-Site: none\r\n":                                           http.StatusOK,
		"Sec-Fetch-Site: same-origin\r\nOrigin: http://" + addrs[1] + "\r\n": http.StatusOK,
		"":                          http.StatusOK,
		"Host: rebound.example\r\n": http.StatusForbidden,
	} {
		for _, path := range []string{"/stats", "/metrics", "/debug/pprof/"} {
			a, err := prototest.Call(addrs[1], http.MethodGet, path, headers, "")
			if err != nil || a.Status != want || a.Header.Get("Access-Control-Allow-Origin") != "" {
				t.Error(headers, path, a, err)
			}
			if want == http.StatusForbidden && !strings.Contains(a.Body, proto.CodeOrigin) {
				t.Error(a)
			}
			if foreign := strings.HasPrefix(headers, "Host: "); strings.Contains(a.Body, `"field":"Host"`) != foreign || strings.Contains(a.Body, "--admin-listen") != foreign {
				t.Error(headers, a.Body)
			}
		}
	}
}

// Nor do they where clients come, if there is no admin listener.
func TestPublicPages(t *testing.T) {
	addr := start(t, newToy(), proto.Config{})
	for headers, want := range map[string]int{"Origin: https://evil.example\r\n": http.StatusForbidden, "Sec-Fetch-Site: same-origin\r\n": http.StatusOK} {
		for _, path := range []string{"/metrics", "/livez", "/readyz"} {
			if a, err := prototest.Call(addr, http.MethodGet, path, headers, ""); err != nil || a.Status != want {
				t.Error(headers, path, a, err)
			}
		}
	}
}

// The admin listener may be a unix socket, also where a process that is gone has left one.
func TestAdminUnix(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetUnlinkOnClose(false)
	_ = ln.Close()
	srv, err := proto.New(proto.Config{Hub: fanout.NewHub(fanout.Config{}), Dialects: []proto.Dialect{newToy()}})
	if err != nil {
		t.Fatal(err)
	}
	group, err := loop.New(loop.Config{Loops: 1, Handler: srv})
	if err != nil {
		t.Fatal(err)
	}
	srv.Attach(group)
	if _, err := srv.ListenAdmin("unix:" + path); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", "unix:x", "host", "127.0.0.1:http"} {
		if _, err := srv.ListenAdmin(bad); err == nil {
			t.Error(bad)
		}
	}
	if err := srv.Start(); err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	if a := call(t, "unix:"+path, http.MethodGet, "/readyz", ""); a.Status != http.StatusOK {
		t.Error(a)
	}
}

// A socket that was bound by somebody else is served like one of ours.
func TestListenFD(t *testing.T) {
	ln, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	file, err := ln.File()
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.Close()
	srv, err := proto.New(proto.Config{Hub: fanout.NewHub(fanout.Config{}), Dialects: []proto.Dialect{newToy()}})
	if err != nil {
		t.Fatal(err)
	}
	group, err := loop.New(loop.Config{Loops: 2, Handler: srv})
	if err != nil {
		t.Fatal(err)
	}
	srv.Attach(group)
	fd, err := unix.Dup(int(file.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	_ = file.Close()
	addr, err := srv.ListenFD(somewhere, fd)
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.Start(); err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	for range 4 {
		want(t, dial(t, addr.String(), "/?topic=a"), "< welcome")
	}
	if a := call(t, addr.String(), http.MethodGet, "/livez", ""); a.Status != http.StatusOK {
		t.Error(a)
	}
}

// The admin listener has a budget of its own, and gives back what it used.
func TestAdminBudget(t *testing.T) {
	_, _, addrs := run(t, newToy(), proto.Config{}, somewhere, true)
	for range 3 * 64 {
		if a := call(t, addrs[1], http.MethodGet, "/livez", ""); a.Status != http.StatusOK {
			t.Fatal(a)
		}
	}
}
