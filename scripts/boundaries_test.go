//go:build boundaries

package scripts

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// services are the modules that only folders named for them may import, with a version their path allows.
var services = map[string]string{
	"github.com/cloudwego/netpoll":   "v0.1.0",
	"github.com/goccy/go-json":       "v0.1.0",
	"github.com/nats-io/nats.go":     "v1.0.0",
	"github.com/redis/go-redis/v9":   "v9.0.0",
	"github.com/aws/aws-sdk-go-v2":   "v1.0.0",
	"github.com/go-sql-driver/mysql": "v1.0.0",
	"github.com/jackc/pgx/v5":        "v5.0.0",
}

// boundary says what files in one folder must not and may import.
type boundary struct{ never, may []string }

func boundaries() map[string]boundary {
	const netpoll, goccy = "github.com/cloudwego/netpoll", "github.com/goccy/go-json"
	const nats, redis, aws = "github.com/nats-io/nats.go", "github.com/redis/go-redis/v9", "github.com/aws/aws-sdk-go-v2"
	const mysql, pgx = "github.com/go-sql-driver/mysql", "github.com/jackc/pgx/v5"
	clients := []string{nats, redis, aws}
	drivers := []string{mysql, pgx}
	deaf := []string{"fanfare/proto", "fanfare/proto/native", "encoding/json", goccy} // neither meaning nor JSON
	outside := slices.Concat(clients, drivers)
	without := func(list []string, one string) []string {
		return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s == one })
	}
	client := func(own string, never ...string) boundary {
		return boundary{never: slices.Concat(without(outside, own), never), may: []string{own}}
	}
	upper := []string{"fanfare/loop", "fanfare/fanout", "fanfare/proto"}
	all := map[string]boundary{
		"loop":            {never: slices.Concat(deaf, outside, []string{"fanfare/fanout"}), may: []string{netpoll, "fanfare/loop/ws"}},
		"loop/ws":         {never: slices.Concat(deaf, clients, []string{"fanfare/fanout", netpoll})},
		"fanout":          {never: slices.Concat(deaf, outside, []string{"fanfare/loop", "fanfare/loop/ws", netpoll})},
		"fanout/natsbus":  client(nats, slices.Concat(deaf, []string{"fanfare/loop"})...),
		"fanout/redisbus": client(redis, slices.Concat(deaf, []string{"fanfare/loop"})...),
		"proto":           {never: slices.Concat(outside, []string{netpoll}), may: []string{"fanfare/loop", "fanfare/fanout", "fanfare/proto/auth", goccy}},
		"bench":           {never: []string{"fanfare/loop", "fanfare/fanout", "fanfare/proto", "fanfare/cmd/fanfare", netpoll}},
		"cmd/fanfare":     {never: slices.Concat(clients, []string{netpoll}), may: slices.Concat(drivers, upper, []string{"fanfare/proto/native"})},

		"proto/hook/redisq":       client(redis, upper...),
		"proto/hook/sqsq":         client(aws, upper...),
		"proto/hook/lambda":       client(aws, upper...),
		"proto/app/dynamo":        client(aws, upper...),
		"proto/limit/redislimit":  client(redis, upper...),
		"proto/cache/rediscache":  client(redis, upper...),
		"proto/unrelated/planted": {never: slices.Concat(outside, []string{netpoll})},
	}
	for _, leaf := range []string{"auth", "app", "hook", "limit", "cache"} {
		all["proto/"+leaf] = boundary{never: slices.Concat(upper, outside), may: []string{goccy}}
	}
	dialects := []string{"native", "castify", "notiflux", "wsify", "isimud", "pusher"}
	for _, dialect := range dialects {
		b := boundary{never: []string{"fanfare/loop", netpoll}, may: []string{"fanfare/proto", "fanfare/loop/ws", "fanfare/loop/http1", goccy}}
		for _, sibling := range without(dialects, dialect) {
			b.never = append(b.never, "fanfare/proto/"+sibling)
		}
		all["proto/"+dialect] = b
	}
	return all
}

// finding is what depguard says about one import.
type finding struct{ file, path, list string }

var said = regexp.MustCompile(`^import '([^']+)' is not allowed from list '([^']+)'`)

// depguard runs golangci-lint's depguard over the module in root with this repository's settings.
func depguard(t *testing.T, root string) (found []finding) {
	t.Helper()
	tool := os.Getenv("GOLANGCI_LINT")
	if tool == "" {
		t.Fatal("GOLANGCI_LINT does not name the tool: run 'scripts/golangci.sh --install', then 'make boundaries'")
	}
	config, err := filepath.Abs("../.golangci.yml")
	if err != nil {
		t.Fatal(err)
	}
	report := filepath.Join(t.TempDir(), "report.json")
	cmd := exec.CommandContext(t.Context(), tool, "run", "--config", config, "--enable-only", "depguard", "--allow-parallel-runners",
		"--max-same-issues", "0", "--max-issues-per-linter", "0", "--issues-exit-code", "0", "--output.json.path", report, "./...")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	b, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	var result struct {
		Issues []struct {
			FromLinter, Text string
			Pos              struct{ Filename string }
		}
	}
	if err := json.Unmarshal(b, &result); err != nil {
		t.Fatal(err)
	}
	for _, issue := range result.Issues {
		m := said.FindStringSubmatch(issue.Text)
		if m == nil {
			t.Fatalf("not a finding of depguard: %+v", issue)
		}
		found = append(found, finding{issue.Pos.Filename, m[1], m[2]})
	}
	return found
}

// plantImports builds a module in which folder imports each path, every path with a package to find.
func plantImports(t *testing.T, folder string, paths []string) (root string) {
	t.Helper()
	folders, files := []string{folder}, map[string]string{}
	var requires strings.Builder
	for module, version := range services {
		stub := "stubs/" + strings.ReplaceAll(module, "/", "_")
		fmt.Fprintf(&requires, "require %s %s\nreplace %s => ./%s\n", module, version, module, stub)
		files[stub+"/go.mod"] = "module " + module + "\n"
		files[stub+"/stub.go"] = "package stub\n"
	}
	files["go.mod"] = "module fanfare\n\ngo 1.26.0\n\n" + requires.String()
	for i, path := range paths {
		if own, ok := strings.CutPrefix(path, "fanfare/"); ok {
			folders = append(folders, own)
		}
		files[fmt.Sprintf("%s/planted%d.go", folder, i)] = importing(folder, path)
	}
	return plant(t, folders, files)
}

// TestBoundariesOfThisTree plants one offender in a copy of this tree, and that one alone must be found.
func TestBoundariesOfThisTree(t *testing.T) {
	root := t.TempDir()
	tree, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	copyTree := fmt.Sprintf("cd %q && tar -c --exclude=.git --exclude=bin . | tar -x -C %q", tree, root)
	if out, err := exec.CommandContext(t.Context(), "sh", "-c", copyTree).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	offender := filepath.Join("bench", "planted", "planted.go")
	if err := os.MkdirAll(filepath.Join(root, "bench", "planted"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, offender), []byte(importing("bench/planted", "fanfare/fanout")), 0o644); err != nil {
		t.Fatal(err)
	}
	caught := false
	for _, f := range depguard(t, root) {
		if strings.HasSuffix(f.file, offender) {
			caught = true
			continue
		}
		t.Errorf("%s imports %s against the rule %q", f.file, f.path, f.list)
	}
	if !caught {
		t.Errorf("%s imports fanfare/fanout and nothing says so", offender)
	}
}

func TestBoundariesFlagOffenders(t *testing.T) {
	hits := make(chan []finding, len(boundaries()))
	t.Run("folders", func(t *testing.T) {
		for folder, b := range boundaries() {
			t.Run(folder, func(t *testing.T) {
				t.Parallel()
				found := depguard(t, plantImports(t, folder, slices.Concat(b.never, b.may)))
				hits <- found
				for _, path := range b.never {
					if !slices.ContainsFunc(found, func(f finding) bool { return f.path == path }) {
						t.Errorf("%s imports %s and nothing says so", folder, path)
					}
				}
				for _, f := range found {
					if slices.Contains(b.may, f.path) {
						t.Errorf("%s may import %s, but the rule %q forbids it", folder, f.path, f.list)
					}
				}
			})
		}
	})
	close(hits)
	var all []finding
	for found := range hits {
		all = append(all, found...)
	}
	for _, d := range denials(t) {
		if !slices.ContainsFunc(all, func(f finding) bool { return f.list == d.list && strings.HasPrefix(f.path, d.path) }) {
			t.Errorf("no planted import was caught by the rule %q for %s: plant one in boundaries()", d.list, d.path)
		}
	}
}

// denials reads the rules of depguard from the settings: list and forbidden path.
func denials(t *testing.T) (all []finding) {
	t.Helper()
	b, err := os.ReadFile("../.golangci.yml")
	if err != nil {
		t.Fatal(err)
	}
	list := regexp.MustCompile(`(?m)^        ([a-z]+):$|^            - \{pkg: ([^,]+), desc: `)
	name := ""
	for _, m := range list.FindAllStringSubmatch(string(b), -1) {
		if m[1] != "" {
			name = m[1]
			continue
		}
		all = append(all, finding{list: name, path: strings.TrimSuffix(m[2], "$")})
	}
	if want := strings.Count(string(b), "{pkg: "); len(all) != want || want == 0 {
		t.Fatalf("read %d rules of %d", len(all), want)
	}
	return all
}
