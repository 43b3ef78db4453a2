// Package http1 reads the head of an HTTP/1 request out of a buffer that many connections share, checks a WebSocket
// upgrade, and hands connections that want plain HTTP to net/http on the same port.
//
// A head is read before anything is known of the client, so it is what an attacker reaches first. Request.Parse goes over
// it once, allocates nothing in steady state, and is never more lenient than net/http: what it accepts net/http reads in
// the same way, so a connection may be handed over after the head was looked at. It is stricter where two readers could
// disagree (RFC 9112, section 11): bare LF or CR, folded lines, a space before the colon, doubled Host, Content-Length or
// Sec-WebSocket-Key lines, Content-Length together with Transfer-Encoding are all refused.
//
// Strings of a Request are parts of the buffer that was parsed. They are valid as long as that buffer is not written to;
// Request.Clone gives a Request that lasts.
//
// A Listener gives descriptors to an http.Server. It bounds how many connections are open, and at the bound closes the one
// that has been idle longest, so that idle connections cannot keep health checks and publishers out.
package http1
