// Package native is fanfare's own protocol: plain WebSocket to receive, a few JSON commands, one HTTP route to publish.
//
// # Receiving
//
//	GET /ws?topic=a&topic=b[&format=json|raw]
//
// subscribes by the upgrade alone. A topic has 1 to 255 bytes of UTF-8 without control characters. In the format raw, the default, each
// published payload arrives unchanged, as a text frame or, if it was published as application/octet-stream, a binary one. In the
// format json each arrives as a text frame
//
//	{"topic":"a","position":"EPOCH-OFFSET","data":<payload>}
//
// where data is the payload, byte for byte, if it is valid JSON, else the payload as a JSON string. A binary payload comes as "base64" in
// the place of data. Positions of one topic ascend by one as long as EPOCH (decimal, like OFFSET) stays the same.
//
// # Commands
//
// Text messages from the client, each one JSON object with exactly one command and, if wanted, an "id" (a string or a number of
// at most 128 bytes) that the answer repeats:
//
//	{"subscribe":["a","b"],"id":1}               {"subscribed":["a","b"],"id":1}
//	{"unsubscribe":["a"]}                        {"unsubscribed":["a"]}
//	{"publish":{"topic":"a","data":<any JSON>}}  {"published":{"topic":"a","position":"1-2","receivers":3}}
//
// A command is done whole or not at all. The answer to subscribe comes before the first event of its topics. Subscribing again and
// unsubscribing from what was not subscribed are no errors. The payload of publish is the bytes of data as written: "data":"x" delivers
// "x" with its quotes. To publish over a socket, the upgrade must have carried what POST /broadcast asks for.
//
// An error is {"error":{"code","message","field"},"id"}, with field and id where there are any, and the connection stays open.
// Codes:
//
//	bad_json                 not JSON, not the JSON of a command, a member unknown or given twice
//	bad_topic                a name that cannot be a topic
//	too_many_subscriptions   more than 256 on one connection
//	unauthorized, forbidden  this connection may not publish
//	payload_too_large        more than 64 KiB of data
//	binary_not_allowed       commands are text messages
//	rate_limited             more than 50 commands a second; not carried out, and the id is not repeated
//	busy                     too many undelivered bytes: try again
//	internal                 our fault; closes with 1011
//
// A stream that breaks RFC 6455 or a limit is closed with its code: 1002, 1007, 1008, 1009; the text begins with the code of the error,
// as in "payload_too_large: message too big". A client that reads too slowly is closed
// with 1008, or loses messages if the server is set so: its oldest (drop-oldest), those that come (drop-newest), or all that wait of a
// topic but the last (conflate). The first pattern that matches a topic's name says which, else the listener, else the dialect. Every
// 30 seconds, at first spread at random, a ping is sent; a client of which nothing comes for 15 seconds after it is gone. 1012 says that
// the server restarts: come back after a random pause.
//
// # Publishing
//
//	POST /broadcast?topic=a
//
// publishes the body, byte for byte: as text, which must be UTF-8, or as binary if it is application/octet-stream. Without topic
// the body is application/json: {"topic":"a","data":<any JSON>}, or an array of 1,000 such objects at most, of 1 MiB altogether. The payload
// is the bytes of data as written. An array is checked whole, then published in order. The answer to one is 202 and
//
//	{"topic":"a","position":"EPOCH-OFFSET","receivers":3}
//
// and to an array 202 {"results":[…]} with one of these for each. position is absent when nobody listens. When too many bytes are
// undelivered the answer is 503 with Retry-After and, for an array, {"error":{…},"accepted":n,"results":[…]}: the first n were published.
//
// Further codes over HTTP: bad_request, bad_query, not_found, method_not_allowed, timeout, unsupported_media_type, too_many_items,
// upgrade_required, head_too_large, origin_not_allowed, too_many_from_address.
package native
