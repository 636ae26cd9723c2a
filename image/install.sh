#!/usr/bin/env bash
# `make install`: the program, its unit and its settings on this machine, without the Debian package: install.sh PROGRAM
#
# Environment:
#   PREFIX    where the program goes: PREFIX/bin/edge-aggregator (/usr/local)
#   DESTDIR   a folder in place of /, for packages of other systems. Outside of it nothing is changed, and no user is made
#
# Unit, udev rules and the list of users go to /etc, which every version of systemd reads. Settings that are there stay as they are.
# Run again, it replaces the program; `systemctl restart edge-aggregator` then starts the new one.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/.." && pwd)
fail() { echo "install: $2" >&2; exit "$1"; }
program=${1:?install: name the program}
prefix=${PREFIX:-/usr/local} destination=${DESTDIR:-}
[ -x "$program" ] || fail 69 "$program is not there; \`make build\` builds it first"
case "$prefix" in /*) ;; *) fail 64 "PREFIX is \"$prefix\"; it must begin with /" ;; esac
if [ -z "$destination" ]; then
    [ "$(id -u)" -eq 0 ] || fail 77 "run as root (sudo make install), or with DESTDIR=FOLDER"
    if dpkg-query -W -f='${Status}' edge-aggregator 2>/dev/null | grep -q 'install ok installed'; then
        fail 73 "the Debian package is installed, and its unit would be hidden by this one; remove it first: apt remove edge-aggregator"
    fi
    missing=$(ldd "$program" 2>/dev/null | sed -n 's/^[[:space:]]*\([^ ]*\) => not found$/\1/p' | tr '\n' ' ')
    [ -z "$missing" ] || fail 69 "libraries are missing: $missing(docs/package.md names Debian's packages)"
fi
umask 022
# The texts name the places of the Debian package.
place() { # mode, text, file
    mkdir -p "$destination$(dirname "$3")"
    sed -e "s|/usr/bin/edge-aggregator|$prefix/bin/edge-aggregator|g" -e "s|/usr/lib/edge-aggregator|$prefix/lib/edge-aggregator|g" \
        -e "s|/usr/share/doc/edge-aggregator|$prefix/share/doc/edge-aggregator|g" "$2" >"$destination$3.new"
    chmod "$1" "$destination$3.new"
    mv "$destination$3.new" "$destination$3"
}
install -D -m 0755 "$program" "$destination$prefix/bin/edge-aggregator"
install -D -m 0755 "$root/scripts/fetch-models.sh" "$destination$prefix/lib/edge-aggregator/fetch-models"
install -d "$destination$prefix/share/doc/edge-aggregator"
install -m 0644 "$root"/docs/*.md "$root/README.md" "$root/CHANGELOG.md" "$root/NOTICE" "$root/LICENSE" "$destination$prefix/share/doc/edge-aggregator/"
place 0644 "$here/systemd/edge-aggregator.service" /etc/systemd/system/edge-aggregator.service
place 0644 "$here/systemd/edge-aggregator.sysusers" /etc/sysusers.d/edge-aggregator.conf
place 0644 "$here/systemd/edge-aggregator.rules" /etc/udev/rules.d/60-edge-aggregator.rules
install -d "$destination/etc/edge-aggregator"
install -d -m 0700 "$destination/etc/edge-aggregator/secrets"
if [ -e "$destination/etc/edge-aggregator/settings.yaml" ]; then
    echo "install: /etc/edge-aggregator/settings.yaml was there and stays as it is"
else
    place 0644 "$here/deb/settings.yaml" /etc/edge-aggregator/settings.yaml
fi
[ -z "$destination" ] || { echo "install: below $destination"; exit 0; }

if command -v systemd-sysusers >/dev/null; then
    systemd-sysusers /etc/sysusers.d/edge-aggregator.conf
else
    for group in i2c gpio audio dialout; do getent group $group >/dev/null || groupadd --system $group; done
    getent passwd edge-aggregator >/dev/null ||
        useradd --system --user-group --no-create-home --home-dir /var/lib/edge-aggregator --shell /usr/sbin/nologin edge-aggregator
fi
if [ -d /run/systemd/system ]; then
    if command -v udevadm >/dev/null; then
        udevadm control --reload || true
        udevadm trigger --action=change --subsystem-match=gpio --subsystem-match=i2c-dev || true
    fi
    systemctl daemon-reload
    echo "install: done. Next: systemctl enable --now edge-aggregator (or restart, if it runs already)"
else
    echo "install: done. There is no systemd here; start it with: CONFIG_PATH=/etc/edge-aggregator/settings.yaml $prefix/bin/edge-aggregator run"
fi
