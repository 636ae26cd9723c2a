#!/usr/bin/env bash
# Prints what a clean release build costs: processor time and objects of two revisions, built one after the other.
#
# Usage: build_time.sh BASE_REVISION [REVISION]
# REVISION is HEAD by default; what is not committed is not measured. The goal is at most 0.7 of the processor time.
set -euo pipefail
cd "$(dirname "$0")/.."
base=$(git rev-parse --verify "${1:?Usage: build_time.sh BASE_REVISION [REVISION]}^{commit}")
new=$(git rev-parse --verify "${2:-HEAD}^{commit}")
work=var/build-time
rm -rf "$work"
mkdir -p "$work"
trap 'rm -rf "$work"' EXIT

# Usage: measure NAME REVISION. Prints processor seconds, objects and elapsed seconds.
measure() {
    local folder=$work/$1 log=$work/$1.log command times
    git clone --quiet --no-checkout . "$folder"
    git -C "$folder" checkout --quiet --detach "$2"
    # Fetching packages is not part of the build.
    swift package --package-path "$folder" resolve >"$log" 2>&1 || { tail -n 20 "$log" >&2; return 1; }
    # As this revision's `make build` does it.
    command=$(make -s -C "$folder" --no-print-directory --eval='print-build: ; @echo $(BUILD_PROGRAM)' print-build)
    TIMEFORMAT='%U %S %R'
    times=$({ time env -C "$folder" bash -c "$command" >>"$log" 2>&1; } 2>&1) || { tail -n 20 "$log" >&2; return 1; }
    awk -v objects="$(find "$folder/.build/" -name '*.o' | wc -l)" '{ printf "%.0f %d %.0f\n", $1 + $2, objects, $3 }' <<<"$times"
    # Space for the next one.
    rm -rf "$folder"
}

base_figures=$(measure base "$base")
new_figures=$(measure new "$new")
echo "revision      CPU s  objects  elapsed s"
for line in "${base:0:12} $base_figures" "${new:0:12} $new_figures"; do
    read -r revision cpu objects elapsed <<<"$line"
    printf '%-12s %6d %8d %10d\n' "$revision" "$cpu" "$objects" "$elapsed"
done
read -r base_cpu base_objects _ <<<"$base_figures"
read -r new_cpu new_objects _ <<<"$new_figures"
awk -v a="$base_cpu" -v b="$new_cpu" -v c="$base_objects" -v d="$new_objects" \
    'BEGIN { printf "ratio        %6.2f %8.2f\n", b / a, d / c }'
