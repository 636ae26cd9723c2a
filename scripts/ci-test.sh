#!/usr/bin/env bash
# Runs a test command and repeats the tests that failed. Names the failed tests at the end. A test that passes alone depends on
# the load of the machine: it is reported as UNSTEADY and does not fail the run.
#
#   ci-test.sh [COMMAND...]
#
# COMMAND runs all tests, or only those that EDGE_FILTER names. Without COMMAND: `make test`, then `make test-only`.
set -euo pipefail
cd "$(dirname "$0")/.."
all=("$@") some=("$@")
if [ $# -eq 0 ]; then all=(make test) some=(make test-only); fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT

if "${all[@]}" 2>&1 | tee "$log"; then exit 0; fi
mapfile -t failed < <(sed -n 's/^✘ Test \([A-Za-z0-9_]*\)(.*failed after.*/\1/p' "$log" | sort -u)
if [ ${#failed[@]} -eq 0 ]; then
    echo "ci-test: the command failed, but no test reported a failure: the build failed or the test process crashed:" >&2
    grep -aE "error:|signal|Fatal" "$log" | tail -n 20 >&2 || true
    exit 1
fi
if [ ${#failed[@]} -gt 5 ]; then
    echo "ci-test: FAILED: ${#failed[@]} tests: ${failed[*]}" >&2
    grep -a "recorded an issue" "$log" | tail -n 40 >&2 || true
    exit 1
fi
echo "ci-test: running alone: ${failed[*]}" >&2
grep -a "recorded an issue" "$log" | tail -n 20 >&2 || true
pattern=$(IFS='|'; echo "/(${failed[*]})\\(")
if EDGE_FILTER="$pattern" "${some[@]}" >"$log" 2>&1; then
    grep -a "Test run with" "$log" | tail -n 1 || true
    echo "ci-test: UNSTEADY: failed once, then passed alone: ${failed[*]}" >&2
    exit 0
fi
grep -aE "✘|recorded an issue|error:" "$log" | tail -n 40 >&2 || true
echo "ci-test: FAILED twice: ${failed[*]}" >&2
exit 1
