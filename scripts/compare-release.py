#!/usr/bin/env python3
"""compare-release.py FOLDER FOLDER: whether two runs of a release made the same files.

Files must be equal to the bit. Of update bundles (.raucb) the file system must be: behind it RAUC puts a hash tree with a random salt and a
signature with its time, which differ in every bundle. Prints each difference with its place.
"""

import os
import struct
import sys

BLOCK = 1 << 20


def payload(path):
    """How many bytes of a bundle are its file system: what the squashfs superblock calls "bytes used" (offset 40), in blocks of 4 KiB."""
    with open(path, "rb") as file:
        head = file.read(96)
    if head[:4] != b"hsqs":
        sys.exit(f"compare-release: {path} does not begin with a squashfs")
    return (struct.unpack_from("<Q", head, 40)[0] + 4095) // 4096 * 4096


def first_difference(left, right, length=None):
    """The offset of the first byte that differs, or None. Compares `length` bytes, or everything."""
    with open(left, "rb") as one, open(right, "rb") as other:
        offset = 0
        while length is None or offset < length:
            count = BLOCK if length is None else min(BLOCK, length - offset)
            mine, theirs = one.read(count), other.read(count)
            if mine != theirs:
                pairs = enumerate(zip(mine, theirs))
                return offset + next((index for index, (a, b) in pairs if a != b), min(len(mine), len(theirs)))
            if not mine:
                return None
            offset += len(mine)
    return None


def compare(left, right):
    """Prints how one file compares; returns whether it is as it should be."""
    name = os.path.basename(left)
    if not name.endswith(".raucb"):
        place = first_difference(left, right)
        print(f"{name}: " + ("identical" if place is None else f"DIFFERENT from byte {place} on"))
        return place is None
    size = payload(left)
    place = first_difference(left, right, size) if size == payload(right) else 40
    if place is not None:
        print(f"{name}: its file system is DIFFERENT from byte {place} on")
        return False
    behind = os.path.getsize(left) - size
    print(f"{name}: identical but for the {behind} bytes of hash tree and signature behind its file system")
    return True


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    left, right = sys.argv[1:]
    names = [{name for name in os.listdir(folder) if os.path.isfile(f"{folder}/{name}")} for folder in (left, right)]
    is_same = True
    for name in sorted(names[0] ^ names[1]):
        print(f"{name}: ONLY in {left if name in names[0] else right}")
        is_same = False
    if not names[0] & names[1]:
        sys.exit("compare-release: there is nothing to compare")
    for name in sorted(names[0] & names[1]):
        is_same = compare(f"{left}/{name}", f"{right}/{name}") and is_same
    sys.exit(0 if is_same else 1)


if __name__ == "__main__":
    main()
