// Package proto gives messages their meaning. A Dialect is one wire protocol; the Server is what the loops call: it finds the dialect
// and the namespace by the listener a connection came in by, joins connections to topics of the hub, and serves what every
// listener has over plain HTTP: /livez, /metrics and the routes of its dialect.
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
//	err = srv.Start()
//	...
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
// # Errors
//
// An Error carries its answer: the HTTP status, the code that programs read, the close code, the text, whether the connection ends
// and whether trying again may help. Before the upgrade and over HTTP the answer is JSON,
//
//	{"error":{"code":"bad_topic","message":"…","field":"topic"}}
//
// and after the upgrade it is whatever the dialect's Fail makes of it: the one exit. Refused requests, handshakes and messages are counted by
// code and logged, one line a second for each code at most.
//
// # Ownership
//
// Every method of a Dialect is called on the loop that owns the connection and must not block; a Peer is valid for that call. Slow is
// the only concurrency a dialect sees. HTTP handlers run on goroutines of net/http and see no connection of the loop.
package proto
