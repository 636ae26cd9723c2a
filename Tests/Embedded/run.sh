#!/usr/bin/env bash
# The drivers as Embedded Swift for arm64, against the datasheets' examples under qemu-user. It shows that they are free of
# what only amd64 or a large library has; it is no arm64 build of the daemon.
set -euo pipefail
cd "$(dirname "$0")/../.."
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
# Character tables for comparing strings, which the toolchain has beside its embedded library.
tables=$(find "$(dirname "$(dirname "$(readlink -f "$(command -v swiftc)")")")" -path '*embedded/aarch64-none-none-elf/libswiftUnicodeDataTables.a' | head -n 1)
if [ -z "$tables" ]; then
    echo "embedded: this toolchain has no Embedded Swift for aarch64-none-none-elf" >&2
    exit 69
fi
swiftc -target aarch64-none-none-elf -parse-as-library -swift-version 6 -enable-experimental-feature Embedded \
    -enable-experimental-feature Extern -wmo -Osize -module-name EmbeddedCheck -c -o "$out/check.o" \
    Sources/Sensors/Quantity.swift Sources/Sensors/Bus/Bus.swift Sources/Sensors/Watch/*.swift \
    Sources/Sensors/GPIO/LineWatch.swift Sources/Sensors/GPIO/LineKinds.swift Sources/Sensors/Drivers/*.swift \
    Tests/SensorsTests/Drivers/{Datasheets,FaultyAnswers}.swift Tests/Embedded/main.swift
aarch64-linux-gnu-gcc -static-pie "$out/check.o" Tests/Embedded/runtime.c "$tables" -lm -o "$out/check"
file_kind=$(od -An -tx1 -j18 -N2 "$out/check" | tr -d ' ')
# e_machine 183, AArch64.
[ "$file_kind" = b700 ] || { echo "embedded: not an arm64 program" >&2; exit 1; }
qemu-aarch64-static "$out/check"
