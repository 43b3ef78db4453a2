package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is set by the linker: make build asks git.
var version = "dev"

type versionCmd struct{}

// Run prints the build's version, commit, Go and netpoll.
func (versionCmd) Run(std streams) error {
	commit, netpoll := "unknown", "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				commit = s.Value
			}
		}
		for _, dep := range info.Deps {
			if dep.Path == "github.com/cloudwego/netpoll" {
				netpoll = dep.Version
			}
		}
	}
	_, err := fmt.Fprintf(std.out, "fanfare %s\ncommit  %s\ngo      %s %s/%s\nnetpoll %s\n",
		version, commit, runtime.Version(), runtime.GOOS, runtime.GOARCH, netpoll)
	return err
}
