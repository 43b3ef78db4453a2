// Package target says how a server is started, subscribed to and published to, so that the load side knows no server by name.
//
// In the templates, {port} is the server's port, {topic} the topic's name, {n} the connection's number, {payload} the payload as
// it is, {json} the payload as a JSON string with its quotes, {dir} a scratch folder, {threads} the number of threads or loops it
// may use. Anything else stands for itself.
package target

import "strings"

// Target is one kind of server.
type Target struct {
	Name string
	// Start is the command that serves on {port} in the foreground; Env adds to its environment. Empty: it runs already.
	Start []string
	Env   []string
	// Files are written before it starts: path, with {dir}, to content; both are templates.
	Files map[string]string
	// Ready is a path that answers 2xx once it serves; empty: the port accepts.
	Ready string
	// Path is where its WebSocket is; Protocol goes into Sec-WebSocket-Protocol.
	Path     string
	Protocol string
	// Subscribe are text messages that a client sends, one per topic, once it is open; Subscribed is part of the message that
	// confirms one, empty if it does not say. Greeting is part of the message that comes before a client may send, if any.
	Subscribe  string
	Subscribed string
	Greeting   string
	// Ping is a text message with which the server checks on its clients, and Pong what they answer; empty if it has none of its own.
	Ping string
	Pong string
	// Publish is the request that publishes one message, over kept-alive HTTP connections. With a Key, each is signed for its
	// body: its path is what Key.Sign returns.
	Publish Request
	Key     *Key
	// Plain makes a floor send its body to all sockets of one thread from a bare loop, {n} times, and answer with JSON: "sends", and
	// "ns_per_send" of processor time.
	Plain Request
	// Metrics is the path of its Prometheus metrics; Lag is the name of its loop lag, in seconds, and Mallocs of the allocations it
	// has made; empty if it has none.
	Metrics string
	Lag     string
	Mallocs string
	// Missing says why it is not here, as from a preset that was not installed.
	Missing string
}

// Request is an HTTP request whose parts are templates.
type Request struct {
	Method string
	Path   string
	Header map[string]string
	Body   string
}

// Fill puts values into a template: name, value, name, value.
func Fill(template string, values ...string) string {
	for i := 0; i+1 < len(values); i += 2 {
		template = strings.ReplaceAll(template, "{"+values[i]+"}", values[i+1])
	}
	return template
}
