// Command bench measures broadcast servers over WebSockets: ours, others, and the bare minimum that a machine needs.
//
//	go run ./bench fanout --connections 15000 --json fanout.json
//	go run ./bench compare --servers fanfare,gws,floor --scenario burst --connections 10000 --rounds 5
//	go run ./bench million --connections 1000000
//	go run ./bench idle --url http://127.0.0.1:8080 --pid 4711 --path '/live/{topic}' --publish 'POST /send/{topic}' --body '{json}'
//
// Exit codes: 0 measured and every message accounted for, 1 the server or the account failed, 2 a command line or a size that is
// impossible here, 130 interrupted.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"fanfare/bench/load"
)

const (
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

type cli struct {
	Connect scenarioCmd `cmd:"" help:"Open connections: what one costs, in time and memory."`
	Idle    scenarioCmd `cmd:"" help:"Hold connections that have nothing to do."`
	Fanout  scenarioCmd `cmd:"" help:"One message at a time to all, the next only when all have it."`
	Burst   scenarioCmd `cmd:"" help:"Many messages back to back to all."`
	Topics  scenarioCmd `cmd:"" help:"Many topics with few subscribers each."`
	Churn   scenarioCmd `cmd:"" help:"Some come and go while messages flow."`
	Slow    scenarioCmd `cmd:"" help:"Some stop reading while messages flow."`
	Storm   scenarioCmd `cmd:"" help:"All lose their connection and come back at once."`
	Million scenarioCmd `cmd:"" help:"As many connections as the machine's memory holds, over as many server processes as it takes."`
	Compare compareCmd  `cmd:"" help:"One scenario against several servers, interleaved."`
	Servers serversCmd  `cmd:"" help:"List the servers that can be named."`
	Report  reportCmd   `cmd:"" help:"Markdown and charts of what --json has written."`
	Worker  workerCmd   `cmd:"" hidden:"" help:"Be a generator process."`
	Limit   limitCmd    `cmd:"" hidden:"" help:"Run a command with fewer descriptors."`
}

func main() { os.Exit(run(os.Args[1:])) }

// run does what the command line says and returns the exit code.
func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := perform(ctx, args, os.Stdout)
	if err == nil {
		return 0
	}
	if ctx.Err() != nil {
		err = errInterrupted
	}
	fmt.Fprintf(os.Stderr, "bench: %s\n", err)
	return exitCode(err)
}

func perform(ctx context.Context, args []string, out io.Writer) error {
	var c cli
	parser, err := kong.New(&c, kong.Name("bench"), kong.Description("Measure broadcast servers over WebSockets."),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.BindTo(out, (*io.Writer)(nil)), kong.Bind(commandLine(args)),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, FlagsLast: true}))
	if err != nil {
		return err
	}
	line, err := parser.Parse(args)
	if err != nil {
		return &usageError{err.Error() + "; --help shows how it is used"}
	}
	return line.Run()
}

// errInterrupted is what Ctrl-C makes of a run.
var errInterrupted = errors.New("interrupted")

// usageError is a command line that cannot be obeyed here.
type usageError struct{ text string }

// Error says why, and what is possible.
func (e *usageError) Error() string { return e.text }

func impossible(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

func exitCode(err error) int {
	var usage *usageError
	switch {
	case errors.Is(err, errInterrupted):
		return exitInterrupted
	case errors.As(err, &usage):
		return exitUsage
	}
	return exitFailed
}

// commandLine is the arguments, as one can type them again.
type commandLine []string

// String quotes what a shell would take apart.
func (c commandLine) String() string {
	var line strings.Builder
	line.WriteString("go run ./bench")
	for _, arg := range c {
		if strings.ContainsAny(arg, " \"'{}$\\;&|<>*?()[]~#") {
			arg = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
		}
		line.WriteString(" " + arg)
	}
	return line.String()
}

type workerCmd struct{}

// Run obeys the orders on stdin.
func (*workerCmd) Run() error { return load.Work(os.Stdin, os.Stdout) }

type limitCmd struct {
	Files   uint64   `arg:"" help:"Descriptors."`
	Command []string `arg:"" passthrough:"" help:"What to run."`
}

// Run becomes the command.
func (c *limitCmd) Run() error {
	limit := syscall.Rlimit{Cur: c.Files, Max: c.Files}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("limit of descriptors: %w", err)
	}
	if len(c.Command) > 0 && c.Command[0] == "--" {
		c.Command = c.Command[1:]
	}
	return execute(c.Command)
}
