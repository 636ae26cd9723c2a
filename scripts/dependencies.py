#!/usr/bin/env python3
"""Checks or updates the locked versions of the Swift packages that Package.swift names.

    dependencies.py check     what is resolved is what Package.swift locks, no package more and none less
    dependencies.py update    writes the newest versions of the same major versions into Package.swift

Versions are locked and not revisions, because mirrors of a package may differ in the ids of their commits.
"""

import json
import os
import re
import subprocess
import sys

os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
LOCKED = re.compile(r'(locked\("([^"]+)", ")([^"]+)(")')


def package(*arguments, **environment):
    """What `swift package` prints."""
    done = subprocess.run(("swift", "package") + arguments, stdout=subprocess.PIPE, text=True,
                          env={**os.environ, **environment})
    if done.returncode != 0:
        sys.exit(f"dependencies: `swift package {' '.join(arguments)}` failed; see above")
    return done.stdout


def identity(url):
    return url.rstrip("/").removesuffix(".git").rsplit("/", 1)[-1].lower()


def repository(url):
    return "/".join(url.rstrip("/").removesuffix(".git").rsplit("/", 2)[-2:])


def check():
    problems = []
    manifest = json.loads(package("dump-package"))
    locked = {}
    for dependency in manifest["dependencies"]:
        for source in dependency.get("sourceControl", []):
            exact = source["requirement"].get("exact")
            if not exact:
                problems.append(f'{source["identity"]} has no exact version; write locked("OWNER/NAME", "VERSION")')
            locked[source["identity"]] = exact[0] if exact else None
    # Packages that a target of ours uses under no condition.
    used = {identity(product["product"][1]) for target in manifest["targets"] for product in target["dependencies"]
            if "product" in product and product["product"][3] is None}
    resolved = {}

    def walk(node, is_root):
        for child in node["dependencies"]:
            resolved[child["identity"]] = (child["version"], child["url"])
            if not is_root:
                used.add(child["identity"])
            walk(child, False)

    walk(json.loads(package("show-dependencies", "--format", "json")), True)
    for name, (version, url) in sorted(resolved.items()):
        if name not in locked:
            problems.append(f'{name} {version} is not locked; add to `indirect` in Package.swift: '
                            f'(locked("{repository(url)}", "{version}"), "{name}", "ONE OF ITS PRODUCTS"),')
        elif locked[name] and locked[name] != version:
            problems.append(f"{name} is resolved to {version}, but Package.swift locks {locked[name]}; "
                            "run `swift package resolve`, or remove Package.resolved")
    problems += [f"{name} is locked, but nothing needs it; remove it from Package.swift"
                 for name in sorted(set(locked) - used)]
    for problem in problems:
        print(f"dependencies: {problem}", file=sys.stderr)
    if problems:
        sys.exit(1)
    print(f"dependencies: {len(locked)} packages, all locked")


def update():
    # The manifest allows newer versions while this is set.
    package("update", EDGE_UPDATE_DEPENDENCIES="1")
    with open("Package.resolved") as file:
        newest = {pin["identity"]: pin["state"]["version"] for pin in json.load(file)["pins"]}
    changes = []

    def write(match):
        before, after = match[3], newest.get(identity(match[2]), match[3])
        if before != after:
            changes.append(f"{match[2]} {before} -> {after}")
        return match[1] + after + match[4]

    with open("Package.swift") as file:
        text = LOCKED.sub(write, file.read())
    with open("Package.swift", "w") as file:
        file.write(text)
    package("resolve")
    print("\n".join(changes) or "dependencies: nothing newer")
    check()


commands = {"check": check, "update": update}
if len(sys.argv) != 2 or sys.argv[1] not in commands:
    sys.exit(__doc__)
commands[sys.argv[1]]()
