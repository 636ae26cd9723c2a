#!/usr/bin/env bash
# Makes a signed update out of an image: bundle.sh IMAGE.img VERSION OUTPUT.raucb [KEYS_FOLDER]
set -euo pipefail
image=$(realpath -m "$1") version=$2 output=$(realpath -m "$3") keys=${4:-$(dirname "$0")/../../var/image/keys}
for tool in rauc mksquashfs; do
    command -v $tool >/dev/null || { echo "bundle: $tool is missing: apt-get install rauc squashfs-tools" >&2; exit 69; }
done
arch=${ARCH:-arm64}
project=$(cd "$(dirname "$0")/../.." && pwd)
# mksquashfs takes it for its times. The salt of the hash tree and the signature behind it are new in each bundle.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$project" log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH
umask 022
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/content"
cp --sparse=always "${image%.img}.root.ext4" "$work/content/root.ext4"
cp --sparse=always "${image%.img}.boot.vfat" "$work/content/boot.vfat"
cat >"$work/content/manifest.raucm" <<TEXT
[update]
compatible=edge-aggregator-card-$arch
version=$version

[bundle]
format=verity

[image.rootfs]
filename=root.ext4

[image.boot]
filename=boot.vfat
TEXT
rm -f "$output"
rauc bundle --cert="$keys/update.cert.pem" --key="$keys/update.key.pem" "$work/content" "$output" >"$work/log" 2>&1 || {
    cat "$work/log" >&2
    exit 1
}
echo "bundle: $output ($(du -h "$output" | cut -f1))"
