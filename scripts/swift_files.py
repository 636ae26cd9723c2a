"""Which files the checks of the sources read."""

import os


def files(paths):
    """Paths that are files, and the Swift files below those that are folders, in order."""
    for path in paths:
        if os.path.isfile(path):
            yield path
        for folder, folders, names in os.walk(path):
            folders.sort()
            for name in sorted(names):
                if name.endswith(".swift"):
                    yield os.path.join(folder, name)
