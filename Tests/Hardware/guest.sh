#!/bin/bash
# The first program after the machine's start: file systems and network, then guest.py.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/edge-machine
here=$1
modules=$2
mount -t proc none /proc
mount -t sysfs none /sys
# Not over /tmp: the project may lie there.
mkdir -p /edge-machine && mount -t tmpfs none /edge-machine
mkdir -p /dev/shm && mount -t tmpfs none /dev/shm
mkdir -p /lib/modules && mount --bind "$modules" /lib/modules
busybox ip link set lo up
busybox ip addr add 10.0.2.15/24 dev eth0
busybox ip link set eth0 up
cd "$here"
python3 guest.py
# Nothing can follow: off.
echo o >/proc/sysrq-trigger
sleep 60
