#!/usr/bin/env bash
# Puts the servers that the bench compares with into bin/peers, and says which it could not get. Nothing of the system is
# installed, started or changed: Debian's packages are only unpacked. SOCKUDO=no leaves out the one that takes half an hour.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$PWD/bin/peers
build=$out/.build
log=$build/log
mkdir -p "$build"
: >"$log"
sockudo=5.2.0
table=()

# get NAME FUNCTION runs the function; the last line it prints is the version, or, if it fails, the reason.
get() {
  local said word=got
  said=$("$2" 2>>"$log") || word='could not get'
  said=$(tail -n 1 <<<"$said")
  if [ "$word" != got ] && [ -z "$said" ]; then said=$(grep -v '^ *$' "$log" | tail -n 1); fi
  table+=("$(printf '%-14s %-13s %s' "$1" "$word" "$said")")
}

floor() {
  command -v cc >/dev/null || { echo "no C compiler" && return 1; }
  cc -O2 -pthread -o "$out/floor" bench/floor/floor.c && echo "ours, $(cc -dumpfullversion -dumpversion)"
}

# library NAME MODULE builds our server on a library, in the version that its go.mod pins.
library() {
  (cd bench/peer && CGO_ENABLED=0 go build -trimpath -o "$out/$1" "./$1" && go list -m -f '{{.Version}}' "$2")
}
gws() { library gws github.com/lxzan/gws; }
gorilla() { library gorilla github.com/gorilla/websocket; }
nbio() { library nbio github.com/lesismal/nbio; }

# unpack FOLDER PACKAGE... unpacks Debian packages.
unpack() {
  local folder=$1 package
  shift
  command -v apt-get >/dev/null || { echo "apt-get is not here" && return 1; }
  rm -rf "$folder" && mkdir -p "$folder"
  (
    cd "$folder"
    apt-get download -qq "$@" >&2 || { apt-get update -qq >&2 && apt-get download -qq "$@" >&2; } || { echo "apt-get download $*: failed" && exit 1; }
    for package in ./*.deb; do dpkg -x "$package" .; done
  )
}

# nchan's folder for large messages is compiled in; a name of the same length is relative to the folder that nginx is given.
nchan() {
  unpack "$build/nchan" nginx libnginx-mod-nchan || return 1
  mkdir -p "$out/nchan"
  cp "$build/nchan/usr/sbin/nginx" "$out/nchan/nginx"
  sed 's|/var/lib/nginx/body|nchan_message_files|' "$build/nchan/usr/lib/nginx/modules/ngx_nchan_module.so" >"$out/nchan/nchan.so"
  "$out/nchan/nginx" -v >&2 || { echo "nginx does not run here: $(ldd "$out/nchan/nginx" | grep 'not found' | tr -s '\n\t ' ' ')" && return 1; }
  (cd "$build/nchan" && echo ./*nchan*.deb | sed 's/.*nchan_\(1%3a\)\?\([^_]*\)_.*/\2/')
}

# sockudo is built without telemetry, which it would spend time on, and needs protoc and its files. What was compiled stays, so
# that a second run goes on where the first was stopped after 40 minutes.
sockudo() {
  local has
  has=$("$out/sockudo" --version 2>/dev/null) && [ "${has##* }" = "$sockudo" ] && echo "$sockudo, was here" && return
  [ "${SOCKUDO:-yes}" != no ] || { echo "left out by SOCKUDO=no" && return 1; }
  command -v cargo >/dev/null || { echo "cargo is not here" && return 1; }
  [ -x "$build/protoc/usr/bin/protoc" ] || unpack "$build/protoc" protobuf-compiler libprotoc32 libprotobuf32 libprotobuf-dev || return 1
  printf '#!/bin/sh\nLD_LIBRARY_PATH=%s exec %s "$@"\n' "$(dirname "$(ls "$build"/protoc/usr/lib/*/libprotoc.so.*.0)")" \
    "$build/protoc/usr/bin/protoc" >"$build/protoc.sh"
  chmod +x "$build/protoc.sh"
  PROTOC=$build/protoc.sh PROTOC_INCLUDE=$build/protoc/usr/include CARGO_TARGET_DIR=$build/sockudo timeout 40m nice -n 19 \
    cargo install sockudo --version "$sockudo" --locked --no-default-features --features local,v2 -j1 --root "$build/root" >&2 ||
    { [ $? -eq 124 ] && echo "not built within 40 minutes; the next run goes on" || grep '^error' "$log" | tail -n 1 && return 1; }
  cp "$build/root/bin/sockudo" "$out/sockudo" && echo "$sockudo"
}

uwebsockets() { echo "its author publishes it to no registry" && return 1; }
soketi() { echo "the registry has it, but it wants uWebSockets.js from a git address" && return 1; }

get floor floor
get gws gws
get gorilla gorilla
get nbio nbio
get nchan nchan
get sockudo sockudo
get uWebSockets uwebsockets
get soketi soketi
printf '%s\n' "${table[@]}"
echo "Not tried: Centrifugo, notiflux, Castify, wsify. What was recorded once of all of them is in bench/target/recorded.go."
echo "What the tools said: $log"
