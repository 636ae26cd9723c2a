#!/usr/bin/env python3
"""dpkg_database.py ARCH PACKAGES_FOLDER FOLDER: a dpkg database of ARCH in which the packages of PACKAGES_FOLDER are installed.

dpkg-shlibdeps reads it (--admindir) to find the package of each library. Nothing is installed. The paths are those below /sysroot.
"""

import glob
import os
import shutil
import subprocess
import sys
import tempfile


def fields(control):
    """The fields of a control file, without continued lines."""
    return dict(line.split(": ", 1) for line in control.split("\n") if line and line[0] != " " and ": " in line)


def add(package, database):
    """Copies what dpkg would keep of a package; returns its stanza of the file "status"."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["dpkg-deb", "-e", package, folder], check=True)
        with open(f"{folder}/control") as file:
            control = file.read().rstrip("\n")
        known = fields(control)
        name = known["Package"] + (":" + known["Architecture"] if known.get("Multi-Arch") == "same" else "")
        for kind in ("symbols", "shlibs", "md5sums"):
            if os.path.exists(f"{folder}/{kind}"):
                shutil.copy(f"{folder}/{kind}", f"{database}/info/{name}.{kind}")
        listing = subprocess.run(["dpkg-deb", "-c", package], check=True, capture_output=True, text=True).stdout
        # "drwxr-xr-x root/root 0 2023-01-01 00:00 ./usr/lib/ -> target"
        paths = [line.split(None, 5)[5].split(" -> ")[0][1:].rstrip("/") for line in listing.splitlines()]
        # /lib is a link to /usr/lib, and a package may name either.
        paths += ["/usr" + path for path in paths if path.startswith("/lib")]
        with open(f"{database}/info/{name}.list", "w") as file:
            file.write("".join(f"/sysroot{path}\n" for path in paths))
    lines = control.split("\n")
    return "\n".join([lines[0], "Status: install ok installed", *lines[1:]]) + "\n"


def main():
    arch, packages, database = sys.argv[1:]
    os.makedirs(f"{database}/info", exist_ok=True)
    os.makedirs(f"{database}/updates", exist_ok=True)
    for name, text in (("info/format", "1\n"), ("arch", f"{arch}\n"), ("available", "")):
        with open(f"{database}/{name}", "w") as file:
            file.write(text)
    stanzas = [add(package, database) for package in sorted(glob.glob(f"{packages}/*.deb"))]
    with open(f"{database}/status", "w") as file:
        file.write("\n".join(stanzas))


main()
