#!/usr/bin/env bash
# `make test-image`: assembles the arm64 card and starts it twice: as a Pi 4 with the card's own kernel, and as a Pi 5 with one whose
# pages are of 16 KiB.
#
#   arm64.sh SAMPLE.wav MODELS_FOLDER ARM64_MODELS_FOLDER
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
project=$(cd "$here/../.." && pwd)
sample=$(realpath "$1") models=$(realpath "$2") arm64_models=$(realpath "$3")
export cache=$project/var/image
work=$cache/arm64
rm -rf "$work"
mkdir -p "$work"
trap 'rm -rf "$work"' EXIT
"$project/scripts/fetch-kernel-16k.sh" "$cache/kernel-16k-package"
"$project/image/card/base.sh" arm64 "$cache/base-arm64.tar"
tar -xf "$cache/base-arm64.tar" -C "$work" --wildcards '*bin/busybox'
"$here/kernel.sh" "$cache/kernel-16k-package" "$cache/kernel-16k" "$(find "$work" -name busybox -type f | head -n 1)"

# The test's own files: who does what it is asked for, the second kernel's modules, and the model's reference program with a window.
tree=$work/tree
cp -r "$here/tree" "$tree"
mkdir -p "$tree/usr/lib/modules"
cp -r "$cache/kernel-16k/modules/." "$tree/usr/lib/modules/"
cp "$here/pages.py" "$tree/usr/lib/edge-test/"
aarch64-linux-gnu-gcc -O1 -o "$tree/usr/lib/edge-test/birdnet-reference" "$project/Tests/Reference/main.c" -ldl -lpthread
gcc -O1 -o "$work/birdnet-reference" "$project/Tests/Reference/main.c" -ldl -lpthread
python3 - "$sample" "$tree/usr/lib/edge-test/window" <<'PY'
# The first 144,000 samples, whatever their rate: both processors get the same.
import array
import sys
import wave
with wave.open(sys.argv[1]) as sound:
    assert sound.getsampwidth() == 2
    samples = array.array("h", sound.readframes(144_000 * sound.getnchannels()))[::sound.getnchannels()]
array.array("f", (sample / 32768 for sample in samples[:144_000])).tofile(open(sys.argv[2], "wb"))
PY
"$work/birdnet-reference" "$models/libtensorflowlite_c.so" "$models/BirdNET_GLOBAL_6K_V2.4_Model_FP32.tflite" score \
    "$tree/usr/lib/edge-test/window" "$work/scores"
"$project/image/card/build.sh" --arch arm64 --models "$arm64_models" --tree "$tree" "$work/card.img"
rm -f "$work"/*.root.ext4 "$work"/*.boot.vfat
TMPDIR=$work python3 "$here/arm64.py" "$work/card.img" "$cache/kernel-16k" "$work/scores"
