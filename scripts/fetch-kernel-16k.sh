#!/usr/bin/env bash
# Fetches Debian's arm64 kernel with pages of 16 KiB, as a Pi 5 has them: fetch-kernel-16k.sh FOLDER
# FOLDER then has vmlinuz, modules/ (as under /lib/modules) and version. Nothing is installed.
set -euo pipefail

folder=${1:-var/image/kernel-16k-package}
series=6.12
[ -f "$folder/version" ] && exit 0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{lists/partial,cache/archives/partial}
: >"$work/status"
# The machine's own sources and keys, read for another processor.
apt=(-o APT::Architecture=arm64 -o APT::Architectures::=arm64 -o "Dir::State::lists=$work/lists" -o "Dir::State::status=$work/status"
    -o "Dir::Cache=$work/cache" -o APT::Sandbox::User=root)
apt-get "${apt[@]}" update -q >"$work/log" 2>&1 || true
image=$(apt-cache "${apt[@]}" pkgnames "linux-image-$series" | grep -E '^linux-image-[0-9.]+\+deb12-arm64-16k-unsigned$' | sort -V | tail -n 1 || true)
if [ -z "$image" ]; then
    tail -n 5 "$work/log" >&2
    echo "fetch-kernel-16k: no kernel $series with 16 KiB pages is offered; bookworm-security has it (is there a network?)" >&2
    exit 69
fi
version=${image#linux-image-}
version=${version%-unsigned}
echo "fetch-kernel-16k: kernel $version"
(
    cd "$work"
    apt-get "${apt[@]}" download -q "$image" >log 2>&1 || {
        tail -n 5 log >&2
        echo "fetch-kernel-16k: $image could not be fetched" >&2
        exit 69
    }
    dpkg-deb -x "$image"_*.deb root
)
rm -rf "$folder"
mkdir -p "$folder/modules"
cp "$work/root/boot/vmlinuz-$version" "$folder/vmlinuz"
cp -r "$work/root/lib/modules/$version" "$folder/modules/"
mkdir "$work/lib"
ln -s "$(realpath "$folder/modules")" "$work/lib/modules"
depmod -b "$work" "$version"
echo "$version" >"$folder/version"
