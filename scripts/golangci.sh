#!/usr/bin/env bash
# The golangci-lint this project is checked with: `golangci.sh ARGS...` runs it, `--path` prints where it is, `--install` brings it.
set -euo pipefail
want=2.15.0
found() {
  local tool
  for tool in "$(command -v golangci-lint || true)" "$(go env GOPATH)/bin/golangci-lint"; do
    if [ -x "$tool" ] && [ "$("$tool" version --short 2>/dev/null)" = "$want" ]; then echo "$tool" && return; fi
  done
  return 1
}
case "${1:-}" in
--path) found ;;
--install) found || { go install "github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v$want" && found; } ;;
*)
  tool=$(found) || { echo "golangci-lint v$want is not here; 'scripts/golangci.sh --install' builds it (5 minutes on two cores)" >&2 && exit 1; }
  exec "$tool" "$@"
  ;;
esac
