package proto

import (
	"net"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestAdminFamily: an address of IPv4 is bound for IPv4 alone, as clients' listeners are; all addresses is all of them.
func TestAdminFamily(t *testing.T) {
	for addr, want := range map[string]struct {
		family int
		bound  string
	}{
		"0.0.0.0:0":          {unix.AF_INET, "0.0.0.0:"},
		"127.0.0.1:0":        {unix.AF_INET, "127.0.0.1:"},
		"[::ffff:0.0.0.0]:0": {unix.AF_INET, "0.0.0.0:"},
		":0":                 {unix.AF_INET6, "[::]:"},
		"[::]:0":             {unix.AF_INET6, "[::]:"},
		"[::1]:0":            {unix.AF_INET6, "[::1]:"},
	} {
		ln, err := bindAdmin(addr)
		if err != nil {
			t.Error(err)
			continue
		}
		if got := family(t, ln); got != want.family || !strings.HasPrefix(ln.Addr().String(), want.bound) {
			t.Errorf("%s: bound %s of family %d", addr, ln.Addr(), got)
		}
		_ = ln.Close()
	}
}

// family asks the socket.
func family(t *testing.T, ln net.Listener) (domain int) {
	t.Helper()
	tcp, ok := ln.(*net.TCPListener)
	if !ok {
		t.Fatalf("%T", ln)
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) { domain, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DOMAIN) }); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return domain
}
