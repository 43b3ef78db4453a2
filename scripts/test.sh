#!/usr/bin/env bash
# Every test that this machine can run, then one line for each suite left out and how to get it. Needs only Go.
set -euo pipefail
left=()
flags=(-shuffle=on)
cc=$(go env CC)
if [ "$(go env CGO_ENABLED)" = 1 ] && command -v "${cc%% *}" >/dev/null; then
  flags+=(-race)
else
  left+=("race detector: no C compiler found; apt-get install gcc, then 'make race'")
fi
if GOLANGCI_LINT=$(scripts/golangci.sh --path); then
  export GOLANGCI_LINT
  flags+=(-tags boundaries)
else
  left+=("boundaries (import rules): golangci-lint is not here; 'scripts/golangci.sh --install', then 'make boundaries'")
fi
left+=(
  "fuzz (takes minutes): 'make fuzz'"
  "autobahn (WebSocket conformance): 'make autobahn', needs python3 with venv"
  "browser: 'make browser', needs chromium"
  "systemd (unit and installation): 'make systemd', needs systemd-analyze"
  "prometheus: 'make prometheus', needs prometheus and promtool"
  "bench (load harness): 'make benchtest', needs cc, strace and 'make peers'"
  "k6 (load scripts): 'make k6', needs k6"
  "faults: 'make faults', takes minutes, needs root, ip and nft"
  "reach (size and cost limits): 'make reach', takes minutes and an idle machine"
)
status=0
go test "${flags[@]}" "$@" ./... || status=$?
printf 'left out: %s\n' "${left[@]}"
exit "$status"
