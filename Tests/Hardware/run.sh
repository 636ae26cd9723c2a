#!/usr/bin/env bash
# `make test-hardware`: builds what the machine under test needs, and runs it. See docs/testing.md.
#
# Usage: [CONFIGURATION=release] run.sh RIG_FOLDER [SCRIPT]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
rig=$1
script=${2:-$here/run.py}
shim=$here/../../Sources/System/CEdgeGPIO
configuration=${CONFIGURATION:-debug}
products=$(swift build -c "$configuration" --show-bin-path)
# The release as the package has it, with the Swift runtime inside.
runtime=()
if [ "$configuration" = release ]; then runtime=(--static-swift-stdlib -debug-info-format none); fi
swift build -c "$configuration" "${runtime[@]}" --product edge-aggregator
# The shim over both forms of libgpiod: the machine's own, and 2.x from its sources.
gcc -std=gnu11 -O1 -Wall -Wextra -Werror -o "$products/gpio-check-1" "$here/gpio_check.c" "$shim"/*.c -I"$shim/include" \
    $(pkg-config --cflags --libs libgpiod)
objects=$(mktemp -d)
trap 'rm -rf "$objects"' EXIT
for source in "$rig"/gpiod2/lib/*.c; do
    gcc -std=gnu11 -O1 -c "$source" -o "$objects/$(basename "$source" .c).o" -I"$rig/gpiod2/include" -I"$rig/gpiod2/lib" \
        -D_GNU_SOURCE -DGPIOD_API_VERSION_STR='"2.5.0"'
done
gcc -std=gnu11 -O1 -Wall -Wextra -Werror -o "$products/gpio-check-2" "$here/gpio_check.c" "$shim"/*.c "$objects"/*.o \
    -I"$rig/gpiod2/include" -I"$shim/include"
gcc -std=gnu11 -O2 -Wall -Wextra -Werror -o "$products/gpio-pulses" "$here/gpio_pulses.c"
exec python3 "$script" "$rig" "$products"
