#!/usr/bin/env bash
# Makes a container's archive out of the daemon's package, without a compiler: build.sh --arch amd64|arm64 --deb FILE [options] OUTPUT.tar
#
#   --release NAME    bookworm (default) or trixie; the package is for it
#   --models FOLDER   the model, labels and library for this processor
#   --cache FOLDER    where bootstrapped packages are kept (var/image)
#
# OUTPUT.tar is an OCI archive, which is a Docker archive too (docker load, podman load, skopeo). Its settings are those of Dockerfile, from ENV on. It is the same to the
# bit for the same inputs and SOURCE_DATE_EPOCH. Programs of arm64 run under qemu where they must.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
project=$(cd "$here/../.." && pwd)
fail() { echo "container: $2" >&2; exit "$1"; }
arch= deb= release=bookworm models= cache=$project/var/image
while [ $# -gt 1 ]; do
    case "$1" in
        --arch) arch=$2 ;;
        --deb) deb=$(realpath "$2") ;;
        --release) release=$2 ;;
        --models) models=$(realpath "$2") ;;
        --cache) cache=$2 ;;
        *) fail 64 "unknown option $1; the head of image/container/build.sh lists them" ;;
    esac
    shift 2
done
output=$(realpath -m "${1:?container: name the archive to write}")
case "$arch" in amd64 | arm64) ;; *) fail 64 "--arch is \"$arch\"; it must be amd64 or arm64" ;; esac
case "$release" in bookworm) number=12 ;; trixie) number=13 ;; *) fail 64 "--release is \"$release\"; it must be bookworm or trixie" ;; esac
for tool in buildah mmdebstrap dpkg-deb; do
    command -v $tool >/dev/null || fail 69 "$tool is missing; scripts/setup-image.sh installs what is needed"
done
[ "$(id -u)" -eq 0 ] || fail 77 "run as root: the container's files belong to root"
[ -f "$deb" ] || fail 64 "--deb is missing; \`make deb ARCH=$arch RELEASE=$release\` makes the daemon's package"
[ "$(dpkg-deb -f "$deb" Architecture)" = "$arch" ] || fail 65 "$deb is for $(dpkg-deb -f "$deb" Architecture), the container for $arch"
version=$(dpkg-deb -f "$deb" Version)
[ "${version%+deb"$number"}" != "$version" ] || fail 65 "$deb is version $version, which is not for $release (+deb$number)"
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$project" log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH
umask 022
mkdir -p "$cache" "$(dirname "$output")"
base=$cache/container-$release-$arch.tar
mapfile -t libraries < <(dpkg-deb -f "$deb" Depends | tr ',' '\n' | sed 's/[(|].*//; s/ //g')
BASE_PACKAGES=$here/packages BASE_RELEASE=$release env -u SOURCE_DATE_EPOCH "$project/image/card/base.sh" "$arch" "$base" "${libraries[@]}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
mkdir "$root"
tar -xf "$base" -C "$root" --numeric-owner --exclude=./dev/\*
cp "$deb" "$root/tmp/daemon.deb"
cp "$here/setup" "$root/tmp/setup"
# The user first, so that the package finds it with the number that volumes know.
"$project/image/card/foreign.py" "$arch" chroot "$root" /bin/sh -ec '/bin/sh /tmp/setup; dpkg -i /tmp/daemon.deb' >"$work/log" 2>&1 || {
    tail -n 20 "$work/log" >&2
    fail 1 "the package could not be installed into the container"
}
rm "$root/tmp/daemon.deb" "$root/tmp/setup"
# A container gets its settings as variables, has its data in /data, and nothing in it is started by systemd.
rm -rf "$root/etc/edge-aggregator" "$root/var/lib/edge-aggregator" "$root/etc/systemd/system/multi-user.target.wants/edge-aggregator.service"
install -m 0755 "$here/start" "$root/usr/bin/edge-aggregator-start"
mkdir -p "$root/usr/share/edge-aggregator/models"
[ -z "$models" ] || cp -r --no-preserve=ownership "$models/." "$root/usr/share/edge-aggregator/models/"
chmod -R a+rX "$root/usr/share/edge-aggregator"
"$project/image/clean-root.sh" "$root"
for tool in cc gcc g++ clang ld as swiftc swift-build; do
    [ ! -e "$root/usr/bin/$tool" ] || fail 65 "the container has a compiler (/usr/bin/$tool); some package of its list brings it"
done

mkdir "$work/context"
tar -C "$root" --sort=name --numeric-owner --xattrs --xattrs-include='*' -cf "$work/context/root.tar" .
rm -rf "$root"
{
    printf 'FROM scratch\nADD root.tar /\n'
    printf 'LABEL org.opencontainers.image.title=edge-aggregator org.opencontainers.image.version=%s org.opencontainers.image.licenses=Apache-2.0\n' \
        "${version%+deb"$number"}"
    sed -n '/^ENV /,$p' "$project/Dockerfile"
} >"$work/context/Dockerfile"
buildah() { command buildah --storage-driver vfs --root "$work/store" --runroot "$work/run" "$@"; }
buildah bud --isolation chroot --format docker --platform "linux/$arch" --timestamp "$SOURCE_DATE_EPOCH" -t localhost/edge-aggregator "$work/context" \
    >"$work/log" 2>&1 || {
    tail -n 20 "$work/log" >&2
    fail 1 "buildah could not make the container"
}
rm -rf "$work/context"
buildah inspect --type image localhost/edge-aggregator >"$work/image.json"
buildah push --format oci localhost/edge-aggregator "oci:$work/oci" >"$work/log" 2>&1 || {
    tail -n 20 "$work/log" >&2
    fail 1 "buildah could not write the container"
}
"$here/archive.py" "$work/oci" "$work/image.json" "edge-aggregator:${version%+deb"$number"}" "$output.part"
mv "$output.part" "$output"
echo "container: $output (linux/$arch, $(du -h "$output" | cut -f1)$([ -n "$models" ] || echo ', without the model'))"
