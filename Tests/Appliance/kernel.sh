#!/usr/bin/env bash
# Makes the kernel of the emulated box out of a Debian one: kernel.sh FOLDER OUTPUT_FOLDER [BUSYBOX]
# FOLDER has vmlinuz, modules/ and version, as the hardware rig has; BUSYBOX is a static one, of the box's processor.
# OUTPUT_FOLDER then has vmlinuz, initrd (finds the root by its partition's name) and modules/ (those that the tests need).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
rig=$(cd "$1" && pwd)
output=$2
busybox=${3:-/bin/busybox}
version=$(cat "$rig/version")
[ "$(cat "$output/version" 2>/dev/null)" = "$version-5" ] && exit 0
rm -rf "$output"
mkdir -p "$output/modules/$version"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/base/lib"
ln -s "$rig/modules" "$work/base/lib/modules"
cp "$rig/vmlinuz" "$output/vmlinuz"
list() { modprobe -d "$work/base" -S "$version" --show-depends "$1" 2>/dev/null | sed -n 's/^insmod \([^ ]*\).*/\1/p'; }
"$here/../../image/card/initrd.sh" "$rig/modules" "$version" "$busybox" "$output/initrd" virtio_pci virtio_blk ext4
# Those that this processor's kernel has not are passed over.
for module in virtio_net virtio_blk ext4 vfat nls_cp437 nls_ascii nls_iso8859-1 nls_utf8 i6300esb i2c-dev hid-mcp2221 uhid snd-aloop zram \
    loop squashfs dm-verity dm-flakey gpio-sim virtio-rng mac80211_hwsim; do
    for path in $(list $module); do
        target=$output/modules/$version/${path#*/lib/modules/"$version"/}
        mkdir -p "$(dirname "$target")"
        cp "$path" "$target"
    done
done
cp "$rig/modules/$version"/modules.{builtin,builtin.modinfo,order} "$output/modules/$version/"
mkdir -p "$work/own/lib"
ln -s "$(realpath "$output/modules")" "$work/own/lib/modules"
depmod -b "$work/own" "$version"
echo "$version-5" >"$output/version"
