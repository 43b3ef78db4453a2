package server

import (
	"os"
	"syscall"
	"testing"
	"time"
)

func TestCPUIsWhatGetrusageSays(t *testing.T) {
	burn := 0
	for until := time.Now().Add(50 * time.Millisecond); time.Now().Before(until); {
		burn++
	}
	var u syscall.Rusage
	before := CPU(os.Getpid())
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	after := CPU(os.Getpid())
	const slack = int64(time.Millisecond) // getrusage counts microseconds
	if told := u.Utime.Nano() + u.Stime.Nano(); told < before-slack || told > after+slack {
		t.Errorf("getrusage %d, before it %d, after it %d (%d)", told, before, after, burn)
	}
	if CPU(0) != 0 || CPU(1<<30) != 0 {
		t.Error("a process that is none has used time")
	}
}

func TestUsageOfAProcessThatRanAlready(t *testing.T) {
	u, known := UsageOf([]*Process{Attach("127.0.0.1:1", os.Getpid())})
	if !known || u.RSS < 1<<20 || u.PSS == 0 || u.PSS > u.Peak || u.CPU <= 0 || u.User+u.System != u.CPU && u.User+u.System != 0 || u.Voluntary == 0 {
		t.Errorf("%+v %t", u, known)
	}
	if _, known := UsageOf([]*Process{Attach("127.0.0.1:1", 0)}); known {
		t.Error("the usage of an unknown process is known")
	}
}
