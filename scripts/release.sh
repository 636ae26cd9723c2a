#!/usr/bin/env bash
# `make release`: makes everything that a release consists of, on amd64: release.sh FOLDER
#
#   edge-aggregator_VERSION+debN_ARCH.deb          packages: amd64, arm64; bookworm (12), trixie (13)
#   edge-aggregator-VERSION-arm64.img.xz           the card's image
#   edge-aggregator-VERSION-arm64.raucb            the update for cards in use, signed with the key of var/image/keys
#   edge-aggregator-VERSION-container-ARCH.tar     containers
#   edge-aggregator-VERSION.spdx.json              what all of it consists of
#   CHANGELOG-VERSION.md, SHA256SUMS
#
# Run again after an interruption, it continues with the step that was not finished. What it finished is in FOLDER.steps; a commit or a change
# of the tree starts it from the beginning.
#
#   ALLOW_DIRTY=yes   also of a tree with changes that are not committed
#   MODELS=no         without BirdNET's model on the card and in the containers (its licence: CC BY-NC-SA 4.0)
#   KERNEL=FOLDER     the card's kernel (image/card/build.sh)
#   CROSS=FOLDER      the compiler and the libraries (var/cross)
#   CACHE=FOLDER      bootstrapped packages, and keys/ with the key of updates (var/image)
#   BUILD=debug       debug programs, for tests of this script
#   TARGETS="bookworm-arm64"  only these packages, and the containers of these processors; for tests of this script too
#   AGAIN=yes         packs the programs that CROSS has, and builds none (check-reproducible.sh)
set -euo pipefail
cd "$(dirname "$0")/.."
me=release
# shellcheck source=scripts/cross/common.sh
. scripts/cross/common.sh
[ $# -eq 1 ] || fail 64 "name the folder to write: release.sh FOLDER"
folder=$(realpath -m "$1") state=$(realpath -m "$1.steps")
cross=$(realpath -m "${CROSS:-var/cross}") cache=$(realpath -m "${CACHE:-var/image}") build=${BUILD:-release} models=${MODELS:-yes}
kernel=${KERNEL:-}
card_release=bookworm
read -r -a targets <<<"${TARGETS:-bookworm-amd64 bookworm-arm64 trixie-amd64 trixie-arm64}"
containers=()
for target in "${targets[@]}"; do
    need_release "${target%-*}"
    need_arch "${target#*-}"
    [ "${target%-*}" != $card_release ] || containers+=("${target#*-}")
done
[[ " ${targets[*]} " = *" $card_release-arm64 "* ]] || fail 64 "TARGETS is \"${targets[*]}\"; the card needs $card_release-arm64"
version=$(sed -n 's/.*static let text = "\(.*\)".*/\1/p' Sources/EdgeAggregator/API/Version.swift)
need_root
[ "$(dpkg --print-architecture)" = amd64 ] || fail 64 "the cross compiler runs on amd64; this machine is $(dpkg --print-architecture)"
git rev-parse HEAD >/dev/null 2>&1 || fail 66 "this is no git repository that $(id -un) may read; the time of a release is that of its commit"
changes=$(git status --porcelain)
if [ -n "$changes" ] && [ "${ALLOW_DIRTY:-}" != yes ]; then
    head -n 5 <<<"$changes" >&2
    fail 65 "the tree has changes that are not committed ($(wc -l <<<"$changes") files); commit them, or try with ALLOW_DIRTY=yes"
fi
[ -f CHANGELOG.md ] || fail 66 "CHANGELOG.md is missing"
scripts/changelog.py "$version" >/dev/null
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH
umask 022
# Debian's packages of a release are at most two days old.
export BASE_MOST_DAYS=${BASE_MOST_DAYS:-1}
mkdir -p "$folder" "$state"
need_room "$folder" 8000 "a release"
need_room "${TMPDIR:-/tmp}" 6000 "the assembly of the image"
exec 9>"$state/lock"
flock -n 9 || fail 75 "another release.sh works in $folder"

# What everything is made of: a step is finished only for this.
key=$({
    git rev-parse HEAD
    git diff HEAD
    git ls-files --others --exclude-standard -z | xargs -0 -r sha256sum
    printf '%s\n' "$models" "$kernel" "$build" "${targets[*]}" "$SOURCE_DATE_EPOCH"
} | sha256sum | cut -d' ' -f1)
# Usage: step NAME OUTPUT COMMAND...
step() {
    local name=$1 output=$2
    shift 2
    if [ -e "$output" ] && [ "$(cat "$state/$name" 2>/dev/null)" = "$key" ]; then
        echo "$me: $name: done before" >&2
        return
    fi
    echo "$me: $name" >&2
    rm -f "$state/$name"
    "$@"
    [ -e "$output" ] || fail 70 "$name made no $output"
    echo "$key" >"$state/$name"
}

number() { case "$1" in bookworm) echo 12 ;; trixie) echo 13 ;; esac; }
program() { echo "$cross/out/$1-$2-$build"; }
deb() { echo "$folder/edge-aggregator_$version+deb$(number "$1")_$2.deb"; }
card=$state/edge-aggregator-arm64.img
files=$folder/edge-aggregator-$version

make_image() {
    image/card/build.sh --arch arm64 --release $card_release --deb "$(deb $card_release arm64)" --cache "$cache" \
        ${model_folders[arm64]:+--models "${model_folders[arm64]}"} ${kernel:+--kernel "$kernel"} "$card"
}
compress_image() {
    # Two threads always: with another number xz may cut blocks in another way.
    env -u XZ_OPT -u XZ_DEFAULTS xz -6 -T2 -c "$card" >"$state/card.xz"
    mv "$state/card.xz" "$files-arm64.img.xz"
}
make_container() {
    image/container/build.sh --arch "$1" --release $card_release --deb "$(deb $card_release "$1")" --cache "$cache" \
        ${model_folders[$1]:+--models "${model_folders[$1]}"} "$files-container-$1.tar"
}
make_sbom() {
    local debs=() target
    for target in "${targets[@]}"; do debs+=(--deb "$(deb "${target%-*}" "${target#*-}")" "$cross/dpkg-$target/status"); done
    tar -xOf "$cache/base-$card_release-arm64.tar" ./var/lib/dpkg/status >"$state/status-card"
    scripts/sbom.py --version "$version" --swift "$(cat "$cross/swift-version")" "${debs[@]}" \
        --card "$files-arm64.img.xz" "$state/status-card" ${model_folders[arm64]:+--model} "$files.spdx.json"
    scripts/check-sbom.sh "$files.spdx.json" "$cross/../spdx"
}

for target in "${targets[@]}"; do
    release=${target%-*} arch=${target#*-}
    if [ "${AGAIN:-}" != yes ]; then
        # One compiler makes all four.
        step "program-$target" "$(program "$release" "$arch")/edge-aggregator" \
            scripts/cross/build.sh "$release" "$arch" "$build" "$cross" "$(program "$release" "$arch")"
    fi
    step "deb-$target" "$(deb "$release" "$arch")" \
        image/deb/build.sh "$folder" "$(program "$release" "$arch")/edge-aggregator" "$release" "$arch" "$cross"
done
declare -A model_folders=()
if [ "$models" = yes ]; then
    for arch in "${containers[@]}"; do
        case $arch in amd64) machine=x86_64 ;; arm64) machine=aarch64 ;; esac
        # It checks what is there, and fetches what is not.
        MACHINE=$machine scripts/fetch-models.sh "var/models-$arch" var/samples
        model_folders[$arch]=var/models-$arch
    done
fi
step image "$card" make_image
step image-xz "$files-arm64.img.xz" compress_image
step bundle "$files-arm64.raucb" env ARCH=arm64 image/card/bundle.sh "$card" "$version" "$files-arm64.raucb" "$cache/keys"
for arch in "${containers[@]}"; do step "container-$arch" "$files-container-$arch.tar" make_container $arch; done
make_sbom
scripts/changelog.py "$version" >"$folder/CHANGELOG-$version.md"
# Nothing of an earlier version, or of a run that was broken off, is published with it.
(
    cd "$folder"
    for file in *; do
        case "$file" in
            "edge-aggregator_$version+deb"1[23]_a[mr][dm]64.deb | "edge-aggregator-$version-arm64.img.xz" | "edge-aggregator-$version-arm64.raucb") ;;
            "edge-aggregator-$version-container-"a[mr][dm]64.tar | "edge-aggregator-$version.spdx.json" | "CHANGELOG-$version.md" | SHA256SUMS) ;;
            *) fail 65 "$folder/$file is no file of this release; move it elsewhere" ;;
        esac
    done
    find . -maxdepth 1 -type f ! -name SHA256SUMS -printf '%P\n' | LC_ALL=C sort | xargs -d '\n' sha256sum >"$state/sums"
    mv "$state/sums" SHA256SUMS
)
echo "$me: $version in $folder:" >&2
ls -l "$folder" >&2
