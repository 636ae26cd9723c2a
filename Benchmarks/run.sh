#!/usr/bin/env bash
# Builds what is measured and prints the figures of docs/performance.md; writes .build/bench.json.
set -euo pipefail
cd "$(dirname "$0")/.."
swift build -c release --static-swift-stdlib -debug-info-format none --product edge-aggregator
swift build -c release --static-swift-stdlib -debug-info-format none --product birdnet-reference
swift build -c release --static-swift-stdlib -debug-info-format none --product store-bench
mkdir -p .build/bench
for tool in load bare_server far_end units; do
    cc -O2 -Wall -Wextra -pthread -o ".build/bench/$tool" "Benchmarks/$tool.c"
done
exec python3 Benchmarks/bench.py "$@"
