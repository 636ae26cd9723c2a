#!/usr/bin/env bash
# `make test-container`: the container's image as Dockerfile makes it, but for its first stage, which needs the official Swift image:
# the program built here takes its place. Then the container runs, and its own health check has to pass.
#
#   run.sh PROGRAM CACHE_FOLDER
set -euo pipefail
project=$(cd "$(dirname "$0")/../.." && pwd)
program=$(realpath "$1")
cache=$(realpath -m "$2")
cd "$project"

# The two files differ in their heads alone.
if ! diff <(sed -n '/^FROM \${BUILDER}/,$p' Dockerfile) <(sed -n '/^FROM \${BUILDER}/,$p' Dockerfile.template); then
    echo "test-container: Dockerfile and Dockerfile.template differ" >&2
    exit 1
fi
grep -q '%%BALENA_ARCH%%' Dockerfile.template
python3 - <<'PY'
# What balena reads: names and forms (its documentation of balena.yml and of composition), and that every variable is a setting.
import re
import yaml
release = yaml.safe_load(open("balena.yml"))
assert release["name"] and release["type"] == "sw.application" and re.fullmatch(r"\d+\.\d+\.\d+", release["version"]) and release["description"]
version = re.search(r'"(.*)"', open("Sources/EdgeAggregator/API/Version.swift").read()).group(1)
assert release["version"] == version, f"balena.yml says {release['version']}, the program {version}"
data = release["data"]
assert data["defaultDeviceType"] in data["supportedDeviceTypes"] and {"raspberrypi4-64", "raspberrypi5"} <= set(data["supportedDeviceTypes"])
known = {line.split("`")[1] for line in open("docs/settings.md") if line.startswith("| `")}
for variable in data["applicationEnvironmentVariables"]:
    (name, value), = variable.items()
    assert name.lower() in known, f"balena.yml: {name} is no setting"
# A fleet variable replaces balenaOS's own value, which has I2C, SPI and sound on.
config = {name: value for variable in data["applicationConfigVariables"] for name, value in variable.items()}
assert {'"i2c_arm=on"', '"spi=on"', '"audio=on"', '"watchdog=on"'} == set(config["BALENA_HOST_CONFIG_dtparam"].split(",")), config
composition = yaml.safe_load(open("docker-compose.yml"))
assert composition["version"] == "2.4"
(name, service), = composition["services"].items()
assert {"80:8000", "8000:8000"} <= set(service["ports"])
# The replaced aggregator's volume, under its name: a device keeps what it has.
assert service["volumes"] == ["data:/data"] and set(composition["volumes"]) == {"data"}, "an existing fleet has its volume as data"
assert "devices" not in service, "a container with devices does not start where one is missing"
# What an overlay adds is of the same service, and nothing else.
for overlay, field in (("devices", "devices"), ("ports", "ports"), ("override", "env_file")):
    added = yaml.safe_load(open(f"docker-compose.{overlay}.yml"))
    assert set(added) == {"services"} and set(added["services"]) == {name} and set(added["services"][name]) == {field}, overlay
environment = dict(pair.split("=", 1) for line in re.findall(r"(?m)^ENV (.*)$", open("Dockerfile").read()) for pair in line.split())
for name in environment:
    assert name.lower() in known, f"Dockerfile: {name} is no setting"
listened = {address.rsplit(":", 1)[1] for address in environment["LISTEN"].split(",")} | {"8001"}
exposed = set(re.search(r"(?m)^EXPOSE (.*)$", open("Dockerfile").read()).group(1).split())
assert listened == exposed, f"Dockerfile listens on {listened} and exposes {exposed}"
for port in yaml.safe_load(open("docker-compose.ports.yml"))["services"]["edge-aggregator"]["ports"] + service["ports"]:
    assert port.split(":")[1] in listened, f"nothing listens on {port} in the container"
for line in open(".env.example"):
    if line.strip() and not line.startswith("#"):
        assert line.split("=")[0].lower() in known, f".env.example: {line}"
print("balena.yml, docker-compose*.yml, Dockerfile and the variables of .env.example: right")
PY

store=$cache/containers
mkdir -p "$store"
buildah() { command buildah --storage-driver vfs --root "$store/root" --runroot "$store/run" "$@"; }
work=$(mktemp -d)
container= daemon=
finish() {
    [ -z "$daemon" ] || kill -TERM -- "-$daemon" 2>/dev/null || true
    [ -z "$container" ] || buildah rm "$container" >/dev/null 2>&1 || true
    rm -rf "$work" "$store"
}
trap finish EXIT

# debian:bookworm-slim's stand-in: Debian's own packages, minimal.
base=$cache/base-container.tar
mirror=${MIRROR:-http://deb.debian.org/debian}
if [ ! -f "$base" ]; then
    mkdir -p "$cache"
    mmdebstrap --mode=root --format=tar --variant=minbase --aptopt='APT::Sandbox::User "root"' bookworm "$base.part" \
        "deb $mirror bookworm main" >"$work/log" 2>&1 || { tail -n 20 "$work/log" >&2; exit 69; }
    mv "$base.part" "$base"
fi
from=$(buildah from scratch)
buildah add -q "$from" "$base" / >/dev/null
buildah commit -q --format docker "$from" localhost/base >/dev/null
buildah rm "$from" >/dev/null

mkdir -p "$work/context/out/models" "$work/context/image"
cp -r image/container "$work/context/image/"
install -s "$program" "$work/context/out/edge-aggregator"
{
    echo 'ARG RUNTIME=localhost/base'
    printf 'FROM scratch AS build\nCOPY out /out\n'
    sed -n '/^FROM \${RUNTIME}/,$p' Dockerfile
} >"$work/context/Dockerfile"
buildah bud --isolation chroot --format docker --pull-never --build-arg RUNTIME=localhost/base -t localhost/edge "$work/context" >"$work/bud.log" 2>&1 || {
    tail -n 30 "$work/bud.log" >&2
    echo "test-container: the image could not be built" >&2
    exit 1
}
echo "the image is built"
check=$(buildah inspect --type image localhost/edge | python3 -c 'import json, sys; print(json.load(sys.stdin)["Docker"]["config"]["Healthcheck"]["Test"])')
[ "$check" = "['CMD', 'edge-aggregator', 'healthcheck']" ] || { echo "test-container: the health check is $check" >&2; exit 1; }
container=$(buildah from --pull-never localhost/edge)
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
environment=(--env "LISTEN=127.0.0.1:$port" --env METRICS_PORT=0 --env ANALYZE_RECORDINGS=false --env REQUIRE_API_TOKEN=yes
    --env BALENA_DEVICE_UUID=0123456789abcdef0123456789abcdef)
setsid bash -c "exec buildah --storage-driver vfs --root '$store/root' --runroot '$store/run' run --isolation chroot ${environment[*]} $container -- /usr/bin/edge-aggregator-start" \
    >"$work/daemon.log" 2>&1 &
daemon=$!
for _ in $(seq 1 120); do
    if buildah run --isolation chroot "${environment[@]}" "$container" -- edge-aggregator healthcheck >"$work/health" 2>&1; then
        echo "the container's health check passes: $(cat "$work/health")"
        owner=$(buildah run --isolation chroot "$container" -- stat -c %u /data/edge.db)
        [ "$owner" = 990 ] || { echo "test-container: /data/edge.db is of user $owner, not of edge-aggregator (990)" >&2; exit 1; }
        grep -q 'The token for the page' "$work/daemon.log" || { echo "test-container: no token was shown" >&2; exit 1; }
        name=$(python3 -c "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:$port/metrics').read().decode())" |
            sed -n 's/.*_info{.*aggregator_uuid="\([^"]*\)".*/\1/p')
        [ "$name" = edge-0123456789ab ] || { echo "test-container: the box is called $name" >&2; exit 1; }
        # There is no journal in a container: the log's newest lines are in files, and in the support bundle.
        buildah run --isolation chroot "${environment[@]}" "$container" -- /bin/sh -c \
            'edge-aggregator support-bundle -o /data/support.tar.gz >/dev/null 2>&1; tar -xzOf /data/support.tar.gz support/log.txt' >"$work/log.txt" || true
        grep -q '"message":"settings: ' "$work/log.txt" || {
            echo "test-container: the support bundle has no log:" >&2
            head -n 5 "$work/log.txt" >&2
            exit 1
        }
        echo "the daemon is not root, is called $name, made its token, and keeps its data and its log in /data"
        exit 0
    fi
    sleep 0.5
done
cat "$work/health" "$work/daemon.log" >&2
echo "test-container: the health check did not pass" >&2
exit 1
