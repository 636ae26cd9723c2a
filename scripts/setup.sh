#!/usr/bin/env bash
# Installs the system packages that are missing. Does nothing where all are there.
set -euo pipefail

packages=(build-essential pkg-config make git ca-certificates unzip python3 python3-pip)
mapfile -t libraries < <(grep -v '^#' "$(dirname "$0")/packages")
packages+=("${libraries[@]}")

if ! command -v dpkg-query >/dev/null; then
    echo "setup: this is not Debian or Raspberry Pi OS; install by hand what corresponds to: ${packages[*]}" >&2
    exit 69
fi

missing=()
for package in "${packages[@]}"; do
    status=$(dpkg-query -W -f='${Status}' "$package" 2>/dev/null || true)
    [ "$status" = "install ok installed" ] || missing+=("$package")
done

if [ ${#missing[@]} -gt 0 ]; then
    echo "setup: installing ${missing[*]}"
    if [ "$(id -u)" -eq 0 ]; then
        as_root=()
    elif command -v sudo >/dev/null; then
        as_root=(sudo)
    else
        echo "setup: these packages are missing, and neither root nor sudo is at hand. As root:" >&2
        echo "    apt-get install ${missing[*]}" >&2
        exit 69
    fi
    log=$(mktemp)
    if ! { "${as_root[@]}" apt-get update -q && "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -q --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        echo "setup: the packages could not be installed (is there a network?). Bring and install: ${missing[*]}" >&2
        exit 69
    fi
    rm -f "$log"
fi

if ! command -v swift >/dev/null; then
    echo "setup: Swift 6.2 or later is needed; see https://www.swift.org/install/linux/" >&2
    exit 69
fi
version=$(swift --version 2>/dev/null | sed -n 's/.*Swift version \([0-9]*\)\.\([0-9]*\).*/\1 \2/p' | head -n 1)
read -r major minor <<<"${version:-0 0}"
if [ "$major" -lt 6 ] || { [ "$major" -eq 6 ] && [ "$minor" -lt 2 ]; }; then
    echo "setup: Swift $major.$minor is too old; 6.2 or later is needed (https://www.swift.org/install/linux/)" >&2
    exit 69
fi
