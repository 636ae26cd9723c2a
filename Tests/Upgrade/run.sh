#!/usr/bin/env bash
# `make test-upgrade`: upgrade, rollback and upgrade again between the program of the fixtures' commit and this one.
#
#   run.sh PROGRAM FOLDER [OLD_PROGRAM]
#
# Without OLD_PROGRAM, the fixtures' commit is built in FOLDER, once.
set -euo pipefail
program=$(realpath "$1")
folder=$2
old=${3:-}
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
commit=$(cat "$here/fixtures/COMMIT")
mkdir -p "$folder"
folder=$(realpath "$folder")
if ! git -C "$root" cat-file -e "$commit^{commit}" 2>/dev/null; then
    echo "test-upgrade: commit $commit is not in this clone; fetch it (git fetch --unshallow)" >&2
    exit 1
fi
# The card's scripts of that commit.
rm -rf "$folder/card"
mkdir -p "$folder/card"
git -C "$root" archive "$commit" image/card | tar -x -C "$folder/card"
if [ -z "$old" ]; then
    if [ ! -d "$folder/source" ]; then
        git clone --quiet --no-checkout "$root" "$folder/source.new"
        git -C "$folder/source.new" checkout --quiet "$commit"
        mv "$folder/source.new" "$folder/source"
    fi
    (cd "$folder/source" && swift build --product edge-aggregator)
    old=$folder/source/.build/debug/edge-aggregator
fi
for fixture in clean killed; do
    python3 "$here/check_fixture.py" "$program" "$here/fixtures/$fixture.tar.xz"
done
python3 "$here/there_and_back.py" "$old" "$program" --old-card "$folder/card/image/card" --rounds "${ROUNDS:-4}" --seed "${EDGE_SEED:-1}"
