#!/usr/bin/env bash
# Removes from a root of Debian what tells when and where it was made: clean-root.sh ROOT. SOURCE_DATE_EPOCH is the time that it shall have.
set -euo pipefail
root=$1
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*.bin "$root"/var/cache/apt/archives/*.deb
find "$root/var/log" -type f -delete
# It has the inodes of the libraries.
rm -f "$root/var/cache/ldconfig/aux-cache"
# The day on which each password was last changed (shadow(5)).
awk -F: -v OFS=: -v day=$((SOURCE_DATE_EPOCH / 86400)) '{ $3 = day; print }' "$root/etc/shadow" >"$root/etc/shadow.part"
cat "$root/etc/shadow.part" >"$root/etc/shadow"
# Copies of these files as they were before.
rm -f "$root"/etc/shadow.part "$root"/etc/{passwd,group,shadow,gshadow,subuid,subgid}-
