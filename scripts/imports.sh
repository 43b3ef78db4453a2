#!/usr/bin/env bash
# Every package may import only packages of a lower rank: cmd -> proto/<dialect> -> proto -> {loop, fanout} -> leaves.
set -euo pipefail
edges=$(go list -f '{{$p := .ImportPath}}{{range .Imports}}{{$p}} {{.}}{{"\n"}}{{end}}' ./...)
awk -v m=fanfare/ '
function rank(p) {
  sub(m, "", p)
  if (p ~ /^cmd/) return 9
  if (p ~ /^proto\/[a-z]+$/ && p !~ /proto\/(auth|app|hook|limit|cache|prototest)$/) return 7
  if (p ~ /^proto\/(app|hook)\/[a-z]+$/) return 6
  if (p == "proto") return 6
  if (p ~ /^proto\//) return 2
  if (p ~ /^(fanout|loop)\//) return p ~ /bus$/ ? 4 : 1
  if (p == "fanout" || p == "loop") return 3
  if (p ~ /^bench\/(result|target)$/) return 0
  if (p ~ /^bench\//) return 1
  if (p ~ /^bench$/) return 5
  return 0
}
index($2, m) == 1 && rank($1) <= rank($2) { print "back edge:", $1, "->", $2; bad = 1 }
END { exit bad }' <<<"$edges"
