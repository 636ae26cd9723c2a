#!/usr/bin/env bash
# `make lint`: checks the format and the rules of the sources, and tests the scripts of continuous integration.
set -euo pipefail
cd "$(dirname "$0")/.."

swift format lint --strict --recursive --parallel Package.swift Sources Tests Benchmarks

fail() { echo "lint: $1" >&2; exit 1; }

# The leaves know no Foundation, no network, no database and not each other.
if grep -rnE '^(public |internal |package )?import (Foundation|NIO|GRDB|Hummingbird|Store|Sensors|EdgeAggregator)' Sources/AudioDSP; then
    fail "AudioDSP must not import these"
fi
if grep -rnE '^(public |internal |package )?import (Foundation|NIO|GRDB|Hummingbird|Store|AudioDSP|EdgeAggregator)' Sources/Sensors; then
    fail "Sensors must not import these"
fi
if grep -rnE '^(public |internal |package )?import (Foundation|NIO|GRDB|Hummingbird|Store|Sensors|AudioDSP|Uplink|EdgeAggregator)' Sources/Digests; then
    fail "Digests must not import these"
fi
if grep -rnE '^(public |internal |package )?import (Foundation|GRDB|Hummingbird|Store|Sensors|AudioDSP|Uplink|EdgeAggregator)' Sources/TLS; then
    fail "TLS must not import these"
fi
if grep -rnE '^(public |internal |package )?import (NIO|Hummingbird|AudioDSP|Sensors|EdgeAggregator)' Sources/Store; then
    fail "Store must not import these"
fi
if grep -rnE '^(public |internal |package )?import (NIO|GRDB|Hummingbird|AudioDSP|Sensors|Store|Uplink|EdgeAggregator)' Sources/FieldNodes; then
    fail "FieldNodes must not import these"
fi
# Input must not be able to end the daemon.
if grep -rnE 'try!|fatalError\(|as! ' Sources; then
    fail "no try!, fatalError or as! in Sources"
fi
# swift-format joins the two words.
if grep -rnE 'for unsafe' Sources; then
    fail "take elements by index instead of 'for unsafe'"
fi
scripts/check-unsafe.py
# Text of files, peers and people is searched by bytes or scalars.
scripts/check-text.py
# What every parser of text uses knows nothing else.
if grep -rnE '^(public |internal |package )?import ' Sources/TextParts; then
    fail "TextParts imports nothing"
fi
# The thread sanitizer must know every mutex.
for target in Sources/*/; do
    if grep -rqE 'Mutex[<(]' "$target" && [ "$target" != Sources/System/ ] && [ ! -e "${target}SanitizerMutex.swift" ]; then
        fail "${target}SanitizerMutex.swift is missing, so the thread sanitizer does not see the target's mutexes"
    fi
done
# What runs on bare metal too.
if grep -rnE '^import|any SensorDriver' Sources/Sensors/Drivers Sources/Sensors/Watch; then
    fail "drivers import nothing and use no existentials (Tests/Embedded)"
fi
bash -n .ci/run scripts/*.sh Tests/Fuzz/*.sh Tests/Hardware/*.sh Tests/Embedded/*.sh Benchmarks/*.sh
# A suppression without a reason hides a fault.
for file in Tests/Sanitizers/*.txt; do
    awk -v file="$file" '!/^#/ && NF && !explained { print "lint: " file ": line " NR " has no reason in a comment above" >"/dev/stderr"; bad = 1 }
        { explained = /^#/ } END { exit bad }' "$file" || fail "unexplained suppression"
done
for test in Tests/CI/test_*.py; do
    log=$(python3 "$test" 2>&1) || { echo "$log" >&2; fail "$test"; }
done
scripts/dependencies.py check
echo "lint: nothing found"
