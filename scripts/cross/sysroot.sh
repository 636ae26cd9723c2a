#!/usr/bin/env bash
# Makes the libraries of the target system, once for each: sysroot.sh RELEASE arm64|amd64 FOLDER
#
#   FOLDER/sysroot-RELEASE-ARCH  headers and libraries of the release, with the Swift runtime
#   FOLDER/dpkg-RELEASE-ARCH     a dpkg database of these packages, for dpkg-shlibdeps
#   FOLDER/sdks/                 a Swift SDK that describes the sysroot
set -euo pipefail
me=cross-sysroot
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/cross/common.sh
. "$here/common.sh"
release=$1 arch=$2 folder=$(realpath "$3")
need_release "$release"
need_arch "$arch"
target=$release-$arch
need_root
case "$arch" in
    arm64) machine=aarch64 swift=$folder/swift-arm64 ;;
    amd64) machine=x86_64 swift=$folder/toolchain/usr/libexec/swift/lib ;;
esac
[ -d "$swift" ] || fail 66 "$swift is missing; toolchain.sh makes it"
case "$release" in bookworm) gcc=12 ;; trixie) gcc=14 ;; esac
mapfile -t libraries < <(grep -v '^#' "$here/../packages")
# The last line: what the program needs when it runs under emulation.
wanted=(libc6-dev "libgcc-$gcc-dev" "libstdc++-$gcc-dev" linux-libc-dev "${libraries[@]}"
    ca-certificates tzdata libxml2 dash)
sysroot=$folder/sysroot-$target
key=$({ echo "${wanted[*]}"; cat "$folder/swift-version" "$here/glibc-additions.c" "$here/icu_data.py" "$0"; } | sha256sum | cut -d' ' -f1)
if [ "$(cat "$sysroot/key" 2>/dev/null)" = "$key" ]; then exit 0; fi
echo "$me: fetching the $arch libraries of $release: 70 MB to fetch, 1.5 GB of disk" >&2
need_room "$folder" 3000 "a sysroot"
# What an interrupted run left, or one with other packages.
remove "$sysroot"
remove "$folder/dpkg-$target"
part=$folder/part-$target
remove "$part"
mkdir -p "$part/root"
trap 'rm -rf --one-file-system "$part"' EXIT
private_apt "$part/apt" "$arch" "$(mirror) $release main" "$(mirror) $release-updates main"
apt-get "${apt[@]}" install -y -q --download-only --no-install-recommends "${wanted[@]}" >"$part/log" 2>&1 || {
    tail -n 5 "$part/log" >&2
    fail 69 "the libraries of $release could not be fetched; run the command again to retry"
}
# /bin, /lib and /sbin are links in every release since bookworm.
for name in bin lib lib64 sbin; do
    mkdir -p "$part/root/usr/$name"
    ln -s "usr/$name" "$part/root/$name"
done
for package in "$part"/apt/cache/archives/*.deb; do
    dpkg-deb --fsys-tarfile "$package" | tar -x -C "$part/root" --keep-directory-symlink --no-same-owner
done
rm -rf "$part/root"/usr/share/{doc,man,locale,info}
# A link such as /lib/aarch64-linux-gnu/libm.so.6 would name this machine's file.
python3 "$here/relative_links.py" "$part/root"
cp -r "$swift/swift" "$swift/swift_static" "$swift/clang" "$part/root/usr/lib/"
# Debian's compiler for amd64 names its modules after another vendor than the one for arm64. The compiler finds a module by the target's name.
find "$part/root/usr/lib/swift" "$part/root/usr/lib/swift_static" -name "$machine-pc-linux-gnu.*" -print0 |
    while IFS= read -r -d '' module; do mv "$module" "${module%/*}/$machine-unknown-linux-gnu.${module##*/"$machine-pc-linux-gnu."}"; done
if [ "$release" = bookworm ]; then
    # In the archive of the runtime every link finds them, and nothing is exported.
    archive=$(cd "$part/root" && find usr/lib/swift_static -name libswiftCore.a | head -n 1)
    [ -n "$archive" ] || fail 65 "the $arch package of Swift has no libswiftCore.a any more"
    cp "$here/glibc-additions.c" "$part/"
    # shellcheck disable=SC2016
    in_toolchain "$folder" "$part/root:/sysroot" "$part:/part" -- sh -ec '
        clang --target="$2-linux-gnu" --sysroot=/sysroot -O2 -fPIC -fvisibility=hidden -c -o /part/glibc-additions.o /part/glibc-additions.c
        llvm-ar r "/sysroot/$1" /part/glibc-additions.o' sh "$archive" $machine 2>"$part/log" || {
        tail -n 10 "$part/log" >&2
        fail 70 "what glibc 2.36 lacks could not be added to the Swift runtime"
    }
fi
# Two fifths of the program would be texts in other languages.
archive=$(cd "$part/root" && find usr/lib/swift_static -name lib_FoundationICU.a | head -n 1)
[ -n "$archive" ] || fail 65 "the $arch package of Swift has no lib_FoundationICU.a any more"
# shellcheck disable=SC2016
in_toolchain "$folder" "$part/root:/sysroot" "$part:/part" -- sh -ec '
    cd /part
    llvm-ar t "/sysroot/$1" | grep -x "icu_packaged_data.*\.o" >icu.name
    llvm-ar p "/sysroot/$1" "$(cat icu.name)" >icu.o
    llvm-objdump -t icu.o | sed -n "s/.* \(icudt[0-9]*_dat\)\$/\1/p" >icu.symbol
    llvm-objcopy -O binary --only-section=.rodata icu.o icu-all.dat' sh "$archive" 2>"$part/log" &&
    python3 "$here/icu_data.py" "$part/icu-all.dat" "$part/icu.dat" 2>"$part/log" &&
    in_toolchain "$folder" "$part/root:/sysroot" "$part:/part" -- sh -ec '
    cd /part
    symbol=$(cat icu.symbol) object=$(cat icu.name)
    cat >icu.s <<TEXT
        .section .rodata, "a"
        .balign 16
        .globl $symbol
        .type $symbol, %object
$symbol:
        .incbin "/part/icu.dat"
        .size $symbol, .-$symbol
        .section .note.GNU-stack, ""
TEXT
    clang --target="$2-linux-gnu" -c -o "$object" icu.s
    llvm-ar r "/sysroot/$1" "$object"' sh "$archive" $machine 2>"$part/log" || {
    tail -n 10 "$part/log" >&2
    fail 70 "the data of ICU in the Swift runtime could not be reduced; its format may have changed"
}
python3 "$here/dpkg_database.py" "$arch" "$part/apt/cache/archives" "$part/dpkg"
sdk=$folder/sdks/edge-$target.artifactbundle
rm -rf "$sdk"
mkdir -p "$sdk/sdk"
# The paths are those inside the compiler's system: build.sh mounts the sysroot at /sysroot.
cat >"$sdk/info.json" <<JSON
{"schemaVersion": "1.0", "artifacts": {"edge-$target": {"type": "swiftSDK", "version": "1.0.0",
  "variants": [{"path": "sdk", "supportedTriples": ["x86_64-unknown-linux-gnu", "x86_64-pc-linux-gnu"]}]}}}
JSON
cat >"$sdk/sdk/swift-sdk.json" <<JSON
{"schemaVersion": "4.0", "targetTriples": {"$machine-unknown-linux-gnu": {
  "sdkRootPath": "/sysroot", "swiftResourcesPath": "/sysroot/usr/lib/swift", "swiftStaticResourcesPath": "/sysroot/usr/lib/swift_static",
  "toolsetPaths": ["toolset.json"]}}}
JSON
# The default linker of the compiler's system knows only amd64.
cat >"$sdk/sdk/toolset.json" <<'JSON'
{"schemaVersion": "1.0", "rootPath": "/usr/libexec/swift/bin", "swiftCompiler": {"extraCLIOptions": ["-use-ld=lld"]}}
JSON
mv "$part/dpkg" "$folder/dpkg-$target"
mv "$part/root" "$sysroot"
echo "$key" >"$sysroot/key"
