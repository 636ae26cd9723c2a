#!/usr/bin/env bash
# `make test-appliance`: builds the card's image for this machine's processor with the real daemon, and tries all of it.
#
#   run.sh RIG_FOLDER SAMPLE.wav MODELS_FOLDER PACKAGE.deb [PART...]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
project=$(cd "$here/../.." && pwd)
rig=$1 sample=$(realpath "$2") models=$(realpath "$3") package=$(realpath "$4")
shift 4
export cache=$project/var/image
[ "$(dpkg --print-architecture)" = amd64 ] || { echo "test-appliance: only made for amd64" >&2; exit 69; }
python3 "$here/test_edge_yaml.py"
"$here/kernel.sh" "$rig" "$cache/kernel"
work=$cache/test
rm -rf "$work"
mkdir -p "$work"
trap 'rm -rf "$work"' EXIT
mkdir "$work/models"
cp -r "$models"/{BirdNET_GLOBAL_6K_V2.4_Model_FP32.tflite,BirdNET_GLOBAL_6K_V2.4_MData_Model_V2_FP16.tflite,labels,libtensorflowlite_c.so,LICENSE,ATTRIBUTION} "$work/models/"
cp -r "$here/tree" "$work/tree"
cp "$project"/Tests/Hardware/{chips,mcp2221}.py "$work/tree/usr/lib/edge-test/"
"$project/image/card/build.sh" --arch amd64 --deb "$package" --kernel "$cache/kernel" --packages python3 --tree "$work/tree" \
    --models "$work/models" --root-mb 704 "$work/card.img"
# An update that proves well, one whose daemon does not start, and one that somebody else has signed.
"$here/bundles.sh" amd64 "$work/card.img" "$work"
"$project/image/card/keys.sh" "$work/strangers" 2>/dev/null
for part in root.ext4 boot.vfat; do head -c 1000000 /dev/urandom >"$work/small.$part"; done
ARCH=amd64 "$project/image/card/bundle.sh" "$work/small.img" 4 "$work/foreign.raucb" "$work/strangers"
rm -f "$work"/*.root.ext4 "$work"/*.boot.vfat
TMPDIR=$work python3 "$here/run.py" "$work/card.img" "$work/broken.raucb" "$work/good.raucb" "$work/foreign.raucb" "$package" "$sample" "$@"
