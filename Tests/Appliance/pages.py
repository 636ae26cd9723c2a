"""Tried in the box: do its programs and libraries work with the kernel's pages? Prints a JSON object of findings."""

import json
import mmap
import os
import sqlite3
import struct
import subprocess


def alignments(path):
    """Of a 64-bit little-endian ELF file's loaded parts (System V ABI, program header)."""
    with open(path, "rb") as file:
        head = file.read(64)
        if len(head) < 64 or head[:6] != b"\x7fELF\x02\x01":
            return []
        at, size, count = struct.unpack_from("<Q", head, 32)[0], *struct.unpack_from("<HH", head, 54)
        file.seek(at)
        table = file.read(size * count)
    return [struct.unpack_from("<Q", table, n * size + 48)[0] for n in range(count) if struct.unpack_from("<I", table, n * size)[0] == 1]


def elves():
    unfit, count = [], 0
    for top in ("/usr/bin", "/usr/sbin", "/usr/lib", "/usr/libexec", "/usr/share/edge-aggregator"):
        for folder, _, names in os.walk(top):
            for name in names:
                path = f"{folder}/{name}"
                if os.path.islink(path) or not os.path.isfile(path) or path.endswith((".ko", ".ko.xz")):
                    continue
                found = alignments(path)
                count += bool(found)
                if any(size % mmap.PAGESIZE for size in found):
                    unfit.append(path)
    return count, unfit


def database():
    """SQLite's write-ahead log, whose index is mapped memory shared by processes."""
    path = "/data/pages.db"
    base = sqlite3.connect(path)
    base.execute("PRAGMA journal_mode = WAL")
    base.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, x BLOB)")
    for round in range(20):
        with base:
            base.executemany("INSERT INTO t (x) VALUES (randomblob(500))", [()] * 200)
    other = "import sqlite3; print(sqlite3.connect('%s').execute('SELECT count(*) FROM t').fetchone()[0])" % path
    seen = int(subprocess.run(["python3", "-c", other], check=True, stdout=subprocess.PIPE, text=True).stdout)
    return {"rows": seen, "check": base.execute("PRAGMA integrity_check").fetchone()[0],
            "mode": base.execute("PRAGMA journal_mode").fetchone()[0]}


count, unfit = elves()
print(json.dumps({"page": mmap.PAGESIZE, "machine": os.uname().machine, "elves": count, "unfit": unfit, "database": database()}))
