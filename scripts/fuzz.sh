#!/usr/bin/env bash
# Every fuzz target that `go test -list` finds, FUZZTIME each (20s unless set). An input that fails stays in testdata/fuzz.
set -euo pipefail
listed=$(go test -list '^Fuzz' ./...)
targets=$(awk '/^Fuzz/ { names[++n] = $1 } /^ok/ { for (i = 1; i <= n; i++) print $2, names[i]; n = 0 }' <<<"$listed")
[ -n "$targets" ] || { echo "no fuzz target found" >&2 && exit 1; }
count=0
while read -r package name; do
  echo "--- $package $name"
  go test -run='^$' -fuzz="^$name\$" -fuzztime="${FUZZTIME:-20s}" -fuzzminimizetime=10x "$package" </dev/null
  count=$((count + 1))
done <<<"$targets"
echo "$count fuzz targets passed"
