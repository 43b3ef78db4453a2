package server

import (
	"bufio"
	"context"
	"io"
	"strconv"
	"strings"
)

// Metric is the greatest value of a metric over all its labels, as the server itself tells it; false if it does not.
func (p *Process) Metric(ctx context.Context, path, name string) (greatest float64, ok bool) {
	if path == "" || name == "" {
		return 0, false
	}
	answer, err := get(ctx, "http://"+p.Address+path)
	if err != nil {
		return 0, false
	}
	defer func() { _ = answer.Body.Close() }() // read only
	for lines := bufio.NewScanner(io.LimitReader(answer.Body, 4<<20)); lines.Scan(); {
		rest, found := strings.CutPrefix(lines.Text(), name)
		if !found || rest == "" || rest[0] != '{' && rest[0] != ' ' {
			continue
		}
		value := rest[strings.LastIndexByte(rest, ' ')+1:]
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			greatest, ok = max(greatest, v), true
		}
	}
	return greatest, ok
}
