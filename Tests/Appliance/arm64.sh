#!/usr/bin/env bash
# `make test-image`: assembles the arm64 card with the real daemon and starts it in an emulated board.
#
#   arm64.sh PACKAGE.deb RELEASE SAMPLE.wav MODELS_FOLDER ARM64_MODELS_FOLDER [PART...]
#
# Parts: pi5 (pages of 16 KiB), pi4 (pages of 4 KiB, the card's own kernel), update (an update that fails and one that stays), kernel
# (KERNEL= with Debian's kernel in the layout of Raspberry Pi's). Without PART: pi5.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
project=$(cd "$here/../.." && pwd)
package=$(realpath "$1") release=$2 sample=$(realpath "$3") models=$(realpath "$4") arm64_models=$(realpath "$5")
shift 5
parts=("$@")
[ ${#parts[@]} -gt 0 ] || parts=(pi5)
export cache=$project/var/image
work=$cache/arm64
rm -rf "$work"
mkdir -p "$work"
trap 'rm -rf "$work"' EXIT
"$project/scripts/fetch-kernel-16k.sh" "$cache/kernel-16k-package"
busybox() { tar -xf "$cache/base-$release-arm64.tar" -C "$work" --wildcards '*bin/busybox' && find "$work" -name busybox -type f | head -n 1; }

# The test's own files: who does what it is asked for, the second kernel's modules, and the model's reference program with a window.
tree=$work/tree
cp -r "$here/tree" "$tree"
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
# The 16 KiB kernel needs an initrd with a busybox of its processor, which is in the card's own base.
libraries=$(dpkg-deb -f "$package" Depends | tr ',' '\n' | sed 's/[(|].*//; s/ //g')
# shellcheck disable=SC2086
BASE_RELEASE=$release "$project/image/card/base.sh" arm64 "$cache/base-$release-arm64.tar" $libraries
"$here/kernel.sh" "$cache/kernel-16k-package" "$cache/kernel-16k" "$(busybox)"
mkdir -p "$tree/usr/lib/modules"
cp -r "$cache/kernel-16k/modules/." "$tree/usr/lib/modules/"
# The box closes its API until it has a token, and a listener may send with one.
cat >"$work/edge.yaml" <<'YAML'
site_name: arm64-test
settings:
  api_token: "card-token-of-the-test"
  listener_tokens: {"*": "ears-of-the-test"}
  analyze_recordings: true
  safe_mode_minutes: 1
YAML
build=("$project/image/card/build.sh" --arch arm64 --release "$release" --deb "$package" --models "$arm64_models" --tree "$tree" --edge-yaml "$work/edge.yaml")
"${build[@]}" "$work/card.img"
arguments=("$work/card.img" "$cache/kernel-16k" "$work/scores" "$sample")
for part in "${parts[@]}"; do
    case "$part" in
        pi5 | pi4) ;;
        update) "$here/bundles.sh" arm64 "$work/card.img" "$work" ;;
        kernel)
            "$here/repack_kernel.sh" "$cache/base-$release-arm64.tar" "$work/kernel"
            "${build[@]}" --kernel "$work/kernel" "$work/own-kernel.img" ;;
        *) echo "test-image: no part is called $part; there are pi5, pi4, update and kernel" >&2; exit 64 ;;
    esac
done
rm -f "$work"/*.root.ext4 "$work"/*.boot.vfat
TMPDIR=$work python3 "$here/arm64.py" "${arguments[@]}" "${parts[@]}"
