#!/bin/bash
# Process 1 of the machine whose power is cut: sees the host's files read-only, and has one disk of its own.
here=$1
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev 2>/dev/null

mount -t tmpfs run /run
mkdir -p /run/disk /run/tmp
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/run/tmp TMPDIR=/run/tmp
ip link set lo up
exec python3 "$here/guest.py" $(sed 's/.*edge.arguments=\([^ ]*\).*/\1/; s/,/ /g' /proc/cmdline)
