// Package prototest talks to a server as its clients do: for the tests of dialects, and for transcripts that replay against any address.
//
// A transcript is a text file, one step a line. Lines that begin with # and empty lines are left out.
//
//	= /ws?topic=a              open a WebSocket
//	> {"subscribe":["b"]}      send a text message
//	>x 00ff                    send a binary message, in hex
//	< {"subscribed":["b"]}     the next message must be this text
//	<x 00ff                    the next message must be this binary one, in hex
//	<! 1008                    the server must close with this code
//	! POST /broadcast?topic=a  call over HTTP
//	! Content-Type: text/plain with these headers
//	! | hello                  and this body
//	! 202 {"topic":"a"}        and get this status and this body
//
// A name before = > < stands for one of several connections: b= /ws, b< hello. An = that is followed by a status line must be refused with
// it. In what is expected {{name}} stands for digits and dashes; the same name stands for the same ones all over the file.
package prototest
