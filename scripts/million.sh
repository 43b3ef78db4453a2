#!/usr/bin/env bash
# A million connections, one subscription each: what the host says to it, then as many server processes as its limit of descriptors
# makes necessary. CONNECTIONS=, SERVERS=fanfare,floor and IDLE=60s choose.
set -euo pipefail
cd "$(dirname "$0")/.."
connections=${CONNECTIONS:-1000000}
servers=${SERVERS:-fanfare,floor}
out=bench/results/${NAME:-$(date +%F)}
bin/fanfare doctor --connections "$connections" --json || echo "million: as doctor says, so it takes several processes"
go build -o bin/bench ./bench
mkdir -p "$out"
bin/bench compare --scenario million --servers "$servers" --rounds 1 --connections "$connections" --idle "${IDLE:-60s}" --no-bound --json "$out/million.json"
