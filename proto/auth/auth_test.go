package auth_test

import (
	"strings"
	"testing"

	"fanfare/proto/auth"
)

func parse(t *testing.T, list string) auth.Keys {
	t.Helper()
	k, err := auth.ParseKeys(list)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestKeys(t *testing.T) {
	k := parse(t, "# comment, here\none,two\n three\t,,four\r\n  # another\n")
	if k.Len() != 4 {
		t.Fatal(k.Len())
	}
	for _, key := range []string{"one", "two", "three", "four"} {
		if !k.Has(key) {
			t.Error(key)
		}
	}
	for _, key := range []string{"", "on", "onee", "One", "one,two", "\x00", "#", "comment", "here", "another"} {
		if k.Has(key) {
			t.Errorf("%q", key)
		}
	}
	if parse(t, "").Len() != 0 || parse(t, "").Has("") {
		t.Error("keys out of nothing")
	}
	for _, list := range []string{",", " \n", "good,b\xffd", "good,b\x00d", "good,sécret", "good d", "# good"} {
		k, err := auth.ParseKeys(list)
		if err == nil || k.Len() != 0 || strings.Contains(err.Error(), "d") && strings.Contains(err.Error(), "good") {
			t.Errorf("%q: %v", list, err)
		}
	}
}

func TestPolicy(t *testing.T) {
	local := auth.Policy{}
	keyed := auth.Policy{Keys: parse(t, "k"), Open: true} // keys win
	open := auth.Policy{Open: true}
	here := auth.Claim{Local: true, Host: "localhost:8080"}
	with := func(f func(*auth.Claim)) auth.Claim {
		c := here
		f(&c)
		return c
	}
	host := func(h string) auth.Claim { return with(func(c *auth.Claim) { c.Host = h }) }
	origin := func(o string) auth.Claim { return with(func(c *auth.Claim) { c.Origin = o }) }
	site := func(s string) auth.Claim { return with(func(c *auth.Claim) { c.FetchSite = s }) }
	bearer := func(a string) auth.Claim { return auth.Claim{Authorization: a} }
	for _, c := range []struct {
		policy auth.Policy
		claim  auth.Claim
		want   auth.Verdict
	}{
		{local, here, auth.Allowed},
		{local, with(func(c *auth.Claim) { c.Local = false }), auth.NotLocal},
		{local, with(func(c *auth.Claim) { c.Forwarded = true }), auth.NotLocal},
		{local, bearer("Bearer k"), auth.NotLocal},
		{local, host("localhost"), auth.Allowed},
		{local, host("LocalHost:1"), auth.Allowed},
		{local, host("127.0.0.1"), auth.Allowed},
		{local, host("127.255.255.255:65535"), auth.Allowed},
		{local, host("[::1]"), auth.Allowed},
		{local, host("[::1]:80"), auth.Allowed},
		{local, host(""), auth.ForeignHost},
		{local, host("::1"), auth.ForeignHost},
		{local, host("[127.0.0.1]"), auth.ForeignHost},
		{local, host("[::ffff:127.0.0.1]"), auth.ForeignHost},
		{local, host("[::1%25lo]"), auth.ForeignHost},
		{local, host("127.1"), auth.ForeignHost},
		{local, host("128.0.0.1"), auth.ForeignHost},
		{local, host("10.0.0.1:80"), auth.ForeignHost},
		{local, host("localhost.example"), auth.ForeignHost},
		{local, host("localhost:80x"), auth.ForeignHost},
		{local, host("localhost:80, evil"), auth.ForeignHost},
		{local, host("a@localhost"), auth.ForeignHost},
		{local, origin("http://localhost:8080"), auth.Allowed},
		{local, origin("https://LOCALHOST:8080"), auth.Allowed},
		{local, origin("http://localhost"), auth.CrossSite},
		{local, origin("http://127.0.0.1:8080"), auth.CrossSite},
		{local, origin("null"), auth.CrossSite},
		{local, origin("file://"), auth.CrossSite},
		{local, origin("chrome-extension://localhost:8080"), auth.CrossSite},
		{local, origin("http://localhost:8080, http://evil"), auth.CrossSite},
		{local, site("none"), auth.Allowed},
		{local, site("same-origin"), auth.Allowed},
		{local, site("same-site"), auth.CrossSite},
		{local, site("cross-site"), auth.CrossSite},
		{local, site("none, cross-site"), auth.CrossSite},
		{keyed, here, auth.NoKey},
		{keyed, bearer("Bearer"), auth.NoKey},
		{keyed, bearer("k"), auth.NoKey},
		{keyed, bearer("Basic k"), auth.NoKey},
		{keyed, bearer("Bearer kk"), auth.WrongKey},
		{keyed, bearer("Bearer k, Bearer k"), auth.WrongKey},
		{keyed, bearer("BEARER  k"), auth.Allowed},
		{open, auth.Claim{}, auth.Allowed},
	} {
		if got := c.policy.Check(c.claim); got != c.want {
			t.Errorf("%+v: got %d (%s), want %d", c.claim, got, got.Refusal(), c.want)
		}
	}
}

func TestVerdict(t *testing.T) {
	for v := range auth.Verdict(10) {
		if (v.Refusal() == "") != (v == auth.Allowed) {
			t.Error(v, v.Refusal())
		}
		if v.Authenticate() != (v == auth.NoKey || v == auth.WrongKey) {
			t.Error(v)
		}
	}
}
