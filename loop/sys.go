package loop

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// These calls never block: the descriptors are non-blocking. They are raw, because the scheduler's hooks around a system call
// cost 2-3 us a send; the price is that a loop holds its processor while it sends, which is why GOMAXPROCS leaves room for two
// more goroutines than loops.

func sysRead(fd int, b []byte) (int, syscall.Errno) {
	n, _, e := syscall.RawSyscall(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	return int(n), e
}

func sysSend(fd int, b []byte) (int, syscall.Errno) {
	if void && isVoid(fd) {
		return swallow(fd, b), 0
	}
	n, _, e := syscall.RawSyscall6(syscall.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)),
		unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
	return int(n), e
}

func sysSendv(fd int, iov []unix.Iovec) (int, syscall.Errno) {
	if void && isVoid(fd) {
		return swallowAll(fd, iov), 0
	}
	h := unix.Msghdr{Iov: unsafe.SliceData(iov)}
	h.SetIovlen(len(iov))
	n, _, e := syscall.RawSyscall(syscall.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&h)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	return int(n), e
}

// sysAccept accepts one connection, non-blocking and closed on exec, and reports whether its peer is on this machine.
func sysAccept(fd int) (nfd int, local bool, e syscall.Errno) {
	var sa unix.RawSockaddrInet6 // the longest address that matters; a unix path is cut
	size := uint32(unsafe.Sizeof(sa))
	n, _, e := syscall.RawSyscall6(syscall.SYS_ACCEPT4, uintptr(fd), uintptr(unsafe.Pointer(&sa)), uintptr(unsafe.Pointer(&size)),
		unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	if e != 0 {
		return -1, false, e
	}
	return int(n), isLocal(&sa), 0
}

func isLocal(sa *unix.RawSockaddrInet6) bool {
	switch sa.Family {
	case unix.AF_UNIX:
		return true
	case unix.AF_INET:
		return (*unix.RawSockaddrInet4)(unsafe.Pointer(sa)).Addr[0] == 127
	case unix.AF_INET6:
		a := sa.Addr
		if a == [16]byte{15: 1} {
			return true
		}
		return a[12] == 127 && [12]byte(a[:12]) == [12]byte{10: 0xff, 11: 0xff} // ::ffff:127.0.0.0/104
	}
	return false
}

func sysShutdown(fd, how int) {
	_, _, _ = syscall.RawSyscall(syscall.SYS_SHUTDOWN, uintptr(fd), uintptr(how), 0)
}

// sysCount reads an eventfd or a timerfd: how often it was written, or expired, since it was last read.
func sysCount(fd int) uint64 {
	var n uint64
	_, _, e := syscall.RawSyscall(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&n)), 8)
	if e != 0 {
		return 0
	}
	return n
}

func sysWake(fd int) {
	one := uint64(1)
	_, _, _ = syscall.RawSyscall(syscall.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&one)), 8)
}
