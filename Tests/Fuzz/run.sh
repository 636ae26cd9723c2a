#!/usr/bin/env bash
# Runs the decoders on made-up input, under libFuzzer and the address sanitizer. FUZZ_RUNS inputs in all (default ten
# million), FUZZ_SEED repeats a run. Input that breaks a rule is left in .build-fuzz/.
set -euo pipefail
cd "$(dirname "$0")/../.."

runs=${FUZZ_RUNS:-10000000}
seed=${FUZZ_SEED:-$RANDOM}
out=.build-fuzz
sound=(Sources/AudioDSP/Frames/*.swift Sources/AudioDSP/Formats/*.swift Sources/AudioDSP/Sessions/*.swift
    Sources/AudioDSP/Files/{SoundFileBytes,SoundFileError}.swift Sources/EdgeAggregator/Reception/Ingest/{ChunkedBody,StreamHead}.swift)
nodes=(Sources/FieldNodes/*/*.swift Sources/EdgeAggregator/HTTP/MultipartParser.swift -I Sources/System/CSQLite)
fields=(Sources/Forecasts/*/*.swift -I Sources/System/CBlosc -I Sources/System/CNetCDF -I Sources/System/COpenJPEG)
# pkg-config's words are several.
# shellcheck disable=SC2206
fields+=($(pkg-config --cflags libopenjp2 | sed 's/-I/-Xcc -I/g') $(pkg-config --libs blosc netcdf libopenjp2))
mkdir -p "$out"
# The sanitizer's own report is enough.
export SWIFT_BACKTRACE=enable=no
# What the parsers import.
swiftc -swift-version 6 -O -parse-as-library -wmo -emit-module -emit-module-path "$out/TextParts.swiftmodule" -module-name TextParts \
    -sanitize=fuzzer,address -c -o "$out/TextParts.o" Sources/TextParts/*.swift
echo "fuzz: seed $seed"

total=0
failed=0
# A unit's database, to be damaged.
rm -f "$out/unit.db"
python3 - "$out/unit.db" <<'EOF'
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("PRAGMA page_size = 512")
db.executescript("""CREATE TABLE health_records (timestamp TEXT PRIMARY KEY, cpu_temp REAL, cpu_percent REAL, memory_percent REAL, disk_percent REAL);
CREATE TABLE ap_cache (bssid TEXT PRIMARY KEY, ssid TEXT, encryption TEXT, lat REAL, lon REAL, last_time INTEGER);
CREATE TABLE users (username TEXT, password_hash TEXT);""")
db.executemany("INSERT INTO health_records VALUES (?, 40, 10, 50, 20)", [(f"2025-07-01T12:00:{n:02d}",) for n in range(40)])
db.executemany("INSERT INTO ap_cache VALUES (?, 's', 'WPA2', 69.5, 30.1, 1750000000)", [(f"{n:012x}",) for n in range(60)])
db.commit()
EOF
# The decoders are small, the session and files are slow: of a thousand inputs so many for each.
for part in "FrameDecoder 300" "WAVHeader 300" "StreamWire 178" "ListenerSession 200" "NodeLines 20" "UnitDatabase 2" \
    "GRIB 100" "INDEX 100" "ZARR 100" "BLOSC 100"; do
    read -r name share <<<"$part"
    sources=("${sound[@]}")
    entry="${name}Fuzz"
    case "$name" in
        NodeLines | UnitDatabase) sources=("${nodes[@]}") ;;
        GRIB | INDEX | ZARR | BLOSC)
            sources=("${fields[@]}")
            entry=ForecastFuzz
            export FUZZ_PART=$name ;;
    esac
    # The four kinds of forecasts are one program.
    case "$name" in INDEX | ZARR | BLOSC) ln -f "$out/GRIB" "$out/$name" ;; *) swiftc -swift-version 6 -enable-experimental-feature Lifetimes -O -parse-as-library -sanitize=fuzzer,address -module-name "$name" \
        -I "$out" -o "$out/$name" "${sources[@]}" "Tests/Fuzz/$entry.swift" "$out/TextParts.o" 2>&1 | { grep -v 'Cannot export local symbol' || true; } ;;
    esac
    corpus="$out/corpus-$name"
    mkdir -p "$corpus"
    # A beginning: headers and frames as they should be.
    printf 'RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x80\xbb\x00\x00\x00\x77\x01\x00\x02\x00\x10\x00data\x00\x00\x00\x00abcd' >"$corpus/wav"
    printf 'POST /s?listener_id=a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n' >"$corpus/head"
    printf '5;x=y\r\nhello\r\n0\r\nA: b\r\n\r\n' >"$corpus/chunks"
    printf '\x3f\x00\x00\x00\x04\x00\x00abcd\x01\x00\x00\x04\x00\x00efgh' >"$corpus/frames"
    case "$name" in GRIB | INDEX | ZARR | BLOSC)
        rm -f "$corpus"/*
        python3 Tests/Fuzz/forecast_seeds.py "$name" "$corpus" ;;
    esac
    if [ "$name" = NodeLines ]; then
        rm -f "$corpus"/*
        line='n;1;1530364575;ATmega8_A_1;711;0;18.614;18.614;14.073;100;100;28;11.67;14.086;7;20;52.507309;13.458635;300'
        printf '\x00%s\njunk\r\n%s' "$line" "$line" >"$corpus/isems"
        printf '\x02co2unit-1\tn\t2019-07-31\t13:00:10\t23.4375\t1\t680\t700\t710\tNone\t700\t690\t700\t700\t700\t700' >"$corpus/co2"
        printf '\x04{"batteryVoltage":13.9,"status":"100","timestamp":1530364575}' >"$corpus/json"
        printf '\x04[{"timestamp": "2025-07-01T12:00:00.123456", "cpu_temp": null, "cpu_percent": 1.5}]' >"$corpus/records"
        printf '\x05data/readings/readings-0000.tsv' >"$corpus/path"
        printf '\x05unit_id\tnickname\tsite\ttier\nco2unit-1\tn\ts\t3' >"$corpus/tiers"
        printf '\x06----- (2019, 10, 25, 3, 11, 24, 4, 298) WARN  Poor signal' >"$corpus/error"
        printf '\x062026-11-21T01:24:01.564991\tco2unit-1\tn\t8\t-97' >"$corpus/ping"
        printf '\x07--b\r\nContent-Disposition: form-data; name="file"; filename="app.db"\r\n\r\nx\r\n--b--\r\n' >"$corpus/form"
    fi
    count=$((runs * share / 1000))
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
