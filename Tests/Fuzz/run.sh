#!/usr/bin/env bash
# Runs the decoders on made-up input, under libFuzzer and the address sanitizer. FUZZ_RUNS inputs in all (default ten
# million), FUZZ_SEED repeats a run. Input that breaks a rule is left in .build-fuzz/.
set -euo pipefail
cd "$(dirname "$0")/../.."

runs=${FUZZ_RUNS:-10000000}
seed=${FUZZ_SEED:-$RANDOM}
out=.build-fuzz
sources=(Sources/AudioDSP/Frames/*.swift Sources/AudioDSP/Formats/*.swift Sources/AudioDSP/Sessions/*.swift
    Sources/EdgeAggregator/Reception/Ingest/{ChunkedBody,StreamHead}.swift)
mkdir -p "$out"
echo "fuzz: seed $seed"

total=0
failed=0
# The decoders are small, the session is slow: of ten inputs so many for each.
for part in "FrameDecoder 3" "WAVHeader 3" "StreamWire 2" "ListenerSession 2"; do
    read -r name share <<<"$part"
    swiftc -swift-version 6 -O -parse-as-library -sanitize=fuzzer,address -module-name "$name" \
        -o "$out/$name" "${sources[@]}" "Tests/Fuzz/${name}Fuzz.swift" 2>&1 | { grep -v 'Cannot export local symbol' || true; }
    corpus="$out/corpus-$name"
    mkdir -p "$corpus"
    # A beginning: headers and frames as they should be.
    printf 'RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x80\xbb\x00\x00\x00\x77\x01\x00\x02\x00\x10\x00data\x00\x00\x00\x00abcd' >"$corpus/wav"
    printf 'POST /s?listener_id=a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n' >"$corpus/head"
    printf '5;x=y\r\nhello\r\n0\r\nA: b\r\n\r\n' >"$corpus/chunks"
    printf '\x3f\x00\x00\x00\x04\x00\x00abcd\x01\x00\x00\x04\x00\x00efgh' >"$corpus/frames"
    count=$((runs * share / 10))
    log="$out/$name.log"
    if ! "$out/$name" -runs="$count" -seed="$seed" -max_len=2048 -rss_limit_mb=512 -malloc_limit_mb=256 \
        -artifact_prefix="$out/" -print_final_stats=1 "$corpus" >"$log" 2>&1; then
        tail -n 30 "$log"
        failed=$((failed + 1))
    fi
    executed=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    memory=$(sed -n 's/^stat::peak_rss_mb: *//p' "$log")
    echo "fuzz: $name: ${executed:-0} inputs, peak ${memory:-?} MB"
    total=$((total + ${executed:-0}))
done
echo "fuzz: $total inputs, $failed failures"
[ "$failed" -eq 0 ]
