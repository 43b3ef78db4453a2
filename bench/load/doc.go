// Package load holds many WebSocket clients in few bytes and counts what they receive.
//
// A Fleet, in the process that was started, commands workers, which are the same program started again: each runs one epoll loop
// over non-blocking sockets (worker.go, engine.go). A connection is a record of 32 bytes and four more for each subscription;
// nothing is allocated per connection or per delivery. Orders and answers are lines of JSON on the worker's stdin and stdout.
//
// Every published payload begins with a stamp (stamp.go): run, topic, sequence, and when the publish began on the clock that all
// processes of a machine share. Receivers search it in the message, so a server may wrap the payload. What a receiver expects next
// is known per subscription (account.go); what is missing, repeated or out of order is therefore exact.
//
// Subscription j of connection n, with s subscriptions each and t topics, is to topic (n*s+j) mod t. That is why no table says who
// gets what, and why Subscribers can tell how many deliveries a message must cause.
package load
