#!/usr/bin/env bash
# Bootstraps the packages of the card's root: base.sh ARCH OUTPUT.tar [PACKAGE...]
#
# BASE_RELEASE is bookworm (default) or trixie. BASE_PACKAGES names another list than the card's (image/container/build.sh); there is no
# kernel then. The result is kept as long as the list is the same, and for BASE_MOST_DAYS days (30): what is signed into an update has
# Debian's security fixes up to then.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
arch=$1
output=$2
shift 2
mapfile -t packages < <(sed 's/#.*//' "${BASE_PACKAGES:-$here/packages}" | grep -v '^[[:space:]]*$')
packages+=("$@")
hooks=()
if [ "$arch" = arm64 ] && [ -z "${BASE_PACKAGES:-}" ]; then
    packages+=(linux-image-arm64 busybox-static firmware-brcm80211 wireless-regdb)
    hooks+=("--customize-hook=$here/firmware.sh")
fi
# The card has a start of its own (initrd.sh): the usual one takes minutes to make where programs are emulated.
export INITRD=No
release=${BASE_RELEASE:-bookworm}
suites="$release $release-updates $release-security"
key=$({ printf '%s\n' "$arch" "$suites" "${packages[@]}"; if [ ${#hooks[@]} -gt 0 ]; then cat "$here/firmware.sh"; fi; } | sha256sum | cut -d' ' -f1)
if [ -f "$output" ] && [ -f "$output.started" ] && [ "$(cat "$output.key" 2>/dev/null)" = "$key" ] &&
    [ -z "$(find "$output" -mtime "+${BASE_MOST_DAYS:-30}")" ]; then
    echo "image: packages as of $(date -r "$output" +%F) ($output; without it the newest are taken)" >&2
    exit 0
fi
mkdir -p "$(dirname "$output")"
sources=$(sed -n 's/^URIs: *\([^ ]*\).*/\1/p; s/^deb \(\[[^]]*\] \)\?\([^ ]*\) .*/\2/p' /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null || true)
mirror=${MIRROR:-$(grep -v security <<<"$sources" | head -n 1 || true)}
mirror=${mirror:-http://deb.debian.org/debian}
security=${SECURITY_MIRROR:-$(grep security <<<"$sources" | head -n 1 || true)}
security=${security:-http://deb.debian.org/debian-security}
list=$(IFS=,; echo "${packages[*]}")
echo "image: bootstrapping $release for $arch from $mirror (minutes where programs are emulated)" >&2
log=$(mktemp)
# Whatever is newer than this was made by the bootstrap, and is no file of a package. Archives have whole seconds.
touch -d "2 seconds ago" "$output.started"
if ! "$here/foreign.py" "$arch" mmdebstrap --mode=root --format=tar --architectures="$arch" --variant=minbase \
    --aptopt='APT::Sandbox::User "root"' --aptopt='Apt::Install-Recommends "false"' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    "${hooks[@]}" --include="$list" "$release" "$output.part" \
    "deb $mirror $release main non-free-firmware" "deb $mirror $release-updates main non-free-firmware" \
    "deb $security $release-security main non-free-firmware" >"$log" 2>&1; then
    tail -n 30 "$log" >&2
    echo "image: the root could not be bootstrapped from $mirror and $security (MIRROR and SECURITY_MIRROR name others)" >&2
    exit 69
fi
rm -f "$log"
mv "$output.part" "$output"
echo "$key" >"$output.key"
