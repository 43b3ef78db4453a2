package ws

import "strconv"

// Opcodes of RFC 6455, section 5.2.
const (
	OpContinuation byte = 0x0 // only on the wire; no Message has it
	OpText         byte = 0x1
	OpBinary       byte = 0x2
	OpClose        byte = 0x8
	OpPing         byte = 0x9
	OpPong         byte = 0xa
)

// Close codes that a Decoder answers with (RFC 6455, section 7.4.1).
const (
	codeProtocol = 1002
	codeUTF8     = 1007
	codePolicy   = 1008
	codeTooBig   = 1009
)

// Error says why the input of a connection was refused. Code is the close code to answer with: 1002 protocol error,
// 1007 text that is not UTF-8, 1008 too many frames in one message, 1009 message too big (RFC 6455, section 7.4.1).
// Text holds no byte of the client's and is safe for logs and close reasons.
type Error struct {
	Code uint16
	Text string
}

// Error returns the code and the text.
func (e *Error) Error() string {
	return "websocket: " + strconv.Itoa(int(e.Code)) + " " + e.Text
}
