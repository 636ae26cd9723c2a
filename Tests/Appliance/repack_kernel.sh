#!/usr/bin/env bash
# Lays out Debian's arm64 kernel as Raspberry Pi's packages lay out theirs, for image/card/build.sh --kernel: repack_kernel.sh BASE.tar OUTPUT_FOLDER
#
# OUTPUT_FOLDER: vmlinuz, initrd, modules/, dtbs/ and overlays/. Raspberry Pi's kernel is not in Debian; this shows that a kernel from
# elsewhere is put on the card and started. Debian's kernel has no overlays, and the emulated board no firmware that would apply them.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
base=$1 output=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tar -xf "$base" -C "$work" --wildcards './boot/*' './usr/lib/modules/*' './usr/lib/linux-image-*' './usr/bin/busybox' './bin/busybox' 2>/dev/null || true
vmlinuz=$(find "$work/boot" -name 'vmlinuz-*' | sort -V | tail -n 1)
version=${vmlinuz#*/boot/vmlinuz-}
busybox=$(find "$work" -name busybox -type f | head -n 1)
mkdir -p "$output"/{modules,dtbs,overlays}
cp "$vmlinuz" "$output/vmlinuz"
cp -r "$work/usr/lib/modules/$version" "$output/modules/"
find "$work/usr/lib" -path '*broadcom/bcm27*-rpi-*.dtb' -exec cp {} "$output/dtbs/" \;
printf 'No overlays belong to this kernel.\n' >"$output/overlays/README"
"$here/../../image/card/initrd.sh" "$output/modules" "$version" "$busybox" "$output/initrd" virtio_pci virtio_mmio virtio_blk ext4
