// Package server starts the servers that are measured, sees them end, and reads from /proc and from their metrics what they cost.
//
// A server runs in a process group of its own and dies with the bench. All processes of the group are counted together, so one that
// forks workers costs what its workers cost.
package server
