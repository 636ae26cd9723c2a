#!/usr/bin/env bash
# `make count`: counts the instructions that the daemon needs on arm64 and on amd64: run.sh CROSS_FOLDER RELEASE BUILD [NAME...]
#
# Both programs are cross-built and run under qemu's user mode emulation, which counts. NAME is one of counts.py. Prints JSON.
set -euo pipefail
cd "$(dirname "$0")/../.."
cross=$(realpath -m "$1") release=$2 build=$3
shift 3
scripts/setup-image.sh
# Only this one takes plugins. It is not registered for programs of other processors.
scripts/install-packages.sh count qemu-user
tools=.build/bench
mkdir -p "$tools"
cc -O2 -Wall -Wextra -shared -fPIC -fvisibility=hidden -o "$tools/libcount_instructions.so" Benchmarks/Counts/count_instructions.c
for tool in load far_end; do cc -O2 -Wall -Wextra -pthread -o "$tools/$tool" "Benchmarks/$tool.c"; done
for arch in amd64 arm64; do
    scripts/cross/build.sh "$release" "$arch" "$build" "$cross" "$cross/out/$release-$arch-$build"
done
exec python3 Benchmarks/Counts/counts.py --build "$build" --plugin "$tools/libcount_instructions.so" --cross "$cross" --release "$release" "$@"
