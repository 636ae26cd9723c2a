#!/usr/bin/env bash
# `make test-arm64`: the arm64 program under qemu's user mode emulation: run.sh PROGRAM CROSS_FOLDER RELEASE [PART...]
#
#   scores   doctor, and the scores of `analyze` beside this machine's program
#   golden   the same over 200 windows (needs some minutes)
#   suites   the integration tests of SUITES against the emulated daemon
#   units    the unit tests of UNITS, cross-built
#
# Without PART: scores and suites. EDGE_MODELS_DIR, EDGE_SAMPLES_DIR and EDGE_TEST_SERVERS are those of this machine's tests,
# ARM64_MODELS_DIR has the model with the library for arm64. The emulator is told what to run: nothing is registered on the machine.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
project=$(cd "$here/../.." && pwd)
program=$(realpath "$1") cross=$(realpath "$2") release=$3
shift 3
parts=("$@")
[ ${#parts[@]} -gt 0 ] || parts=(scores suites)
# Frames received, analyzed, stored and delivered; uploads; FLAC; fields; units; kill -9 and recovery; SIGTERM.
suites=${SUITES:-StreamTests|UploadTests|FeatureTests|InfluxDeliveryTests|RecoveryTests|CO2UnitTests|PiWardriveUnitTests|ForecastTests}
# These put a library of this machine's processor into the daemon.
preloading='doesNotAcknowledgeWhatTheDiskRefusedOnce|whatCannotBeRemovedNowIsRemovedLater|whatCannotBeReadNowIsTriedAgain|theAnswerDoesNotWaitForAMergeThatCannotBeDone|whatCannotBeReadAtThatMomentIsMergedLater'
units=${UNITS:-.}
sysroot=$cross/sysroot-$release-arm64
[ -d "$sysroot" ] || { echo "test-arm64: $sysroot is missing; \`make deb ARCH=arm64 RELEASE=$release\` makes it" >&2; exit 66; }
readelf -h "$program" 2>/dev/null | grep -q 'Machine:.*AArch64' || { echo "test-arm64: $program is not a program for arm64" >&2; exit 65; }
command -v qemu-aarch64-static >/dev/null || { echo "test-arm64: qemu-user-static is missing; scripts/setup-image.sh installs it" >&2; exit 69; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
emulated=$work/edge-aggregator
cat >"$emulated" <<SH
#!/bin/sh
exec qemu-aarch64-static -L "$sysroot" "$program" "\$@"
SH
chmod +x "$emulated"
cd "$project"
native=$(swift build --show-bin-path)/edge-aggregator

for part in "${parts[@]}"; do
    echo "test-arm64: $part"
    case "$part" in
        scores) python3 "$here/scores.py" "$native" "$emulated" "$EDGE_MODELS_DIR" "$ARM64_MODELS_DIR" "$EDGE_SAMPLES_DIR/birds_10s.wav" ;;
        golden) python3 "$here/scores.py" --windows 200 "$native" "$emulated" "$EDGE_MODELS_DIR" "$ARM64_MODELS_DIR" "$EDGE_SAMPLES_DIR/birds_10s.wav" ;;
        suites) EDGE_PROGRAM=$emulated EDGE_PROGRAM_MODELS_DIR=$ARM64_MODELS_DIR swift test --filter "IntegrationTests.($suites)" --skip "$preloading" ;;
        units)
            # Shared libraries of the Swift runtime, and the testing library.
            TESTS=yes "$project/scripts/cross/build.sh" trixie arm64 debug "$cross" "$cross/out/trixie-arm64-tests"
            ARM64_SYSROOT=$cross/sysroot-trixie-arm64 "$here/units.sh" "$cross/out/trixie-arm64-tests/edge-aggregatorPackageTests.xctest" "$units" ;;
        *) echo "test-arm64: no part is called $part; there are scores, golden, suites and units" >&2; exit 64 ;;
    esac
done
