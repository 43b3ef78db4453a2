//go:build !million

package loop

import "golang.org/x/sys/unix"

// void is whether connections without a socket can be made: with the build tag million only. Here the compiler drops what asks.
const void = false

func isVoid(int) bool { return false }

func swallow(int, []byte) int { return 0 }

func swallowAll(int, []unix.Iovec) int { return 0 }
