#!/usr/bin/env bash
# Makes edge-aggregator_<version>+deb<release>_<arch>.deb: build.sh OUTPUT_FOLDER PROGRAM [RELEASE ARCH CROSS_FOLDER]
#
# PROGRAM is the daemon, built with --static-swift-stdlib, for this machine's release of Debian and processor; with RELEASE, ARCH and
# CROSS_FOLDER for those (scripts/cross/build.sh). The file is the same to the bit for the same program and SOURCE_DATE_EPOCH, which
# is the time of the newest commit if nothing else is set.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
fail() { echo "deb: $2" >&2; exit "$1"; }
output=$1 program=$2 release=${3:-} arch=${4:-} cross=${5:-}
for tool in dpkg-deb dpkg-shlibdeps strip readelf; do
    command -v $tool >/dev/null || fail 69 "$tool is missing: apt-get install dpkg-dev binutils"
done
[ -x "$program" ] || fail 69 "$program is not there; \`make deb\` builds it first"
if readelf -d "$program" | grep -q 'NEEDED.*libswiftCore'; then
    fail 65 "$program needs Swift's shared library, which Debian has not; build it with --static-swift-stdlib"
fi
if [ -n "$cross" ]; then
    case "$release" in bookworm) number=12 ;; trixie) number=13 ;; *) fail 64 "RELEASE is \"$release\"; it must be bookworm or trixie" ;; esac
else
    arch=$(dpkg --print-architecture)
    number=$(. /etc/os-release && echo "${VERSION_ID:-}")
    number=${number%%.*}
fi
# What ELF calls the processor (gABI, e_machine), as readelf says it.
case "$arch" in arm64) machine=AArch64 ;; amd64) machine=X86-64 ;; *) machine= ;; esac
if [ -n "$machine" ] && ! readelf -h "$program" | grep -q "Machine:.*$machine"; then
    fail 65 "$program is not a program for $arch: $(readelf -h "$program" | sed -n 's/ *Machine: *//p')"
fi
version=$(sed -n 's/.*static let text = "\(.*\)".*/\1/p' "$root/Sources/EdgeAggregator/API/Version.swift")+deb$number
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$root" log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH
umask 022
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tree=$work/tree
install -D -m 0755 "$program" "$tree/usr/bin/edge-aggregator"
# A cross-built program is stripped already; this machine's strip does not know the format.
[ -n "$cross" ] || strip --strip-unneeded "$tree/usr/bin/edge-aggregator"
install -D -m 0755 "$root/scripts/fetch-models.sh" "$tree/usr/lib/edge-aggregator/fetch-models"
install -D -m 0644 "$here/../systemd/edge-aggregator.service" "$tree/lib/systemd/system/edge-aggregator.service"
install -D -m 0644 "$here/../systemd/edge-aggregator.sysusers" "$tree/usr/lib/sysusers.d/edge-aggregator.conf"
install -D -m 0644 "$here/../systemd/edge-aggregator.rules" "$tree/lib/udev/rules.d/60-edge-aggregator.rules"
install -D -m 0644 "$here/settings.yaml" "$tree/etc/edge-aggregator/settings.yaml"
install -d -m 0700 "$tree/etc/edge-aggregator/secrets"
install -d "$tree/usr/share/doc/edge-aggregator"
install -m 0644 "$root"/docs/*.md "$root/README.md" "$root/CHANGELOG.md" "$root/NOTICE" "$tree/usr/share/doc/edge-aggregator/"
cat >"$tree/usr/share/doc/edge-aggregator/copyright" <<TEXT
Edge Aggregator: Apache License 2.0 (/usr/share/common-licenses/Apache-2.0). NOTICE, beside this file, names what is linked in.
The BirdNET model is not part of this package; it has a licence of its own (CC BY-NC-SA 4.0).
The Swift runtime and libraries, linked into the program: Apache License 2.0 with Runtime Library Exception.
TEXT
# Which packages have the libraries that the program needs.
if [ -n "$cross" ]; then
    depends=$("$root/scripts/cross/shlibdeps.sh" "$release" "$arch" "$cross" "$tree/usr/bin/edge-aggregator") || exit
else
    mkdir -p "$work/debian"
    printf 'Source: edge-aggregator\n\nPackage: edge-aggregator\nArchitecture: any\n' >"$work/debian/control"
    depends=$(cd "$work" && dpkg-shlibdeps -O "$tree/usr/bin/edge-aggregator" 2>"$work/shlibdeps.log" | sed -n 's/^shlibs:Depends=//p')
    [ -n "$depends" ] || cat "$work/shlibdeps.log" >&2
fi
[ -n "$depends" ] || fail 1 "the packages that the program needs could not be found out"
# In KiB, as deb-substvars(5) says: each file rounded up, and one for each folder. `du` would tell this disk's blocks.
size=$(find "$tree" \( -type f -printf '%s\n' \) -o -printf '0\n' | awk '{ kib += $1 > 0 ? int(($1 + 1023) / 1024) : 1 } END { print kib }')
mkdir -p "$tree/DEBIAN"
sed -e "s/@VERSION@/$version/" -e "s/@ARCH@/$arch/" -e "s/@DEPENDS@/$depends/" -e "s/@SIZE@/$size/" "$here/control.in" >"$tree/DEBIAN/control"
echo /etc/edge-aggregator/settings.yaml >"$tree/DEBIAN/conffiles"
for script in postinst prerm postrm; do install -m 0755 "$here/$script" "$tree/DEBIAN/$script"; done
mkdir -p "$output"
package=$output/edge-aggregator_${version}_$arch.deb
# One thread, so that the compressed blocks are the same on every machine.
dpkg-deb --root-owner-group --threads-max=1 -Zxz -z2 --build "$tree" "$package" >/dev/null
echo "$package"
