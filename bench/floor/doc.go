// Package floor carries the physical limit that every report compares with: floor.c, a broadcast server that keeps nothing of a
// connection but its descriptor and spends one send on a delivery. No server that delivers by sends can be cheaper, so a
// report in which floor itself is dear (over 1.3 times what POST /plain measures on the same sockets) measured something else.
//
// The tests that need a C compiler and strace are behind the tag bench: go test -tags bench ./bench/floor/
package floor
