#!/usr/bin/env bash
# `install.sh install` puts bin/fanfare, its units, the sysctls and the example settings below DESTDIR; `install.sh uninstall` takes
# them away again and leaves settings that were changed. PREFIX is /usr/local unless set.
set -euo pipefail
cd "$(dirname "$0")/.."
prefix=${PREFIX:-/usr/local}
root=${DESTDIR:-}
bin=$root$prefix/bin/fanfare
unit=$root$prefix/lib/systemd/system/fanfare.service
socket=$root$prefix/lib/systemd/system/fanfare.socket
sysctls=$root$prefix/lib/sysctl.d/90-fanfare.conf
example=$root$prefix/share/fanfare/fanfare.example.yaml
settings=$root/etc/fanfare/fanfare.yaml
case "${1:-}" in
install)
  install -D -m 0755 bin/fanfare "$bin"
  install -D -m 0644 scripts/90-fanfare.conf "$sysctls"
  install -D -m 0644 scripts/fanfare.example.yaml "$example"
  install -d "$(dirname "$unit")"
  sed "s|/usr/local/bin/|$prefix/bin/|" scripts/fanfare.service >"$unit"
  chmod 0644 "$unit"
  install -m 0644 scripts/fanfare.socket "$socket"
  [ -e "$settings" ] || install -D -m 0644 scripts/fanfare.example.yaml "$settings"
  [ -n "$root" ] || echo "now: systemctl daemon-reload && sysctl --system && systemctl enable --now fanfare"
  ;;
uninstall)
  ! cmp -s "$settings" "$example" || rm -f "$settings"
  rm -f "$bin" "$unit" "$socket" "$sysctls" "$example"
  rmdir --ignore-fail-on-non-empty "$(dirname "$example")" "$root/etc/fanfare" 2>/dev/null || true
  ;;
*) echo "install.sh install|uninstall" >&2 && exit 2 ;;
esac
