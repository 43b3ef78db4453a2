// Package ws is the WebSocket codec of a server (RFC 6455): it turns the bytes of one connection into
// messages, messages into frames, and a checked request head into the 101 answer. It knows no sockets.
//
// Frame headers, header checks, masking, status codes and the 101 answer are those of github.com/gobwas/ws.
// Three things are done here, because a server that reads many connections through one buffer needs them so:
//
//   - Headers are read from a slice. A reader costs an allocation and several times the work per frame.
//   - A Decoder keeps state only between two reads. While a connection is idle nothing of it is kept; a message
//     that lies whole in the read buffer is unmasked there and never copied.
//   - Nothing is allocated by a declared length. What a connection holds grows with the bytes that have really
//     arrived, and every limit (bytes of a message, frames of a message, 125 bytes of a control frame) is applied
//     as soon as the header is known.
//
// Stricter than gobwas/ws: lengths that are not in their shortest form, close codes of 5000 and above and all that
// section 7.4 leaves undefined are refused with 1002; the registered codes 1012 to 1014 are accepted.
//
// No extension is negotiated: a set RSV bit is a protocol error.
package ws
