package ws

import "sync"

// The refusals that are not gobwas/ws's own. They are shared and never written.
var (
	errLengthSign  = &Error{codeProtocol, "payload length with its most significant bit set"}
	errLengthForm  = &Error{codeProtocol, "payload length not in its shortest form"}
	errTooBig      = &Error{codeTooBig, "message too big"}
	errFrames      = &Error{codePolicy, "too many frames in one message"}
	errUTF8        = &Error{codeUTF8, "text is not UTF-8"}
	errReason      = &Error{codeUTF8, "close reason is not UTF-8"}
	errCloseLength = &Error{codeProtocol, "close frame with half a status code"}
	errCloseCode   = &Error{codeProtocol, "close frame with a status code that must not be sent"}
)

// upgrades keeps the objects that stand for the connection while gobwas/ws writes an answer; they hold nothing
// between two uses.
var upgrades = sync.Pool{New: newUpgrade}
