#!/usr/bin/env bash
# Checks a list of contents with the SPDX project's own validator: check-sbom.sh FILE.spdx.json FOLDER
#
# FOLDER gets the validator (spdx-tools, Apache-2.0), once.
set -euo pipefail
file=$(realpath "$1") folder=$2
version=0.8.3
if [ "$(cat "$folder/version" 2>/dev/null)" != $version ]; then
    rm -rf "$folder"
    mkdir -p "$folder"
    python3 -m pip install -q --disable-pip-version-check --root-user-action=ignore --target "$folder/packages" "spdx-tools==$version" >"$folder/log" 2>&1 || {
        tail -n 5 "$folder/log" >&2
        echo "check-sbom: spdx-tools $version could not be fetched (is there a network?)" >&2
        exit 69
    }
    echo $version >"$folder/version"
fi
PYTHONPATH=$folder/packages python3 -m spdx_tools.spdx.clitools.pyspdxtools --infile "$file"
echo "check-sbom: $(basename "$file") is valid"
