#!/bin/sh
# A Raspberry Pi's own start-up files, put into a root that is being bootstrapped: firmware.sh ROOT (a hook of mmdebstrap). The files
# alone: the package's scripts want a mounted boot partition.
set -eu
root=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get -o APT::Sandbox::User=root download -q raspi-firmware
dpkg-deb -x raspi-firmware_*.deb files
mkdir -p "$root/usr/share/doc/raspi-firmware"
cp files/usr/share/doc/raspi-firmware/copyright "$root/usr/share/doc/raspi-firmware/"
cp -r files/usr/lib/raspi-firmware "$root/usr/lib/"
