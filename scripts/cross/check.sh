#!/usr/bin/env bash
# Says whether RELEASE and ARCH can be built for here, before anything is fetched: check.sh RELEASE ARCH
set -euo pipefail
me=deb
# shellcheck source=scripts/cross/common.sh
. "$(dirname "$0")/common.sh"
need_arch "$2"
need_release "$1"
[ "$(dpkg --print-architecture)" = amd64 ] || fail 64 "packages for another machine are cross-built on amd64; here \`make deb\` builds for this machine ($(dpkg --print-architecture))"
need_root
