#!/usr/bin/env bash
# Makes edge-aggregator_<version>_<arch>.deb out of the release build, on the machine's own architecture.
#
# Usage: build.sh OUTPUT_FOLDER [PROGRAM]
# PROGRAM is the daemon, built with --static-swift-stdlib; by default the release build's.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
output=$1
program=${2:-$root/.build/release/edge-aggregator}
for tool in dpkg-deb dpkg-shlibdeps strip; do
    command -v $tool >/dev/null || { echo "deb: $tool is missing: apt-get install dpkg-dev binutils" >&2; exit 69; }
done
if [ ! -x "$program" ]; then
    echo "deb: $program is not there; \`make deb\` builds it first" >&2
    exit 69
fi
if ldd "$program" | grep -q libswiftCore; then
    echo "deb: $program needs Swift's shared library, which Debian has not; build it with --static-swift-stdlib" >&2
    exit 65
fi
version=$(sed -n 's/.*static let text = "\(.*\)".*/\1/p' "$root/Sources/EdgeAggregator/API/Version.swift")
arch=$(dpkg --print-architecture)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tree=$work/tree
install -D -m 0755 "$program" "$tree/usr/bin/edge-aggregator"
strip --strip-unneeded "$tree/usr/bin/edge-aggregator"
install -D -m 0755 "$root/scripts/fetch-models.sh" "$tree/usr/lib/edge-aggregator/fetch-models"
install -D -m 0644 "$here/../systemd/edge-aggregator.service" "$tree/lib/systemd/system/edge-aggregator.service"
install -D -m 0644 "$here/../systemd/edge-aggregator.sysusers" "$tree/usr/lib/sysusers.d/edge-aggregator.conf"
install -D -m 0644 "$here/../systemd/edge-aggregator.rules" "$tree/lib/udev/rules.d/60-edge-aggregator.rules"
install -D -m 0644 "$here/settings.yaml" "$tree/etc/edge-aggregator/settings.yaml"
install -d -m 0700 "$tree/etc/edge-aggregator/secrets"
install -d "$tree/usr/share/doc/edge-aggregator"
install -m 0644 "$root"/docs/*.md "$root/README.md" "$tree/usr/share/doc/edge-aggregator/"
cat >"$tree/usr/share/doc/edge-aggregator/copyright" <<TEXT
The BirdNET model is not part of this package; it has a licence of its own (CC BY-NC-SA 4.0).
The Swift runtime and libraries, linked into the program: Apache License 2.0 with Runtime Library Exception.
TEXT
# Which packages have the libraries that the program needs.
mkdir -p "$work/debian"
printf 'Source: edge-aggregator\n\nPackage: edge-aggregator\nArchitecture: any\n' >"$work/debian/control"
depends=$(cd "$work" && dpkg-shlibdeps -O "$tree/usr/bin/edge-aggregator" 2>"$work/shlibdeps.log" | sed -n 's/^shlibs:Depends=//p')
if [ -z "$depends" ]; then
    cat "$work/shlibdeps.log" >&2
    echo "deb: the packages that the program needs could not be found out" >&2
    exit 1
fi
size=$(du -sk "$tree" | cut -f1)
mkdir -p "$tree/DEBIAN"
sed -e "s/@VERSION@/$version/" -e "s/@ARCH@/$arch/" -e "s/@DEPENDS@/$depends/" -e "s/@SIZE@/$size/" "$here/control.in" >"$tree/DEBIAN/control"
echo /etc/edge-aggregator/settings.yaml >"$tree/DEBIAN/conffiles"
for script in postinst prerm postrm; do install -m 0755 "$here/$script" "$tree/DEBIAN/$script"; done
mkdir -p "$output"
package=$output/edge-aggregator_${version}_$arch.deb
dpkg-deb --root-owner-group -Zxz -z2 --build "$tree" "$package" >/dev/null
echo "$package"
