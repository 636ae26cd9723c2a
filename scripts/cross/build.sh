#!/usr/bin/env bash
# Builds for another processor or another release of Debian, on amd64: build.sh RELEASE ARCH debug|release FOLDER OUTPUT [PRODUCT...]
#
# RELEASE is bookworm or trixie, ARCH arm64 or amd64. FOLDER gets the compiler and the libraries, once (toolchain.sh, sysroot.sh).
# OUTPUT gets each product (default: edge-aggregator), with the Swift runtime inside and without debug information.
# With TESTS=yes the unit tests are built, and OUTPUT gets edge-aggregatorPackageTests.xctest.
set -euo pipefail
me=cross-build
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/cross/common.sh
. "$here/common.sh"
release=$1 arch=$2 configuration=$3 folder=$4 output=$5
shift 5
products=("$@")
[ ${#products[@]} -gt 0 ] || products=(edge-aggregator)
need_release "$release"
need_arch "$arch"
target=$release-$arch
case "$arch" in arm64) machine=aarch64 ;; amd64) machine=x86_64 ;; esac
case "$configuration" in debug | release) ;; *) fail 64 "BUILD is \"$configuration\"; it must be debug or release" ;; esac
need_root
project=$(cd "$here/../.." && pwd)
"$here/toolchain.sh" "$folder"
"$here/sysroot.sh" "$release" "$arch" "$folder"
folder=$(realpath "$folder")
# Each target has a build folder of its own, so that none rebuilds what another built.
scratch=$project/.build-cross/$target${TESTS:+-tests}
# The program has the same paths wherever it is built; tests look for their files where the sources really are.
source=/src
[ "${TESTS:-}" != yes ] || source=$project
mkdir -p "$scratch" "$output" "$folder/home"
output=$(realpath "$output")
binds=("$folder/sysroot-$target:/sysroot:ro" "$folder/sdks:/sdks:ro" "$project:$source" "$scratch:/build" "$folder/home:/root")
# Packages come from where git gets them on this machine: a local copy, if git is set up to use one, or the network.
: >"$folder/home/.gitconfig"
while read -r name replaced; do
    base=${name#url.} base=${base%.insteadof}
    git config --file "$folder/home/.gitconfig" --add "url.$base.insteadOf" "$replaced"
    if [ "${base#/}" != "$base" ] && [ -d "$base" ]; then binds+=("$base:${base%/}:ro"); fi
done < <(git config --get-regexp '^url\..*\.insteadof$' || true)
git config --file "$folder/home/.gitconfig" --add safe.directory '*'
if [ -e /etc/resolv.conf ]; then cp -L /etc/resolv.conf "$folder/toolchain/etc/resolv.conf"; fi
mapfile -t binds < <(printf '%s\n' "${binds[@]}" | awk '!seen[$0]++')

options=(--package-path "$source" --scratch-path /build -c "$configuration" -debug-info-format none
    --swift-sdks-path /sdks --swift-sdk "edge-$target" -j "$(nproc)"
    -Xswiftc -file-compilation-dir -Xswiftc "$source")
pkg_config=/sysroot/usr/lib/$machine-linux-gnu/pkgconfig:/sysroot/usr/share/pkgconfig
run_build() {
    in_toolchain "$folder" "${binds[@]}" -- env PKG_CONFIG_SYSROOT_DIR=/sysroot PKG_CONFIG_PATH=$pkg_config PKG_CONFIG_LIBDIR=$pkg_config \
        swift-build "${options[@]}" "$@"
}
if [ "${TESTS:-}" = yes ]; then
    # Debian's compiler is older than the one that tests are written with, and needs more time for some of their expressions.
    for option in -solver-expression-time-threshold=600 -solver-scope-threshold=100000000; do
        options+=(-Xswiftc -Xfrontend -Xswiftc "$option")
    done
    # The testing library exists only as a shared one.
    run_build --build-tests
    products=(edge-aggregatorPackageTests.xctest)
else
    for product in "${products[@]}"; do run_build --static-swift-stdlib --product "$product"; done
fi
built=$scratch/$machine-unknown-linux-gnu/$configuration
for product in "${products[@]}"; do
    cp "$built/$product" "$output/$product.part"
    in_toolchain "$folder" "$output:/output" -- llvm-objcopy --strip-unneeded "/output/$product.part"
    mv "$output/$product.part" "$output/$product"
done
