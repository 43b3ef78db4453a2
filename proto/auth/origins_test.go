package auth_test

import (
	"strings"
	"testing"

	"fanfare/proto/auth"
)

func origins(t *testing.T, list ...string) auth.Origins {
	t.Helper()
	o, err := auth.ParseOrigins(list)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestOrigins(t *testing.T) {
	some := origins(t, "https://Example.com", "http://localhost:3000", "https://*.sub.example:8443", "http://[::1]:80", "https://*.plain.example", "app+x://y")
	for origin, want := range map[string]bool{
		"": true, "https://example.com": true, "https://example.com:443": true, "HTTPS://EXAMPLE.COM": true, "http://localhost:3000": true,
		"https://a.sub.example:8443": true, "https://a.b.sub.example:8443": true, "http://[::1]": true, "https://x.plain.example": true, "app+x://y": true,

		"null": false, "http://example.com": false, "https://example.com:80": false, "https://example.com:444": false, "https://example.com.evil": false,
		"https://evilexample.com": false, "https://a.example.com": false, "http://localhost": false, "https://sub.example:8443": false,
		"https://.sub.example:8443": false, "https://a.sub.example": false, "https://evil/.sub.example:8443": false, "https://evil#.plain.example": false, "https://evil@x.plain.example": false,
		"https://evil:80.plain.example": false, "https://example.com, https://example.com": false, "https://example.com ": false, "https://example.com/": false,
		"http://a.plain.example": false, "https://plain.example": false, "example.com": false, "file://": false, "*": false,
	} {
		if got := some.Allow(origin); got != want {
			t.Errorf("%q: %v", origin, got)
		}
	}
	none := origins(t, "null")
	if !none.Allow("null") || none.Allow("https://a") || none.Any() {
		t.Error("null")
	}
	for _, list := range [][]string{nil, {"*"}, {"https://a", "*"}} {
		if o := origins(t, list...); !o.Any() || !o.Allow("null") || !o.Allow("https://b") {
			t.Error(list)
		}
	}
	for _, bad := range []string{
		"", "example.com", "https://", "://x", "https://a/b", "https://a:b", "https://a:", "https://a b", "https://*", "https://*.", "https://a.*.b", "**",
		"https://a,b", "https://[::1", "https://[]", "https://ex_am ple",
	} {
		if _, err := auth.ParseOrigins([]string{bad}); err == nil {
			t.Errorf("%q", bad)
		}
	}
}

func TestSameOrigin(t *testing.T) {
	for _, c := range []auth.Claim{{}, {Host: "h:1", Origin: "http://h:1"}, {FetchSite: "none"}, {FetchSite: "same-origin"}} {
		if !c.SameOrigin() {
			t.Error(c)
		}
	}
	for _, c := range []auth.Claim{{Host: "h", Origin: "http://h:1"}, {Origin: "null"}, {FetchSite: "cross-site"}, {FetchSite: "same-site"}} {
		if c.SameOrigin() {
			t.Error(c)
		}
	}
}

// FuzzOrigins: whatever the list, what is on it is allowed, and one entry more or less in the request is not.
func FuzzOrigins(f *testing.F) {
	for _, s := range []string{"https://a.example", "https://*.a.example:8443", "null", "http://[::1]:1", "*", "://", "a://b:", "x://*.*.y"} {
		f.Add(s, "https://b.example")
	}
	f.Fuzz(func(t *testing.T, entry, origin string) {
		o, err := auth.ParseOrigins([]string{entry})
		if err != nil {
			return
		}
		if !strings.Contains(entry, "*") && !o.Allow(strings.TrimSpace(entry)) {
			t.Errorf("%q does not allow itself", entry)
		}
		if !o.Any() && o.Allow(origin+", "+entry) {
			t.Errorf("%q allows two", entry)
		}
		o.Allow(origin)
	})
}
