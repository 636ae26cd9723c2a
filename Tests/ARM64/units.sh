#!/usr/bin/env bash
# Runs cross-built unit tests under emulation: units.sh TESTS.xctest REGEX. ARM64_SYSROOT names the libraries.
set -euo pipefail
tests=$1 filter=$2
# What they start of their own (the model's reference program, servers) is this machine's.
exec qemu-aarch64-static -L "$ARM64_SYSROOT" -E "LD_LIBRARY_PATH=$ARM64_SYSROOT/usr/lib/swift/linux" "$tests" --testing-library swift-testing \
    --filter "$filter"
