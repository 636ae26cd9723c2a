#!/usr/bin/env bash
# Makes the smallest start for the machine under test: sees the host's files, read-only, through an overlay in memory.
#
# Usage: initrd.sh RIG_FOLDER OUTPUT
set -euo pipefail
rig=$(cd "$1" && pwd)
version=$(cat "$rig/version")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/base/lib" "$work/root"/{bin,mod,proc,sys,dev,h,ov,root}
ln -s "$rig/modules" "$work/base/lib/modules"
cp /bin/busybox "$work/root/bin/busybox"
number=0
for module in virtio_pci virtio_net 9p 9pnet_virtio overlay; do
    while read -r _ path; do
        name=$(basename "$path" .xz)
        [ -e "$work/root/mod/"*"-$name" ] 2>/dev/null && continue
        number=$((number + 1))
        case "$path" in
            *.xz) xz -dc "$path" ;;
            *) cat "$path" ;;
        esac >"$work/root/mod/$(printf %02d $number)-$name"
    done < <(modprobe -d "$work/base" -S "$version" --show-depends $module | grep ^insmod)
done
cat >"$work/root/init" <<'INIT'
#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev
for module in /mod/*; do insmod $module; done
for word in $(cat /proc/cmdline); do
    case $word in
        edge.here=*) here=${word#edge.here=} ;;
        edge.modules=*) modules=${word#edge.modules=} ;;
    esac
done
mount -t 9p -o trans=virtio,version=9p2000.L,ro,msize=512000,cache=loose host /h || echo "init: no host files"
mount -t tmpfs none /ov
mkdir /ov/u /ov/w
mount -t overlay -o lowerdir=/h,upperdir=/ov/u,workdir=/ov/w overlay /root || echo "init: no overlay"
mount -t devtmpfs none /root/dev
exec switch_root /root /bin/bash $here/guest.sh $here $modules
INIT
chmod +x "$work/root/init"
(cd "$work/root" && find . | cpio -o -H newc --quiet | gzip -1) >"$2"
