#!/usr/bin/env bash
# Assembles the card image: build.sh --arch amd64|arm64 [options] OUTPUT.img
#
#   --deb FILE        the daemon's package, of the card's architecture and release (needed)
#   --release NAME    bookworm (default) or trixie
#   --models FOLDER   the model, labels and library for the card's architecture
#   --kernel FOLDER   vmlinuz, initrd and modules/ to use in the place of the root's own package; for a Pi also dtbs/ (*.dtb) and
#                     overlays/ (*.dtbo), which belong to that kernel
#   --edge-yaml FILE  settings to put on the card
#   --packages "..."  more Debian packages
#   --tree FOLDER     more files for the root
#   --root-mb N       size of each root (1024)
#   --cache FOLDER    where bootstrapped packages and signing keys are kept (var/image)
#
# Two runs with the same inputs (packages of Debian, package of the daemon, models, key) and the same SOURCE_DATE_EPOCH make the same
# images, to the bit. Identifiers of disk, partitions and file systems are derived from the version: all cards of a version have the same.
#
# Beside OUTPUT.img there are then OUTPUT.root.ext4 and OUTPUT.boot.vfat, of which bundle.sh makes updates.
# Runs as root (or `unshare -r` with all ids mapped), since files of the root belong to root.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
project=$(cd "$here/../.." && pwd)
arch= deb= release=bookworm models= kernel= edge_yaml=$here/edge.yaml packages= tree= root_mb=1024 cache=$project/var/image
while [ $# -gt 1 ]; do
    case "$1" in
        --arch) arch=$2 ;;
        --deb) deb=$(realpath "$2") ;;
        --release) release=$2 ;;
        --models) models=$(realpath "$2") ;;
        --kernel) kernel=$(realpath "$2") ;;
        --edge-yaml) edge_yaml=$(realpath "$2") ;;
        --packages) packages=$2 ;;
        --tree) tree=$(realpath "$2") ;;
        --root-mb) root_mb=$2 ;;
        --cache) cache=$2 ;;
        *) echo "image: unknown option $1; the head of image/card/build.sh lists them" >&2; exit 64 ;;
    esac
    shift 2
done
output=$(realpath -m "${1:?image: name the image to write}")
case "$arch" in amd64 | arm64) ;; *) echo "image: --arch amd64 or arm64" >&2; exit 64 ;; esac
for tool in genimage mke2fs mkfs.vfat mcopy mmdebstrap openssl gcc; do
    command -v $tool >/dev/null || { echo "image: $tool is missing; scripts/setup-image.sh installs what is needed" >&2; exit 69; }
done
case "$release" in bookworm) number=12 ;; trixie) number=13 ;; *) echo "image: --release bookworm or trixie, not $release" >&2; exit 64 ;; esac
[ "$(id -u)" -eq 0 ] || { echo "image: run as root: the card's files belong to root" >&2; exit 77; }
[ -n "$deb" ] || { echo "image: --deb is missing; \`make deb ARCH=$arch RELEASE=$release\` makes the daemon's package" >&2; exit 64; }
if [ "$(dpkg-deb -f "$deb" Architecture)" != "$arch" ]; then
    echo "image: $deb is for $(dpkg-deb -f "$deb" Architecture), the card is $arch: \`make deb ARCH=$arch RELEASE=$release\` makes the right one" >&2
    exit 65
fi
case "$(dpkg-deb -f "$deb" Version)" in
    *+deb$number) ;;
    *) echo "image: $deb is version $(dpkg-deb -f "$deb" Version), which is not for $release (+deb$number)" >&2; exit 65 ;;
esac

if [ -n "$kernel" ] && [ "$arch" = arm64 ] && ! compgen -G "$kernel/dtbs/*.dtb" >/dev/null; then
    echo "image: $kernel/dtbs has no *.dtb: a Pi does not start this kernel without the descriptions of its boards" >&2
    exit 66
fi
base=$cache/base-$release-$arch.tar
# The libraries of the daemon: what its package depends on, without versions.
libraries=$(dpkg-deb -f "$deb" Depends | tr ',' '\n' | sed 's/[(|].*//; s/ //g')
# shellcheck disable=SC2086
BASE_RELEASE=$release env -u SOURCE_DATE_EPOCH "$here/base.sh" "$arch" "$base" $libraries $packages
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$project" log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH LC_ALL=C TZ=UTC
umask 022
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
version=$(dpkg-deb -f "$deb" Version)
# Usage: identifier NAME   A UUID that is the same whenever this version is assembled.
identifier() {
    python3 -c 'import sys, uuid; print(uuid.uuid5(uuid.NAMESPACE_URL, sys.argv[1]))' "edge-aggregator/$version/$release/$arch/$1"
}
root=$work/root
mkdir "$root"
tar -xf "$base" -C "$root" --numeric-owner --exclude=./dev/\*
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*.bin

# The daemon.
cp "$deb" "$root/tmp/daemon.deb"
"$here/foreign.py" "$arch" chroot "$root" /usr/bin/dpkg -i /tmp/daemon.deb >"$work/dpkg.log" 2>&1 || {
    tail -n 20 "$work/dpkg.log" >&2
    echo "image: the package could not be installed into the root" >&2
    exit 1
}
rm "$root/tmp/daemon.deb"
if [ -n "$models" ]; then
    mkdir -p "$root/usr/share/edge-aggregator"
    cp -r "$models" "$root/usr/share/edge-aggregator/models"
    chmod -R a+rX "$root/usr/share/edge-aggregator"
fi
cp -r --no-preserve=ownership "$here/tree/." "$root/"
[ -z "$tree" ] || cp -r --no-preserve=ownership "$tree/." "$root/"
sed "s/@ARCH@/$arch/" "$root/etc/rauc/system.conf.in" >"$root/etc/rauc/system.conf"
rm "$root/etc/rauc/system.conf.in"
python3 - "$root/usr/lib/edge-card/first-boot" "$here/secrets" <<'PY'
import sys
text = open(sys.argv[1]).read().replace("@SECRETS@", " ".join(open(sys.argv[2]).read().split()))
open(sys.argv[1], "w").write(text)
PY
"$here/keys.sh" "$cache/keys"
cp "$cache/keys/update.cert.pem" "$root/etc/rauc/keyring.pem"
# What would be written on a root that never changes lives on data, or in memory.
mkdir -p "$root/boot/config" "$root/data"
ln -sf /run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"
: >"$root/etc/machine-id"
rm -f "$root"/etc/ssh/ssh_host_* "$root/etc/hostname"
rm -rf "$root/etc/wpa_supplicant" && ln -s /run/wpa_supplicant "$root/etc/wpa_supplicant"
sed -i 's/^root:[^:]*:/root:!*:/' "$root/etc/shadow"
# Commands by hand find the settings that edge.yaml makes, and the secrets beside them.
mkdir -p "$root/etc/edge-aggregator"
ln -sf /data/system/settings.yaml "$root/etc/edge-aggregator/settings.yaml"
for unit in edge-first-boot:sysinit edge-zram:multi-user edge-health:multi-user; do
    mkdir -p "$root/etc/systemd/system/${unit#*:}.target.wants"
    ln -sf "/etc/systemd/system/${unit%:*}.service" "$root/etc/systemd/system/${unit#*:}.target.wants/${unit%:*}.service"
done
for unit in systemd-networkd systemd-resolved systemd-timesyncd ssh mosquitto; do
    [ -e "$root/lib/systemd/system/$unit.service" ] && ln -sf "/lib/systemd/system/$unit.service" "$root/etc/systemd/system/multi-user.target.wants/"
done
# Timers that would write to the root, or call somewhere.
for unit in apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer dpkg-db-backup.timer fstrim.timer; do
    ln -sf /dev/null "$root/etc/systemd/system/$unit"
done

# The kernel.
boot=$work/boot
mkdir "$boot"
if [ -n "$kernel" ]; then
    cp "$kernel/vmlinuz" "$boot/kernel8.img"
    cp "$kernel/initrd" "$boot/initramfs8"
    mkdir -p "$root/lib/modules"
    cp -r "$kernel/modules/." "$root/lib/modules/"
    [ ! -d "$kernel/dtbs" ] || cp "$kernel"/dtbs/*.dtb "$boot/"
    [ ! -d "$kernel/overlays" ] || cp -r "$kernel/overlays" "$boot/"
else
    vmlinuz=$(ls "$root"/boot/vmlinuz-* | sort -V | tail -n 1)
    version=${vmlinuz#*/boot/vmlinuz-}
    cp "$vmlinuz" "$boot/kernel8.img"
    # What a card, a USB disk or an emulated one hangs on. A Pi 4's card has its power and its voltage from regulators, which no module
    # names as what it needs: the board's description does.
    "$here/initrd.sh" "$root/lib/modules" "$version" "$root/bin/busybox" "$boot/initramfs8" \
        fixed gpio-regulator bcm2835-dma sdhci-iproc sdhci-brcmstb mmc_block raspberrypi-power pcie-brcmstb reset-raspberrypi xhci-pci usb-storage uas \
        virtio_pci virtio_mmio virtio_blk ext4
    find "$root/usr/lib" -path '*broadcom/bcm27*-rpi-*.dtb' -exec cp {} "$boot/" \; 2>/dev/null || true
fi
# What a Pi 4's own start-up code asks for; a Pi 5 has it in its flash memory.
find "$root/usr/lib/raspi-firmware" \( -name 'start4*.elf' -o -name 'fixup4*.dat' \) -exec cp {} "$boot/" \; 2>/dev/null || true
rm -rf "$root/usr/lib/raspi-firmware"
cp "$here/config.txt" "$boot/config.txt"
: >"$boot/user.txt"
sed 's/@SLOT@/A/g' "$here/cmdline.txt" >"$boot/cmdline.txt"
mkdir "$work/boot-b"
cp -r "$boot/." "$work/boot-b/"
sed 's/@SLOT@/B/g' "$here/cmdline.txt" >"$work/boot-b/cmdline.txt"
config=$work/config
mkdir "$config"
cp "$here/autoboot.txt" "$config/autoboot.txt"
cp "$edge_yaml" "$config/edge.yaml"
cp "$here/README.card" "$config/README.txt"

rm -rf "$root"/boot/vmlinuz* "$root"/boot/initrd*
"$here/../clean-root.sh" "$root"
: >"$root/usr/lib/clock-epoch"
# Files of packages keep their times, which compiled Python compares; what was made since the bootstrap began has the time of the version.
find "$root" -newer "$base.started" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
find "$boot" "$work/boot-b" "$config" -exec touch -d "@$SOURCE_DATE_EPOCH" {} +
# A box without a clock starts no earlier than this version was made, and when the key of updates was there already.
key_made=$(date -d "$(openssl x509 -in "$cache/keys/update.cert.pem" -noout -startdate | cut -d= -f2)" +%s)
touch -d "@$((key_made > SOURCE_DATE_EPOCH ? key_made : SOURCE_DATE_EPOCH))" "$root/usr/lib/clock-epoch"
mkdir -p "$work/data"
sed "s/@ROOT_MB@/$root_mb/g; s/@DISK@/$(identifier disk)/" "$here/genimage.cfg" >"$work/genimage.cfg"
for partition in config bootA bootB rootA rootB data; do
    sed -i "s/@${partition}@/$(identifier "partition/$partition")/" "$work/genimage.cfg"
done
images=$work/images
mkdir "$images"
truncate -s "${root_mb}M" "$images/root.ext4"
gcc -O1 -shared -fPIC -o "$work/steady.so" "$here/steady.c" -ldl
# E2FSPROGS_FAKE_TIME is what mke2fs takes for now.
export E2FSPROGS_FAKE_TIME=$SOURCE_DATE_EPOCH
LD_PRELOAD=$work/steady.so mke2fs -q -t ext4 -L root -U "$(identifier root)" -E "hash_seed=$(identifier root/hash)" -d "$root" \
    -O ^has_journal -m 0 "$images/root.ext4" || {
    echo "image: the root does not fit into $root_mb MB (--root-mb)" >&2
    exit 1
}
# It is to grow to whatever card it is put on.
mke2fs -q -t ext4 -b 4096 -L data -m 1 -U "$(identifier data)" \
    -E "hash_seed=$(identifier data/hash),resize=67108864,lazy_itable_init=0" "$images/data.ext4" 128M >/dev/null
fat() { # IMAGE SIZE_MB LABEL FOLDER
    local folder files
    truncate -s "$2M" "$1"
    mkfs.vfat --invariant -i "$(identifier "$3" | cut -c 1-8)" -F 32 -s 1 -n "$3" "$1" >/dev/null
    # In the order of names, whatever the order on this disk is.
    while read -r folder; do
        [ "$folder" = . ] || mmd -i "$1" "::$folder"
        mapfile -t files < <(find "$4/$folder" -maxdepth 1 -type f | sort)
        [ ${#files[@]} -eq 0 ] || mcopy -m -i "$1" "${files[@]}" "::$folder/"
    done < <(cd "$4" && find . -type d | sort)
}
fat "$images/config.vfat" 64 CONFIG "$config"
fat "$images/boot-a.vfat" 128 BOOTA "$boot"
fat "$images/boot-b.vfat" 128 BOOTB "$work/boot-b"
mkdir "$work/empty"
genimage --rootpath "$work/empty" --tmppath "$work/genimage" --inputpath "$images" --outputpath "$work/out" \
    --config "$work/genimage.cfg" >"$work/genimage.log" 2>&1 || {
    tail -n 20 "$work/genimage.log" >&2
    echo "image: genimage failed" >&2
    exit 1
}
mkdir -p "$(dirname "$output")"
cp --sparse=always "$work/out/card.img" "$output"
cp --sparse=always "$images/root.ext4" "${output%.img}.root.ext4"
cp --sparse=always "$images/boot-a.vfat" "${output%.img}.boot.vfat"
echo "image: $output ($(du -h "$output" | cut -f1) of $(du -h --apparent-size "$output" | cut -f1))"
