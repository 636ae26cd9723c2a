#!/usr/bin/env bash
# Makes two updates of a card: bundles.sh ARCH CARD.img FOLDER. FOLDER gets good.raucb, which is the card again, and broken.raucb, whose daemon
# does not start.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
arch=$1 card=${2%.img} work=$3
bundle=$here/../../image/card/bundle.sh
ARCH=$arch "$bundle" "$card.img" 2 "$work/good.raucb"
cp --sparse=always "$card.root.ext4" "$work/broken.root.ext4"
cp --sparse=always "$card.boot.vfat" "$work/broken.boot.vfat"
printf '#!/bin/sh\necho "This version is broken." >&2\nexit 1\n' >"$work/broken.sh"
debugfs -w -f - "$work/broken.root.ext4" >/dev/null 2>&1 <<DEBUGFS
rm /usr/bin/edge-aggregator
write $work/broken.sh /usr/bin/edge-aggregator
sif /usr/bin/edge-aggregator mode 0100755
DEBUGFS
ARCH=$arch "$bundle" "$work/broken.img" 3 "$work/broken.raucb"
rm -f "$work"/broken.root.ext4 "$work"/broken.boot.vfat "$work/broken.sh"
