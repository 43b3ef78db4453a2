package report

import (
	"io"
	"strings"
)

// printer writes until the first error and keeps it.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) print(parts ...string) {
	if p.err == nil {
		_, p.err = io.WriteString(p.w, strings.Join(parts, ""))
	}
}

// row writes one row of a Markdown table.
func (p *printer) row(cells []string) { p.print("| ", strings.Join(cells, " | "), " |\n") }
