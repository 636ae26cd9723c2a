#!/usr/bin/env bash
# `make test-archive`: what `make container` made: archive.sh ARCHIVE.tar amd64|arm64
#
# The archive is whole, is for the processor that it names, and has Dockerfile's settings and no compiler. Its root is unpacked and its start runs
# there, under qemu where it must, until its own health check passes.
set -euo pipefail
project=$(cd "$(dirname "$0")/../.." && pwd)
archive=$(realpath "$1") arch=$2
work=$(mktemp -d)
daemon=
finish() {
    if [ -n "$daemon" ]; then
        kill -TERM -- "-$daemon" 2>/dev/null || true
        for _ in $(seq 1 60); do
            kill -0 -- "-$daemon" 2>/dev/null || break
            sleep 0.5
        done
        kill -KILL -- "-$daemon" 2>/dev/null || true
    fi
    rm -rf --one-file-system "$work"
}
trap finish EXIT
mkdir "$work/image" "$work/root"
tar -xf "$archive" -C "$work/image"
python3 - "$work" "$arch" "$project/Dockerfile" <<'PY'
import hashlib
import json
import re
import sys
work, arch, dockerfile = sys.argv[1:]


def blob(descriptor):
    kind, digest = descriptor["digest"].split(":")
    data = open(f"{work}/image/blobs/{kind}/{digest}", "rb").read()
    assert hashlib.new(kind, data).hexdigest() == digest and len(data) == descriptor["size"], f"{digest} is not what it is called"
    return data


# OCI image-spec 1.0: layout, index, manifest, configuration.
assert json.load(open(f"{work}/image/oci-layout")) == {"imageLayoutVersion": "1.0.0"}
(entry,) = json.load(open(f"{work}/image/index.json"))["manifests"]
manifest = json.loads(blob(entry))
config = json.loads(blob(manifest["config"]))
assert (config["os"], config["architecture"]) == ("linux", arch), config["architecture"]
layers = [blob(layer) for layer in manifest["layers"]]
# Docker's own index names the same files.
(docker,) = json.load(open(f"{work}/image/manifest.json"))
assert [docker["Config"], *docker["Layers"]] == [f"blobs/{part['digest'].replace(':', '/')}" for part in [manifest["config"], *manifest["layers"]]]
text = open(dockerfile).read()
settings = config["config"]
assert {pair for line in re.findall(r"(?m)^ENV (.*)$", text) for pair in line.split()} <= set(settings["Env"])
assert settings["Entrypoint"] == json.loads(re.search(r"(?m)^ENTRYPOINT (.*)$", text)[1])
assert settings["Healthcheck"]["Test"] == ["CMD", "edge-aggregator", "healthcheck"] and settings["Healthcheck"]["Retries"] == 5
assert settings["Volumes"] == {"/data": {}} and set(settings["ExposedPorts"]) == {f"{port}/tcp" for port in re.search(r"(?m)^EXPOSE (.*)$", text)[1].split()}
print("\n".join(docker["Layers"]), file=open(f"{work}/layers", "w"))
print("\n".join(settings["Env"]), file=open(f"{work}/environment", "w"))
PY
echo "the archive is whole, and has Dockerfile's settings"
while read -r layer; do tar -xf "$work/image/$layer" -C "$work/root" --numeric-owner --exclude=./dev/\* --exclude=dev/\*; done <"$work/layers"
if find "$work/root" -type f -perm /111 \( -name 'cc' -o -name 'gcc*' -o -name 'g++*' -o -name 'clang*' -o -name 'ld' -o -name 'swift*' -o -name 'cc1*' \) | grep .; then
    echo "test-archive: there is a compiler in it" >&2
    exit 1
fi
echo "there is no compiler in it ($(du -sm --apparent-size "$work/root" | cut -f1) MB)"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
mapfile -t environment <"$work/environment"
environment+=("LISTEN=127.0.0.1:$port" METRICS_PORT=0 ANALYZE_RECORDINGS=false REQUIRE_API_TOKEN=yes)
inside() { exec "$project/image/card/foreign.py" "$arch" chroot "$work/root" /usr/bin/env -i "${environment[@]}" "$@"; }
mknod -m 666 "$work/root/dev/null" c 1 3 2>/dev/null || : >"$work/root/dev/null"
mknod -m 666 "$work/root/dev/urandom" c 1 9 2>/dev/null || true
mkdir -p "$work/root/proc"
set -m
(inside /usr/bin/edge-aggregator-start) >"$work/log" 2>&1 &
daemon=$!
set +m
for _ in $(seq 1 240); do
    if (inside edge-aggregator healthcheck) >"$work/health" 2>&1; then
        echo "its health check passes: $(head -c 200 "$work/health")"
        owner=$(stat -c %u "$work/root/data/edge.db")
        [ "$owner" = 990 ] || { echo "test-archive: /data/edge.db is of user $owner, not of edge-aggregator (990)" >&2; exit 1; }
        exit 0
    fi
    kill -0 "$daemon" 2>/dev/null || break
    sleep 0.5
done
cat "$work/health" "$work/log" >&2
echo "test-archive: the health check did not pass" >&2
exit 1
