package report

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"fanfare/bench/result"
)

var (
	sampleSVGs     = map[string]string{"memory": "curves/idle memory.svg", "cost": "curves/cost(1).svg"}
	sampleRecorded = Recorded{"Centrifugo PRO 6", "RSS per idle connection", "11.6 KB", "16 vCPU", "centrifugal.dev, blog of 2026-08-17"}
)

var update = flag.Bool("update", false, "write the files of testdata")

// golden compares with a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not as it was; go test ./bench/report -update writes it anew. Now:\n%s", path, got)
	}
}

func rendered(t *testing.T, r *result.Report, svgs map[string]string, recorded ...Recorded) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Markdown(&b, r, svgs, recorded...); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func written(t *testing.T, r *result.Report, base string) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := WriteRatios(&b, r, base); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func tooDear() *result.Report {
	r := sample()
	r.Runs[0].Floor.Ratio = 1.42
	return r
}

func TestGoldenMarkdown(t *testing.T) {
	golden(t, "report.md", rendered(t, sample(), sampleSVGs, sampleRecorded))
	golden(t, "invalid.md", rendered(t, tooDear(), nil))
	golden(t, "hostile.md", rendered(t, hostileReport(), map[string]string{hostile: hostile}, Recorded{hostile, hostile, hostile, hostile, hostile}))
	golden(t, "empty.md", rendered(t, &result.Report{}, nil))
}

func TestGoldenRatios(t *testing.T) {
	golden(t, "floor.txt", written(t, sample(), Floor))
	golden(t, "fanfare.txt", written(t, sample(), Ours))
	golden(t, "invalid.txt", written(t, tooDear(), Floor))
	golden(t, "hostile.txt", written(t, hostileReport(), hostile))
}

func TestGoldenCharts(t *testing.T) {
	charts := Charts(sample())
	names := make([]string, 0, len(charts))
	for _, c := range charts {
		names = append(names, c.Name)
		golden(t, c.Name+".svg", drawn(t, c))
	}
	files, err := filepath.Glob("testdata/*.svg")
	if err != nil || len(files) != len(names) {
		t.Errorf("charts %v, but files %v, %v", names, files, err)
	}
}

func drawn(t *testing.T, c Chart) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := SVG(&b, c); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
