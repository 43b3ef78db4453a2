package main

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"github.com/goccy/go-yaml" // keeps line and column of every node; gopkg.in/yaml.v3 is archived
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"fanfare/proto"
)

// origin is where a setting's value comes from, by precedence.
type origin uint8

const (
	byDefault origin = iota
	byFile
	byVariable
	byFlag
)

// source is an origin and its place: the flag, the variable, or the file's line.
type source struct {
	origin origin
	place  string
}

func (s source) String() string {
	switch s.origin {
	case byFlag:
		return "flag " + s.place
	case byVariable:
		return "env " + s.place
	case byFile:
		return "file " + s.place
	case byDefault:
	}
	return "default"
}

// sources tells, by the name of a flag, where its value comes from; what is not in it has its default.
type sources map[string]source

// place names a setting where its value stands: the line of the settings file, else flag and variable.
func (from sources) place(flag string) string {
	if from[flag].origin == byFile {
		return from[flag].place + ": " + flag
	}
	return fmt.Sprintf("--%s (FANFARE_%s)", flag, strings.ToUpper(strings.ReplaceAll(flag, "-", "_")))
}

// configFlag names the settings file; it is the one setting that the file cannot hold.
const configFlag = "config"

// fill gives the settings of the parsed command that neither flag nor variable has set their values from the settings file, if
// one is named, and tells the source of each.
func fill(parsed *kong.Context, bad **settingError) (sources, error) {
	from := sources{}
	given := map[string]bool{}
	for _, path := range parsed.Path {
		if path.Flag != nil {
			given[path.Flag.Name] = true
		}
	}
	flags := settingsOf(parsed.Selected())
	file := ""
	for _, flag := range flags {
		if _, ok := os.LookupEnv(flag.Envs[0]); ok {
			from[flag.Name] = source{byVariable, flag.Envs[0]}
		}
		if given[flag.Name] {
			from[flag.Name] = source{byFlag, "--" + flag.Name}
		}
		if flag.Name == configFlag {
			file = flag.Target.String()
		}
	}
	if file == "" {
		return from, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, &settingError{"--config (FANFARE_CONFIG)", fmt.Sprintf("%q cannot be read: %v", file, errors.Unwrap(err))}
	}
	r := fileReader{file: file, flags: flags, from: from, bad: bad}
	return from, r.read(text)
}

// settingsOf gives the flags of a command that are settings of the server.
func settingsOf(command *kong.Node) (flags []*kong.Flag) {
	if command == nil {
		return nil
	}
	for _, flag := range command.Flags {
		if flag.Group != nil && len(flag.Envs) == 1 {
			flags = append(flags, flag)
		}
	}
	return flags
}

// fileReader reads one settings file: a YAML mapping whose keys are the names of flags.
type fileReader struct {
	file  string
	flags []*kong.Flag
	from  sources
	bad   **settingError // what the mappers of values leave
}

// read gives the settings their values. Every entry is read, so that all that is wrong is told at once.
func (r *fileReader) read(text []byte) (err error) {
	defer func() {
		if v := recover(); v != nil { // a reload must not end the server, whatever the YAML reader meets
			err = &settingError{r.file, fmt.Sprintf("this is not YAML: %v", v)}
		}
	}()
	parsed, err := parser.ParseBytes(text, 0)
	if syntax, ok := errors.AsType[yaml.Error](err); ok {
		return r.wrong(syntax.GetToken(), "", syntax.GetMessage())
	}
	if err != nil {
		return &settingError{r.file, err.Error()}
	}
	if len(parsed.Docs) > 1 {
		return r.wrong(parsed.Docs[1].Start, "", "a second document begins here; a settings file has one")
	}
	var entries []*ast.MappingValueNode
	switch body := parsed.Docs[0].Body.(type) {
	case nil:
	case *ast.MappingNode:
		entries = body.Values
	case *ast.MappingValueNode:
		entries = []*ast.MappingValueNode{body}
	default:
		return r.wrong(body.GetToken(), "", "this is no mapping of settings, such as max-batch: 1000")
	}
	var problems []error
	for _, entry := range entries {
		problems = append(problems, r.entry(entry))
	}
	return errors.Join(problems...)
}

// entry reads one key and its value.
func (r *fileReader) entry(entry *ast.MappingValueNode) error {
	key := entry.Key.GetToken()
	i := slices.IndexFunc(r.flags, func(flag *kong.Flag) bool { return flag.Name == key.Value && flag.Name != configFlag })
	if i < 0 {
		return r.wrong(key, "", r.unknown(key.Value))
	}
	flag := r.flags[i]
	values := []ast.Node{entry.Value}
	if list, ok := entry.Value.(*ast.SequenceNode); ok {
		if values = list.Values; !isList(flag) || len(values) == 0 {
			return r.wrong(list.GetToken(), flag.Name, "this takes "+wants(flag))
		}
	}
	target := flag.Target
	if r.from[flag.Name].origin > byFile {
		target = reflect.New(target.Type()).Elem() // a value that does not count must still be one
	} else {
		r.from[flag.Name] = source{byFile, fmt.Sprintf("%s:%d", r.file, key.Position.Line)}
	}
	target.SetZero()
	for _, value := range values {
		text, ok := scalar(value)
		if !ok || flag.IsBool() && value.Type() != ast.BoolType {
			return r.wrong(value.GetToken(), flag.Name, fmt.Sprintf("%.40q is not %s", value.String(), wants(flag)))
		}
		*r.bad = nil
		if err := flag.Parse(kong.ScanFromTokens(kong.Token{Type: kong.FlagValueToken, Value: text}), target); err != nil {
			problem := err.Error()
			if *r.bad != nil {
				problem = (*r.bad).problem
			}
			return r.wrong(value.GetToken(), flag.Name, problem)
		}
	}
	return nil
}

// wrong is the error of a place in the file.
func (r *fileReader) wrong(at *token.Token, setting, problem string) error {
	place := r.file
	if at != nil && at.Position != nil {
		place += fmt.Sprintf(":%d:%d", at.Position.Line, at.Position.Column)
	}
	if setting != "" {
		place += ": " + setting
	}
	return &settingError{place, problem}
}

func (r *fileReader) unknown(key string) string {
	if key == configFlag {
		return "\"config\" names this file and cannot stand in it"
	}
	names := make([]string, 0, len(r.flags))
	for _, flag := range r.flags {
		if flag.Name != configFlag {
			names = append(names, flag.Name)
		}
	}
	near, distance := nearest(key, names)
	if distance <= max(2, len(key)/3) {
		return fmt.Sprintf("unknown setting %q, did you mean %q?", key, near)
	}
	return fmt.Sprintf("unknown setting %q; the nearest is %q, 'fanfare config example' shows all", key, near)
}

// scalar is a value's text as it is written, without quotes.
func scalar(value ast.Node) (text string, ok bool) {
	switch v := value.(type) {
	case *ast.StringNode:
		return v.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return v.GetToken().Value, true
	}
	return "", false // nothing, a mapping, an anchor, a tag
}

func isList(flag *kong.Flag) bool { return flag.Target.Kind() == reflect.Slice }

// wants says in a few words what a setting takes.
func wants(flag *kong.Flag) string {
	least, most := flag.Tag.Get("min"), flag.Tag.Get("max")
	if least == "" {
		least = "0"
	}
	switch {
	case isList(flag):
		return "one value or a list of them"
	case flag.IsBool():
		return "true or false"
	case flag.Tag.Get("oneof") != "":
		return "one of " + strings.ReplaceAll(flag.Tag.Get("oneof"), " ", ", ")
	case most != "":
		return "one value from " + least + " to " + most
	}
	return "one text"
}

// nearest is the name with the least edit distance to word.
func nearest(word string, names []string) (name string, distance int) {
	distance = -1
	for _, n := range names {
		if d := proto.Edits(word, n); distance < 0 || d < distance {
			name, distance = n, d
		}
	}
	return name, distance
}

// textOf is a setting's value as a flag, or an item of the list, would take it; an empty list is a setting that is not set.
func textOf(flag *kong.Flag) []string {
	v := flag.Target
	if v.Kind() != reflect.Slice {
		return []string{text(v)}
	}
	items := make([]string, 0, v.Len())
	for i := range v.Len() {
		items = append(items, text(v.Index(i)))
	}
	return items
}

func text(v reflect.Value) string {
	s := fmt.Sprint(v.Interface())
	if v.Type() == reflect.TypeFor[time.Duration]() {
		if short, ok := strings.CutSuffix(s, "m0s"); ok { // 1m0s is 1m
			s = short + "m"
		}
		if short, ok := strings.CutSuffix(s, "h0m"); ok {
			s = short + "h"
		}
	}
	return s
}

const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

// quoted is a text as YAML takes it back.
func quoted(s string) string {
	odd := strings.ContainsFunc(s, func(c rune) bool { return !strings.ContainsRune(letters+"/.-_=:", c) })
	if s == "" || odd || !strings.Contains(letters+"/", s[:1]) || strings.HasSuffix(s, ":") {
		return strconv.Quote(s)
	}
	return s
}
