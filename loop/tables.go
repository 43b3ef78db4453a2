package loop

import (
	"fanfare/loop/http1"
	"fanfare/loop/ws"
)

var reasonNames = [reasons]string{
	ByClient:       "client",
	ByServer:       "server",
	HandedOver:     "http",
	Reset:          "reset",
	Slow:           "slow",
	Silent:         "silent",
	HeadTimeout:    "head_timeout",
	MessageTimeout: "message_timeout",
	BadInput:       "bad_input",
	Panicked:       "panic",
	Shutdown:       "shutdown",
}

var refusalNames = [refusals]string{
	FullConns:  "connections_full",
	FullRate:   "accept_rate",
	FullMemory: "memory_full",
	NoFiles:    "descriptors_full",
}

// pingFrame is shared by every connection: an empty ping (RFC 6455, 5.5.2).
var pingFrame = ws.AppendFrame(nil, ws.OpPing, nil)

// internalError and tooBusy are the answers that the loop gives itself, before the 101.
var (
	internalError = http1.AppendResponse(nil, 500, "", "application/json",
		[]byte(`{"error":{"code":"internal","message":"internal error"}}`+"\n"))
	tooBusy = http1.AppendResponse(nil, 503, "Retry-After: 1\r\n", "application/json",
		[]byte(`{"error":{"code":"busy","message":"too many HTTP connections at once"}}`+"\n"))
)

// refusalAnswers are what somebody gets who is not accepted.
var refusalAnswers = [refusals][]byte{
	FullConns:  refusalAnswer(503, FullConns, "the server has as many connections as it may have"),
	FullRate:   refusalAnswer(429, FullRate, "too many connections are coming at once"),
	FullMemory: refusalAnswer(503, FullMemory, "the server is short of memory"),
	NoFiles:    refusalAnswer(503, NoFiles, "the server is out of file descriptors"),
}

func refusalAnswer(status int, why Refusal, message string) []byte {
	return http1.AppendResponse(nil, status, "Retry-After: 1\r\n", "application/json",
		[]byte(`{"error":{"code":"`+why.String()+`","message":"`+message+`"}}`+"\n"))
}
