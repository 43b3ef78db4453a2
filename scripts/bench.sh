#!/usr/bin/env bash
# The report of the README: every scenario at full size, the servers interleaved, into bench/results/NAME. It takes some
# forty minutes on an idle machine of two cores. ROUNDS=5 and SERVERS=… choose; NAME is the date. Figures of a loaded machine are worth nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${ROUNDS:-5}
servers=${SERVERS:-fanfare,gws,gorilla,nbio,nchan,floor}
curve=${CURVE:-fanfare,nbio,floor} # at several sizes
out=bench/results/${NAME:-$(date +%F)}
bench=bin/bench
go build -o "$bench" ./bench
mkdir -p "$out"
files=()

# run NAME ARGUMENT... plays one scenario and keeps its figures; one that fails is in the report as failed.
run() {
  local name=$1
  shift
  echo "== $name: $*"
  "$bench" "$@" --json "$out/$name.json" || echo "bench: $name: not all was measured" >&2
  [ -s "$out/$name.json" ] && files+=("$out/$name.json")
}

run connect compare --scenario connect --servers "$servers" --rounds "$rounds" --connections 15000
run idle compare --scenario idle --servers "$servers" --rounds "$rounds" --connections 15000 --idle 5s
run fanout compare --scenario fanout --generators 2 --servers "$servers" --rounds "$rounds" --connections 15000
run burst compare --scenario burst --generators 2 --servers "$servers" --rounds "$rounds" --connections 10000 --messages 3 --warmup 1
run topics-own compare --scenario topics --servers fanfare --rounds "$rounds" --connections 10000 --subscriptions 10 --topics 100000
run topics-shared compare --scenario topics --servers fanfare --rounds "$rounds" --connections 10000 --subscriptions 10 --topics 1000
for n in 2000 5000; do
  run "idle-$n" compare --scenario idle --servers "$curve" --rounds "$rounds" --connections "$n" --idle 2s
  run "fanout-$n" compare --scenario fanout --generators 2 --servers "$curve" --rounds "$rounds" --connections "$n" --no-bound
done
run slow compare --scenario slow --servers fanfare --rounds "$rounds" --connections 10000 --stopped 500
run slow-without compare --scenario slow --servers fanfare --rounds "$rounds" --connections 10000 --stopped 0
run churn compare --scenario churn --servers fanfare --rounds "$rounds" --connections 10000
run storm compare --scenario storm --servers fanfare,floor --rounds "$rounds" --connections 15000
[ -z "${MILLION:-}" ] || files+=("$MILLION")
"$bench" report "${files[@]}" --out "$out"
echo "$out/report.md"
