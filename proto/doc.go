// Package proto gives messages their meaning. A Dialect is one wire protocol; the Server is what the loops call: it finds the dialect
// and the namespace by the listener a connection came in by, joins connections to topics of the hub, and serves what every
// listener has over plain HTTP: health, metrics and the routes of its dialect.
//
// # Wiring
//
//	hub := fanout.NewHub(fanout.Config{})
//	srv, err := proto.New(proto.Config{
//		Hub:      hub,
//		Dialects: []proto.Dialect{native.New(native.Config{Auth: policy})},
//		Version:  version,
//		Log:      log,
//	})
//	group, err := loop.New(loop.Config{Handler: srv, Log: log})
//	srv.Attach(group)
//	for _, s := range settings.Listen {
//		l, err := proto.ParseListen(s)
//		addr, err := srv.Listen(l) // the address that was bound
//	}
//	admin, err := srv.ListenAdmin("127.0.0.1:9090") // if wanted
//	err = srv.Start()
//	...
//	err = srv.Reload(proto.Reloadable{Auth: policy, Origins: origins}) // any time
//	...
//	srv.Drain(ctx, proto.DrainOptions{Wait: 5 * time.Second, Window: 20 * time.Second})
//	srv.Close() // ends the group, too
//
// # Three walks
//
// Upgrade: the loop reads a head and calls Head. No upgrade is asked for: the connection goes to net/http on the same port. Else
// Dialect.Open checks path and parameters, joins topics and gives back a greeting; the 101 and the greeting leave in one write. An
// Open that must ask somebody calls Peer.Slow and returns ErrPending: the request waits until Peer.Accept or Peer.Fail.
//
// Broadcast: net/http reads the request, Routes checks path and method, the dialect checks the key, reads the body once and calls
// Routes.Publish. The answer says the position and how many receivers there were at that moment; the loops deliver afterwards.
//
// Client message: the loop hands out whole messages by Message; the dialect joins, leaves, publishes or replies. A reply leaves before
// the first event of a topic that the same message has joined, because events are only ever delivered by Shard.Work.
//
// # Who gets in
//
// The loops refuse at the door what is beyond Admission. An upgrade must come from a page on the list of origins, if there is one:
// scheme, host and port are compared, "null" must be listed, and programs, which send no Origin, are no pages. It may be one of so many
// of its address, where the last address of X-Forwarded-For that is not a trusted proxy's counts if the peer is one. Then the dialect
// decides. An upgrade that comes behind other requests on its connection goes back to a loop, which reads it once more, so that one
// and the same code decides about it. Connections that never ask for an upgrade are the business of Admission and of plain HTTP's limit.
//
// # Health
//
// /livez, and /healthz, fail when a loop has not ticked for 2 seconds. /readyz fails besides when the server drains, when it is at a
// limit (connections, descriptors, undelivered bytes, memory), and when the canary of a loop did not get its message within a second. The
// canaries are members of a hidden topic; the check itself publishes to them, once a second at most, and checks that come at the same
// time share its result. ?verbose lists every check, as text or, with Accept: application/json, as JSON:
//
//	{"status":"failed","checks":[{"name":"loop 1","status":"failed","text":"no tick for 2.4s"}]}
//
// # Operators
//
// Health and /metrics are served where clients come, unless there is an admin listener: then they are there, and only there, together
// with /stats (loops, the largest topics and backlogs) and /debug/pprof/. The admin listener has connections of its own, 64, so that
// clients cannot take its place. Pages of other sites are refused, and so are requests from this machine under another name than localhost,
// 127.0.0.0/8 or [::1], as a page sends whose name was made to resolve to here; there are no CORS headers. It has no key: bind it to where
// only operators come.
//
// Metrics have help, type, base units and labels that are ours, never a string of a client. fanfare_publish_to_last_write_seconds is
// explained at fanout.Latency. The canaries are in none of them.
//
// # Reload and drain
//
// Reload takes all of Reloadable or nothing. It holds for what comes after: sockets that are open stay, with what they were told about
// publishing. Drain turns readiness off, waits, lets the loops close the sockets with 1012 over a window, then ends plain HTTP. Clients
// should come back after a random pause. During the window the listeners for clients are closed already; an admin listener is not.
//
// # Errors
//
// An Error carries its answer: the HTTP status, the code that programs read, the close code, the text, whether the connection ends
// and whether trying again may help. Before the upgrade and over HTTP the answer is JSON,
//
//	{"error":{"code":"bad_topic","message":"…","field":"topic"}}
//
// and after the upgrade it is whatever the dialect's Fail makes of it: the one exit. Refused requests, handshakes and messages are counted by
// code and logged, one line a second for each code at most. Answers over HTTP have an X-Request-Id, which is in the line of the log as
// request_id; the reason there, the label of the metric and the code of the answer are the same word.
//
// # Ownership
//
// Every method of a Dialect is called on the loop that owns the connection and must not block; a Peer is valid for that call. Slow is
// the only concurrency a dialect sees. HTTP handlers run on goroutines of net/http and see no connection of the loop.
package proto
