#!/usr/bin/env bash
# Makes the cross compiler, once: toolchain.sh FOLDER
#
# A Swift compiler reads only modules of its own version, and Debian's `swiftlang` exists for amd64 and arm64 in one version: the
# compiler of the amd64 package takes the modules and the static runtime of the arm64 package. It is in sid alone, so it goes
# into a Debian system of its own below FOLDER, and nothing of it is installed on this machine.
#
#   FOLDER/toolchain        the system with the compiler
#   FOLDER/swift-arm64      the Swift modules and the runtime for arm64
#   FOLDER/swift-version    the version of both packages
set -euo pipefail
me=cross-toolchain
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/cross/common.sh
. "$here/common.sh"
folder=$1
[ "$(dpkg --print-architecture)" = amd64 ] || fail 64 "the cross compiler runs on amd64; on this machine, build with \`make deb\` alone"
need_root
mkdir -p "$folder"
folder=$(realpath "$folder")
if [ -f "$folder/swift-version" ] && [ -x "$folder/toolchain/usr/libexec/swift/bin/swift-build" ] && [ -d "$folder/swift-arm64/swift_static" ]; then
    exit 0
fi
for tool in mmdebstrap dpkg-deb; do
    command -v $tool >/dev/null || fail 69 "$tool is missing; scripts/setup-image.sh installs what is needed"
done
echo "$me: fetching Debian's Swift compiler and its arm64 runtime: 1.3 GB to fetch, 8 GB of disk in $folder" >&2
need_room "$folder" 9000 "the cross compiler"
# What an interrupted run left.
remove "$folder/toolchain"
remove "$folder/swift-arm64"
remove "$folder/part"
rm -f "$folder/swift-version"
mkdir "$folder/part"
trap 'rm -rf --one-file-system "$folder/part/apt-amd64" "$folder/part/apt-arm64"' EXIT
suite="$(mirror) sid main"

newest() { apt-cache "${apt[@]}" show --no-all-versions "$1" 2>/dev/null | sed -n 's/^Version: //p' | head -n 1 || true; }
private_apt "$folder/part/apt-amd64" amd64 "$suite"
here_version=$(newest swiftlang)
private_apt "$folder/part/apt-arm64" arm64 "$suite"
there_version=$(newest swiftlang)
if [ -z "$here_version" ] || [ -z "$there_version" ]; then
    fail 69 "Debian sid does not offer swiftlang for amd64 (${here_version:-none}) and arm64 (${there_version:-none}) any more; build on a Pi with \`make deb\`"
fi
# A binary rebuild (+b1) of one processor only is the same source, and so the same compiler.
if [ "${here_version%+b*}" != "${there_version%+b*}" ]; then
    fail 69 "swiftlang is $here_version for amd64 but $there_version for arm64, and both must be of one version; wait until Debian has built both, or build on a Pi with \`make deb\`"
fi
least=6.2
dpkg --compare-versions "$here_version" ge "$least" || fail 69 "swiftlang is $here_version; the daemon needs $least or later"

echo "$me: swiftlang $there_version for arm64" >&2
(
    cd "$folder/part"
    # libswiftlang: the shared runtime, with which unit tests are linked.
    apt-get "${apt[@]}" download -q "swiftlang=$there_version" "libswiftlang=$there_version" >download.log 2>&1 || {
        tail -n 5 download.log >&2
        fail 69 "swiftlang for arm64 could not be fetched; run the command again to retry"
    }
    mkdir unpacked
    # Only the modules and the runtime: the compiler itself is for another processor.
    dpkg-deb --fsys-tarfile swiftlang_*_arm64.deb |
        tar -x -C unpacked ./usr/libexec/swift/lib/swift ./usr/libexec/swift/lib/swift_static ./usr/libexec/swift/lib/clang
    dpkg-deb --fsys-tarfile libswiftlang_*_arm64.deb | tar -x -C unpacked ./usr/libexec/swift/lib/swift/linux
    rm ./*swiftlang_*_arm64.deb
    mv unpacked/usr/libexec/swift/lib swift-arm64
    rm -r unpacked
)
echo "$me: swiftlang $here_version for amd64" >&2
mmdebstrap --mode=root --variant=minbase --architectures=amd64 --keyring="$(keyring)" \
    --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='APT::Sandbox::User "root"' --aptopt='Acquire::Retries "3"' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
    --include="swiftlang=$here_version,gcc,g++,git,ca-certificates,pkg-config,libc6-dev,dpkg-dev,binutils-aarch64-linux-gnu,file" sid "$folder/part/toolchain" "deb $suite" \
    >"$folder/part/bootstrap.log" 2>&1 || {
    tail -n 15 "$folder/part/bootstrap.log" >&2
    fail 69 "the system of the compiler could not be made from $(mirror); run the command again to retry"
}
rm -rf "$folder/part/toolchain"/var/cache/apt/archives/*.deb "$folder/part/toolchain"/var/lib/apt/lists/*
mv "$folder/part/toolchain" "$folder/toolchain"
mv "$folder/part/swift-arm64" "$folder/swift-arm64"
echo "$there_version" >"$folder/swift-version"
rm -rf --one-file-system "$folder/part"
