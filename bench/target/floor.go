package target

import "strconv"

// Floor is bench/floor at path, the physical limit; ping is its period in seconds, 0 for none. It knows no topics: whoever is
// connected gets everything, from the handshake on.
func Floor(path string, ping int) Target {
	t := everyone("floor", path, "{port}", "--threads", "{threads}")
	t.Plain = Request{Method: "POST", Path: "/plain?n={n}", Body: "{payload}"}
	if ping > 0 {
		t.Start = append(t.Start, "--ping", strconv.Itoa(ping))
	}
	return t
}

// everyone is a server that sends each body to all who are connected, as floor and our servers on the libraries of others do.
func everyone(name, path string, arguments ...string) Target {
	return Target{
		Name: name, Start: append([]string{path}, arguments...), Missing: missing(path),
		Ready: "/healthz", Path: "/ws",
		Publish: Request{Method: "POST", Path: "/broadcast", Header: map[string]string{"Content-Type": "text/plain"}, Body: "{payload}"},
	}
}
