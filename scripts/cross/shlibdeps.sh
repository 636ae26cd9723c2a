#!/usr/bin/env bash
# Prints the packages whose libraries a cross-built program needs, as in "Depends:": shlibdeps.sh RELEASE ARCH FOLDER PROGRAM
set -euo pipefail
me=cross-shlibdeps
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/cross/common.sh
. "$here/common.sh"
release=$1 arch=$2 folder=$(realpath "$3") program=$(realpath "$4")
need_root
case "$arch" in arm64) machine=aarch64 ;; amd64) machine=x86_64 ;; esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/debian"
printf 'Source: edge-aggregator\n\nPackage: edge-aggregator\nArchitecture: any\n' >"$work/debian/control"
cp "$program" "$work/program"
# /sysroot/lib is a link to /sysroot/usr/lib.
in_toolchain "$folder" "$folder/sysroot-$release-$arch:/sysroot:ro" "$folder/dpkg-$release-$arch:/dpkg" "$work:/work" -- sh -ec '
    cd /work
    DEB_HOST_ARCH=$1 dpkg-shlibdeps --admindir=/dpkg -l"/sysroot/usr/lib/$2-linux-gnu" -O program' sh "$arch" "$machine" \
    >"$work/out" 2>"$work/log" || { cat "$work/log" >&2; fail 1 "dpkg-shlibdeps failed"; }
sed -n 's/^shlibs:Depends=//p' "$work/out"
