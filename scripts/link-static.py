#!/usr/bin/env python3
"""Links the debug program anew with the Swift runtime inside, in seconds, from the objects that `swift build` made.

    link-static.py OUTPUT

`swift build --static-swift-stdlib` would do the same where nothing has to be compiled; where anything is, its objects ask for the
static runtime for good, and the next `swift build` of the same folder cannot link any more. Hence the linker alone is asked, as
the build's own list of commands has it.
"""

import json
import os
import re
import subprocess
import sys

MANIFEST = ".build/debug.yaml"
# What the objects do not name themselves, since they were compiled for the shared runtime.
RUNTIME = ["FoundationXML", "FoundationNetworking", "CoreFoundation", "_FoundationICU", "_FoundationCShims", "_FoundationCollections"]

output = sys.argv[1]
with open(MANIFEST) as file:
    found = re.search(r'"C\.edge-aggregator-[^"]*\.exe":\n(?:    .*\n)*?    args: (\[.*\])\n', file.read())
if not found:
    sys.exit(f"link-static: {MANIFEST} has no command that links edge-aggregator; is `swift build` of another version? See scripts/link-static.py")
command = json.loads(found[1])
# Link to a name of its own and rename it: a running daemon keeps the old file, and two builds side by side do not share one.
new = f"{output}.{os.getpid()}.new"
command[command.index("-o") + 1] = new
command += ["-static-stdlib", "-Xlinker", "--start-group"]
command += [word for name in RUNTIME for word in ("-Xlinker", f"-l{name}")]
command += ["-Xlinker", "--end-group"]
os.makedirs(os.path.dirname(output), exist_ok=True)
if subprocess.run(command).returncode != 0:
    sys.exit(1)
os.rename(new, output)
