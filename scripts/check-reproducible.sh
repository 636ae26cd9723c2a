#!/usr/bin/env bash
# `make check-reproducible`: packs the programs of a release a second time, under other circumstances, and compares: check-reproducible.sh FOLDER
#
# FOLDER is what `make release` made. Packages, image and containers must be the same to the bit; the update but for its signature.
set -euo pipefail
cd "$(dirname "$0")/.."
me=check-reproducible
# shellcheck source=scripts/cross/common.sh
. scripts/cross/common.sh
[ $# -eq 1 ] || fail 64 "name the folder of the release: check-reproducible.sh FOLDER"
folder=$(realpath -m "$1")
[ -f "$folder/SHA256SUMS" ] || fail 66 "$folder has no finished release; \`make release\` makes one"
(cd "$folder" && sha256sum --quiet -c SHA256SUMS) || fail 65 "$folder is not as \`make release\` left it"
again=$folder.again
remove "$again"
remove "$again.steps"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Another umask, time zone, language and folder for temporary files; and another minute.
(umask 077 && AGAIN=yes TMPDIR=$work TZ=Pacific/Auckland LANG=C LC_ALL='' scripts/release.sh "$again")
# Both lists of sums have the sum of the update, which the signature changes; and they say nothing that is not compared here.
rm "$again/SHA256SUMS"
mkdir "$work/first"
find "$folder" -maxdepth 1 -type f ! -name SHA256SUMS -exec ln -s {} "$work/first/" \;
scripts/compare-release.py "$work/first" "$again"
if command -v diffoscope >/dev/null; then echo "$me: diffoscope shows what differs: diffoscope $folder $again"; fi
remove "$again"
remove "$again.steps"
