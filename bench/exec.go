package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// execute replaces this process by a command, which dies with the bench. Whoever is to be told of a parent's death is a thread: this
// one, which becomes the command, and not the one that the parent has set it for.
func execute(command []string) error {
	if len(command) == 0 {
		return errors.New("no command")
	}
	path, err := exec.LookPath(command[0])
	if err != nil {
		return err
	}
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return fmt.Errorf("death signal: %w", err)
	}
	return fmt.Errorf("%s: %w", path, syscall.Exec(path, command, os.Environ()))
}
