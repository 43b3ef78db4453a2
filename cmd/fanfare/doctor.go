package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"fanfare/loop/kernel"
)

type doctorCmd struct {
	Connections int  `required:"" min:"1" max:"16000000" placeholder:"N" help:"How many connections it is to hold."`
	JSON        bool `name:"json" help:"Print one JSON object."`

	root fs.FS // nil: the host's
}

// Help shows what to type.
func (*doctorCmd) Help() string {
	return "Prints what the host has, what N connections need, and the line that mends it: \"sysctl:\" belongs in a file in " +
		"/etc/sysctl.d, \"unit:\" in what 'systemctl edit fanfare' opens, \"flag:\" on the command line. Run it where the server " +
		"runs: limits of descriptors and memory are those of the shell, unit or container. \"low\" is what slows a rush of " +
		"clients and holds all the same. Exit code 0: N fit, 1: they do not.\n\n\tfanfare doctor --connections 1000000"
}

// Run examines this host.
func (c *doctorCmd) Run(std streams) error {
	root := c.root
	if root == nil {
		root = os.DirFS("/")
	}
	host := kernel.Read(root)
	report := kernel.Examine(&host, kernel.Value(c.Connections))
	write := writeReport
	if c.JSON {
		write = func(w io.Writer, r *kernel.Report) error { return json.NewEncoder(w).Encode(r) }
	}
	if err := write(std.out, &report); err != nil {
		return err
	}
	if !report.OK {
		return fmt.Errorf("%d connections do not fit into one process here", c.Connections)
	}
	return nil
}

// writeReport writes a line for each check and one for all.
func writeReport(to io.Writer, r *kernel.Report) error {
	w := bufio.NewWriter(to)
	for i := range r.Checks {
		c := &r.Checks[i]
		if _, err := fmt.Fprintln(w, checkLine(c)); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprintln(w, summary(r)); err != nil {
		return err
	}
	return w.Flush()
}

// checkLine is a check in one line; what is not as it should be has its reason behind a #.
func checkLine(c *kernel.Check) string {
	have := c.Have.String()
	if c.Have != kernel.Unknown && c.Have != kernel.Unlimited && c.Unit != "" {
		have += " " + c.Unit
	}
	line := fmt.Sprintf("%-8s %-32s have %-20s need %-12v", mark(c), c.Name, have, c.Need)
	if !c.OK {
		line += " " + strings.TrimLeft(c.Fix+"  # "+c.Why, " ")
	}
	return strings.TrimRight(line, " ")
}

// mark is the word for a check.
func mark(c *kernel.Check) string {
	switch {
	case c.Have == kernel.Unknown:
		return "unknown"
	case c.OK:
		return "ok"
	case c.Bounds():
		return "too low"
	}
	return "low"
}

// summary is the last line.
func summary(r *kernel.Report) string {
	if r.Holds == kernel.Unknown {
		return "nothing that bounds connections could be read: is /proc mounted?"
	}
	more := fmt.Sprintf("%d processes would hold %v", r.Processes, r.Connections)
	switch r.Processes {
	case 0:
		more = fmt.Sprintf("no number of processes would hold %v, all together hold %v", r.Connections, r.All)
	case 1:
		more = fmt.Sprintf("1 process would hold %v", r.Connections)
	}
	line := fmt.Sprintf("this host can hold %v connections in one process; %s; first limit: %s", r.Holds, more, r.First)
	var unknown []string
	for i := range r.Checks {
		if r.Checks[i].Have == kernel.Unknown && r.Checks[i].Bounds() {
			unknown = append(unknown, r.Checks[i].Name)
		}
	}
	if len(unknown) > 0 {
		line += "; left out, because unknown: " + strings.Join(unknown, ", ")
	}
	return line
}

// fewFiles is a limit of descriptors that many distributions have, and no server wants.
const fewFiles = 4096
