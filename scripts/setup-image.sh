#!/usr/bin/env bash
# Installs what `make image`, `make test-appliance` and `make test-power` need beside the hardware rig's tools.
set -euo pipefail
"$(dirname "$0")/install-packages.sh" setup-image mmdebstrap arch-test genimage mtools dosfstools e2fsprogs fdisk rauc squashfs-tools openssl \
    qemu-user-static qemu-system-arm user-mode-linux dpkg-dev binutils cpio kmod xz-utils busybox-static buildah dmsetup python3-yaml \
    gcc libc6-dev gcc-aarch64-linux-gnu libc6-dev-arm64-cross
