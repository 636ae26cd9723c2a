#!/usr/bin/env bash
# Makes the smallest start of a card: finds the root by its partition's name, and nothing else.
#
#   initrd.sh LIB_MODULES VERSION BUSYBOX OUTPUT MODULE...
# LIB_MODULES has a folder VERSION; BUSYBOX is a static one, of the card's processor. Modules that the kernel has built in, or has
# not at all, are passed over.
set -euo pipefail
modules=$(realpath "$1") version=$2 busybox=$3 output=$4
shift 4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/base/lib" "$work/root"/{bin,mod,proc,sys,dev,root}
ln -s "$modules" "$work/base/lib/modules"
cp "$busybox" "$work/root/bin/busybox"
chmod 755 "$work/root/bin/busybox"
number=0
for module in "$@"; do
    for path in $(modprobe -d "$work/base" -S "$version" --show-depends "$module" 2>/dev/null | sed -n 's/^insmod \([^ ]*\).*/\1/p'); do
        name=$(basename "$path" .xz)
        compgen -G "$work/root/mod/*-$name" >/dev/null && continue
        number=$((number + 1))
        case "$path" in
            *.xz) xz -dc "$path" ;;
            *) cat "$path" ;;
        esac >"$work/root/mod/$(printf %03d $number)-$name"
    done
done
cat >"$work/root/init" <<'INIT'
#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev
for module in /mod/*; do insmod $module 2>/dev/null; done
for word in $(cat /proc/cmdline); do
    case $word in root=PARTLABEL=*) name=${word#root=PARTLABEL=} ;; esac
done
# A card takes its time to be found.
tries=0
until device=$(grep -l "PARTNAME=$name\$" /sys/class/block/*/uevent 2>/dev/null | head -n 1) && [ -n "$device" ]; do
    tries=$((tries + 1))
    if [ $tries -gt 150 ]; then
        echo "init: there is no partition $name; the box restarts"
        reboot -f
    fi
    sleep 0.2
done
device=/dev/$(basename $(dirname $device))
if ! mount -t ext4 -o ro $device /root; then
    echo "init: $name ($device) cannot be mounted; the box restarts"
    sleep 5
    reboot -f
fi
mount --move /dev /root/dev
mount --move /proc /root/proc
mount --move /sys /root/sys
exec switch_root /root /sbin/init
INIT
chmod +x "$work/root/init"
# The same to the bit for the same files.
find "$work/root" -exec touch -h -d "@${SOURCE_DATE_EPOCH:-0}" {} +
(cd "$work/root" && find . | LC_ALL=C sort | cpio -o -H newc --reproducible -R 0:0 --quiet | gzip -1n) >"$output"
