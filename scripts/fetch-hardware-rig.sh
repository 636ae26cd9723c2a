#!/usr/bin/env bash
# Fetches what `make test-hardware` needs: a Debian kernel with its modules, gpio-sim built against it (Debian ships none),
# and libgpiod 2.x. All into a folder of their own; only the emulator and its tools are installed.
#
# Usage: fetch-hardware-rig.sh FOLDER
# FOLDER then has vmlinuz, modules/ (as under /lib/modules), gpiod2/ (sources), and version.
set -euo pipefail

folder=${1:-var/hardware}
series=6.12
gpiod2=2.5.0
gpiod2_sum=53ae5a1f14d6388c155b591ca0fc0cfa73b44d4f6d8d117e8a9e68f5902d187a
if [ "$(uname -m)" != x86_64 ]; then
    echo "fetch-hardware-rig: only made for amd64; this is $(uname -m)" >&2
    exit 69
fi

"$(dirname "$0")/install-packages.sh" fetch-hardware-rig qemu-system-x86 busybox-static cpio kmod xz-utils gcc-aarch64-linux-gnu \
    libc6-dev-arm64-cross qemu-user-static alsa-utils

if [ -f "$folder/done-1" ]; then exit 0; fi
rm -rf "$folder"
mkdir -p "$folder"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

find_image() { apt-cache depends "linux-image-$series-amd64" 2>/dev/null | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1; }
image=$(find_image)
if [ -z "$image" ]; then
    # The package lists may never have been fetched.
    if [ "$(id -u)" -eq 0 ]; then apt-get update -q >/dev/null 2>&1; else sudo apt-get update -q >/dev/null 2>&1; fi || true
    image=$(find_image)
fi
version=${image#linux-image-}
if [ -z "$version" ]; then
    echo "fetch-hardware-rig: no kernel $series is offered (apt-get update?); bookworm-security has it" >&2
    exit 69
fi
common=${version%-amd64}
echo "fetch-hardware-rig: kernel $version"
(
    cd "$work"
    apt-get download -q "$image" "linux-headers-$version" "linux-headers-$common-common" "linux-kbuild-${common}" \
        "linux-source-$series" >apt.log 2>&1 || {
        tail -n 5 apt.log >&2
        echo "fetch-hardware-rig: the kernel's packages could not be fetched (is there a network?)" >&2
        exit 69
    }
    mkdir root
    for package in linux-*.deb; do dpkg-deb -x "$package" root; done
)
root=$work/root
cp "$root/boot/vmlinuz-$version" "$folder/vmlinuz"

# gpio-sim and the irq_sim under it, as one module. irq_to_desc is not exported to modules.
mkdir -p "$work/gpio-sim"
tar -xf "$root/usr/src/linux-source-$series.tar.xz" -C "$work" --strip-components=1 --wildcards \
    '*/drivers/gpio/gpio-sim.c' '*/drivers/gpio/dev-sync-probe.[ch]' '*/kernel/irq/irq_sim.c' 2>/dev/null ||
    tar -xf "$root/usr/src/linux-source-$series.tar.xz" -C "$work" --strip-components=1 --wildcards \
        '*/drivers/gpio/gpio-sim.c' '*/kernel/irq/irq_sim.c'
cp "$work/drivers/gpio/"* "$work/gpio-sim/"
mv "$work/gpio-sim/gpio-sim.c" "$work/gpio-sim/main.c"
sed 's/handle_simple_irq(irq_to_desc(\([^)]*\)))/generic_handle_irq(\1)/' "$work/kernel/irq/irq_sim.c" >"$work/gpio-sim/irq.c"
objects="main.o irq.o"
[ -f "$work/gpio-sim/dev-sync-probe.c" ] && objects+=" dev-sync-probe.o"
printf 'obj-m := gpio-sim.o\ngpio-sim-y := %s\n' "$objects" >"$work/gpio-sim/Makefile"
grep -rl /usr/src "$root/usr/src/linux-headers-$version" "$root/lib/modules/$version" 2>/dev/null |
    xargs -r sed -i "s|/usr/src|$root/usr/src|g"
for link in "$root/usr/src/linux-headers-$version/scripts" "$root/usr/src/linux-headers-$version/tools" \
    "$root/usr/src/linux-headers-$common-common/scripts" "$root/usr/src/linux-headers-$common-common/tools"; do
    # They point to where the package would have been installed.
    [ -L "$link" ] && ln -sfn "$root/usr/lib/linux-kbuild-$common/$(basename "$link")" "$link"
done
make -s -C "$root/usr/src/linux-headers-$version" M="$work/gpio-sim" CONFIG_DEBUG_INFO_BTF_MODULES= modules \
    >"$work/build.log" 2>&1 || {
    tail -n 20 "$work/build.log" >&2
    echo "fetch-hardware-rig: gpio-sim could not be built against $version" >&2
    exit 1
}
mkdir -p "$folder/modules"
cp -a "$root/lib/modules/$version" "$folder/modules/"
rm -f "$folder/modules/$version"/{build,source}
mkdir -p "$folder/modules/$version/updates"
cp "$work/gpio-sim/gpio-sim.ko" "$folder/modules/$version/updates/"
mkdir -p "$work/base/lib"
ln -s "$(cd "$folder" && pwd)/modules" "$work/base/lib/modules"
depmod -b "$work/base" "$version"
echo "$version" >"$folder/version"

python3 -m pip download -q --no-deps --no-binary :all: --disable-pip-version-check -d "$work" "gpiod==$gpiod2" >"$work/pip.log" 2>&1 || {
    tail -n 3 "$work/pip.log" >&2
    echo "fetch-hardware-rig: libgpiod $gpiod2 could not be fetched" >&2
    exit 69
}
if [ "$(sha256sum "$work/gpiod-$gpiod2.tar.gz" | cut -d' ' -f1)" != "$gpiod2_sum" ]; then
    echo "fetch-hardware-rig: gpiod $gpiod2 has another checksum than expected" >&2
    exit 1
fi
mkdir -p "$folder/gpiod2"
tar -xzf "$work/gpiod-$gpiod2.tar.gz" -C "$folder/gpiod2" --strip-components=1
touch "$folder/done-1"
