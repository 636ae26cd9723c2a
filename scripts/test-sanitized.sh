#!/usr/bin/env bash
# `make test-sanitized`: runs the byte oracle and the integration suites against the whole daemon, built once with
# AddressSanitizer and once with ThreadSanitizer. Any report of a sanitizer fails the run and is printed.
#
#   SANITIZER=address|thread|both   default both
#   SEEDS=new|fixed                 fixed: only the seeds of Tests/Oracle/seeds.txt, which share MINUTES.
#                                   new (default): these share one minute, then MINUTES of new random seeds follow.
#   MINUTES=n                       byte oracle, per sanitizer; default 10
#   SEED_SECONDS=n                  time for one new seed; default 60
#   SUITES=REGEX|none               integration suites; default all
#
# Builds are kept in .build-address and .build-thread; logs and reports in var/sanitized.
set -euo pipefail
cd "$(dirname "$0")/.."
sanitizer=${SANITIZER:-both} seeds=${SEEDS:-new} minutes=${MINUTES:-10} seed_seconds=${SEED_SECONDS:-60} suites=${SUITES:-IntegrationTests}
seed_file=Tests/Oracle/seeds.txt
# Tests/CI replaces the oracle. Split at spaces.
# shellcheck disable=SC2206
oracle=(${ORACLE:-python3 Tests/Oracle/byte_oracle.py})
suppressions=$PWD/Tests/Sanitizers/thread-suppressions.txt

usage() { echo "test-sanitized: $1" >&2; exit 64; }
case "$sanitizer" in address | thread | both) ;; *) usage "SANITIZER=$sanitizer: must be address, thread or both" ;; esac
case "$seeds" in new | fixed) ;; *) usage "SEEDS=$seeds: must be new or fixed" ;; esac
[[ "$minutes" =~ ^[0-9]+$ ]] || usage "MINUTES=$minutes: must be a whole number"
[[ "$seed_seconds" =~ ^[1-9][0-9]*$ ]] || usage "SEED_SECONDS=$seed_seconds: must be a positive whole number"

failures=()
say() { echo "test-sanitized: $*"; }
fail() { say "FAILED: $*"; failures+=("$*"); }

# Runs `swift COMMAND` with the sanitizer: sanitized_swift SANITIZER COMMAND ARGUMENT...
sanitized_swift() {
    local name=$1 command=$2
    shift 2
    if [ "$name" = thread ]; then export EDGE_THREAD_SANITIZER=1; else unset EDGE_THREAD_SANITIZER; fi
    swift "$command" --sanitize="$name" --scratch-path ".build-$name" "$@"
}

# The options of both runtimes. Tests start the daemon with this environment.
set_options() {
    local name=$1 reports=$2 common
    # exitcode: distinguishes a report from the daemon's own exit codes.
    # handle_sigill: a Swift trap is a report too. Swift's own backtrace would replace it.
    # log_path: reports survive although tests kill the daemon or discard its standard error.
    common="exitcode=66:handle_sigill=1:log_path=$reports/report:log_exe_name=1"
    export SWIFT_BACKTRACE=enable=no
    if [ "$name" = address ]; then
        # detect_leaks=0: LeakSanitizer does not recognize Swift's tagged references and reports live objects as leaks.
        # detect_stack_use_after_return: finds pointers to local variables that outlive their call.
        export ASAN_OPTIONS="$common:detect_leaks=0:detect_stack_use_after_return=1:check_initialization_order=1:strict_string_checks=1"
    else
        # halt_on_error=0: one run reports all races.
        export TSAN_OPTIONS="$common:halt_on_error=0:second_deadlock_stack=1:suppressions=$suppressions"
    fi
}

# Fails if the program was built without the sanitizer or does not read the options.
check_program() {
    local name=$1 program=$2 title=AddressSanitizer variable=ASAN_OPTIONS
    if [ "$name" = thread ]; then title=ThreadSanitizer variable=TSAN_OPTIONS; fi
    # Not into a pipe of grep -q: the program must not get SIGPIPE.
    [[ "$(env "$variable=help=1" "$program" --version 2>&1 || true)" == *"Available flags for $title"* ]]
}

# Prints "SEED SECONDS" for each fixed seed: fixed_seeds TOTAL_SECONDS. A line of the file is "SEED [SECONDS] [# reason]"; a seed
# runs for its equal share of the total, at least 5 seconds, and at least for SECONDS.
fixed_seeds() {
    awk -v total="$1" '
        { sub(/#.*/, "") }
        NF == 0 { next }
        NF > 2 || $1 !~ /^[0-9]+$/ || (NF == 2 && $2 !~ /^[0-9]+$/) { print FILENAME ": line " NR " is not \"SEED [SECONDS]\"" >"/dev/stderr"; bad = 1; exit }
        { seed[++count] = $1; own[count] = NF == 2 ? $2 : 0 }
        END {
            if (bad) exit 65
            if (!count) { print FILENAME ": contains no seed" >"/dev/stderr"; exit 65 }
            share = int(total / count); if (share < 5) share = 5
            for (i = 1; i <= count; i++) print seed[i], (own[i] > share ? own[i] : share)
        }' "$seed_file"
}

# run_seed SANITIZER PROGRAM SEED SECONDS
run_seed() {
    local name=$1 program=$2 seed=$3 seconds=$4 status=0 log
    log=var/sanitized/$name/oracle-$seed.log
    say "$name: seed $seed for $seconds s"
    # The oracle ends its round after SECONDS and has time limits of its own; this one is for a deadlock of the oracle itself.
    timeout --kill-after=30 $((seconds * 3 + 600)) "${oracle[@]}" "$program" --seed "$seed" --seconds "$seconds" >"$log" 2>&1 || status=$?
    if [ "$status" -ne 0 ]; then
        tail -n 40 "$log"
        fail "$name: byte oracle, seed $seed, exit code $status. After the fix, add the line \"$seed $seconds  # what it found\" to $seed_file"
    fi
}

run_oracle() {
    local name=$1 program=$2 total=60 list end left seed seconds
    [ "$seeds" = fixed ] && total=$((minutes * 60))
    if ! list=$(fixed_seeds "$total"); then fail "$seed_file cannot be read"; return; fi
    while read -r seed seconds; do run_seed "$name" "$program" "$seed" "$seconds"; done <<<"$list"
    [ "$seeds" = new ] || return 0
    end=$((SECONDS + minutes * 60))
    while left=$((end - SECONDS)); [ "$left" -gt 0 ]; do
        seed=$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')
        run_seed "$name" "$program" "$seed" $((left < 5 ? 5 : left < seed_seconds ? left : seed_seconds))
    done
}

# Prints the reports of a sanitizer, at most five in full.
collect_reports() {
    local name=$1 reports=$2 file shown=0
    for file in "$reports"/report*; do
        [ -e "$file" ] || continue
        shown=$((shown + 1))
        if [ "$shown" -le 5 ]; then
            say "report in $file:"
            head -n 80 "$file"
        fi
    done
    [ "$shown" -gt 0 ] || return 0
    say "all reports:"
    cat "$reports"/report* | grep -a '^SUMMARY' | sort | uniq -c | sort -rn | head -n 40 || true
    fail "$name: $shown processes wrote a report to $reports"
}

run() {
    local name=$1 reports=$PWD/var/sanitized/$1 program=$PWD/.build-$1/debug/edge-aggregator
    unset ASAN_OPTIONS TSAN_OPTIONS
    rm -rf "$reports"
    mkdir -p "$reports"
    say "$name: building"
    if ! sanitized_swift "$name" build --product edge-aggregator >"$reports/build.log" 2>&1; then
        grep -aE "error:" "$reports/build.log" | tail -n 20
        tail -n 20 "$reports/build.log"
        fail "$name: build, see $reports/build.log"
        return
    fi
    if ! check_program "$name" "$program"; then
        fail "$name: $program is not built with the sanitizer"
        return
    fi
    set_options "$name" "$reports"
    run_oracle "$name" "$program"
    if [ "$suites" != none ]; then
        say "$name: suites $suites"
        scripts/ci-test.sh scripts/test-sanitized.sh suites "$name" >"$reports/suites.log" 2>&1 || {
            tail -n 60 "$reports/suites.log"
            fail "$name: suites, see $reports/suites.log"
        }
        grep -aE 'Test run with|UNSTEADY' "$reports/suites.log" | tail -n 3 || true
    fi
    collect_reports "$name" "$reports"
}

# Used above: the suites alone, or the tests that EDGE_FILTER names.
if [ "${1:-}" = suites ]; then
    sanitized_swift "$2" test --filter "${EDGE_FILTER:-$suites}"
    exit
fi

export SUITES=$suites
case "$sanitizer" in both) names=(address thread) ;; *) names=("$sanitizer") ;; esac
for name in "${names[@]}"; do run "$name"; done
if [ ${#failures[@]} -gt 0 ]; then
    say "${#failures[@]} failures:"
    printf '  %s\n' "${failures[@]}"
    exit 1
fi
say "no report and no difference with ${names[*]}"
