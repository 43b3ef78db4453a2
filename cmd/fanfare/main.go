// Command fanfare is a WebSocket broadcast server with its own terminal clients: serve, publish, listen, config, doctor, version.
//
// Exit codes: 0 done, 1 failed while running, 2 bad command line, 78 bad setting.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/alecthomas/kong"
)

const (
	exitFailed  = 1
	exitUsage   = 2
	kongUsage   = 80 // kong's own code for a line that it cannot read; its others are about values
	exitSetting = 78 // EX_CONFIG of sysexits.h
)

type cli struct {
	Serve   serveCmd   `cmd:"" help:"Run the server (default address 127.0.0.1:8080)."`
	Publish publishCmd `cmd:"" help:"Publish one message to a topic."`
	Listen  listenCmd  `cmd:"" help:"Print what is published to topics."`
	Config  configCmd  `cmd:"" help:"Check and show settings."`
	Doctor  doctorCmd  `cmd:"" help:"Say how many connections this host holds."`
	Version versionCmd `cmd:"" help:"Say which build this is."`

	args    []string // what parse was given
	sources sources
}

// streams are what a command reads and writes.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

func main() {
	os.Exit(run(os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr}))
}

// run does what the command line says and returns the exit code.
func run(args []string, std streams) (code int) {
	var c cli
	parsed, err := parse(&c, args, std)
	if err == nil {
		err = parsed.Run(std, &c, parsed)
	}
	if err == nil {
		return 0
	}
	_, _ = fmt.Fprintf(std.err, "fanfare: %s\n", strings.ReplaceAll(err.Error(), "\n", "\nfanfare: "))
	if code = exitCode(err); code == exitUsage {
		_, _ = fmt.Fprintln(std.err, "fanfare --help shows how it is used.")
	}
	return code
}

func exitCode(err error) int {
	var bad *settingError
	var line *kong.ParseError
	switch {
	case errors.As(err, &bad):
		return exitSetting
	case errors.As(err, &line) && line.ExitCode() == kongUsage:
		return exitUsage
	case line != nil:
		return exitSetting
	}
	return exitFailed
}
