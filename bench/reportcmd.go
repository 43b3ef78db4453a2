package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"fanfare/bench/report"
	"fanfare/bench/result"
	"fanfare/bench/target"
)

type reportCmd struct {
	Files []string `arg:"" name:"json" placeholder:"JSON" help:"What --json has written; several become one report."`
	Out   string   `required:"" placeholder:"FOLDER" help:"Where report.md and its charts go."`
}

// Run turns the figures into Markdown and charts, and says which goals are met.
func (c *reportCmd) Run(out io.Writer) error {
	r, err := readReports(c.Files)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.Out, 0o755); err != nil {
		return err
	}
	svgs := map[string]string{}
	for _, chart := range report.Charts(r) {
		name := chart.Name + ".svg"
		var text strings.Builder
		if err := report.SVG(&text, chart); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(c.Out, name), []byte(text.String()), 0o644); err != nil {
			return err
		}
		svgs[chart.Title+", "+chart.Subtitle] = name
	}
	var text strings.Builder
	if err := report.Markdown(&text, r, svgs, recorded()...); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(c.Out, "report.md"), []byte(text.String()), 0o644); err != nil {
		return err
	}
	for _, v := range report.Judge(r) {
		_, _ = fmt.Fprintf(out, "%-13s %s, %s: %s %s\n", v.State, v.Goal.Name, v.Goal.Target, v.Figure, v.Why)
	}
	return nil
}

// readReports reads reports of one machine and one commit as a single one.
func readReports(files []string) (*result.Report, error) {
	var all *result.Report
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, &usageError{err.Error()}
		}
		var r result.Report
		if err := json.Unmarshal(text, &r); err != nil {
			return nil, &usageError{fmt.Sprintf("%s is not a report: %v", file, err)}
		}
		if all == nil {
			all = &r
			continue
		}
		if r.Machine != all.Machine || r.Commit != all.Commit {
			return nil, impossible("%s is of another machine or commit than %s: they cannot be compared", file, files[0])
		}
		all.Command += "\n" + r.Command
		all.Runs = append(all.Runs, r.Runs...)
		all.Notes = append(all.Notes, r.Notes...)
	}
	return all, nil
}

// recorded are the figures of servers that cannot be installed everywhere, as they were once measured.
func recorded() (list []report.Recorded) {
	source := "recorded " + target.RecordedWhen
	for _, r := range target.RecordedPeers() {
		add := func(figure, value string) {
			list = append(list, report.Recorded{Server: r.Server, Figure: figure, Value: value, Machine: target.RecordedWhere, Source: source})
		}
		add("RSS per idle subscribed connection", fmt.Sprintf("%d B", r.Once.Bytes))
		add("CPU per delivery, one message to 15,000", fmt.Sprintf("%.1f us, %.2f x floor", float64(r.Once.CPU)/float64(time.Microsecond), r.Once.Ratio))
		if r.Burst.CPU > 0 {
			add("CPU per delivery, 32 messages to 10,000", fmt.Sprintf("%.1f us, %.2f x floor", float64(r.Burst.CPU)/float64(time.Microsecond), r.Burst.Ratio))
		}
	}
	return list
}
