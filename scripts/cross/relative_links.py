#!/usr/bin/env python3
"""relative_links.py ROOT: makes the absolute symbolic links below ROOT relative, as if ROOT were "/"."""

import os
import sys


def main():
    root = os.path.realpath(sys.argv[1])
    for folder, folders, files in os.walk(root):
        for name in folders + files:
            path = os.path.join(folder, name)
            if not os.path.islink(path):
                continue
            target = os.readlink(path)
            if target.startswith("/"):
                os.unlink(path)
                os.symlink(os.path.relpath(root + target, folder), path)


main()
