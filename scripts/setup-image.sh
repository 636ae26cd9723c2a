#!/usr/bin/env bash
# Installs what `make image`, `make test-appliance` and `make test-power` need beside the hardware rig's tools.
set -euo pipefail
packages=(mmdebstrap arch-test genimage mtools dosfstools e2fsprogs fdisk rauc squashfs-tools openssl qemu-user-static
    qemu-system-arm user-mode-linux dpkg-dev binutils cpio kmod xz-utils busybox-static buildah dmsetup)
missing=()
for package in "${packages[@]}"; do
    [ "$(dpkg-query -W -f='${Status}' "$package" 2>/dev/null || true)" = "install ok installed" ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0
echo "setup-image: installing ${missing[*]}"
as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(sudo)
log=$(mktemp)
if ! { "${as_root[@]}" apt-get update -q && "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -q --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    echo "setup-image: the packages could not be installed: ${missing[*]}" >&2
    exit 69
fi
rm -f "$log"
