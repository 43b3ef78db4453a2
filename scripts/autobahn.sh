#!/usr/bin/env bash
# The Autobahn WebSocket cases against the production reader and writer. KOSOKU names the case runner; without it one is
# installed into a folder that goes again.
set -euo pipefail
KOSOKU=${KOSOKU:-$(command -v kosoku || true)}
if [ -z "$KOSOKU" ]; then
  venv=$(mktemp -d)
  trap 'rm -rf "$venv"' EXIT
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check kosoku==0.1.0
  KOSOKU=$venv/bin/kosoku
fi
export KOSOKU
go test -count=1 -v -timeout=15m -tags autobahn -run '^TestAutobahn' ./loop/
