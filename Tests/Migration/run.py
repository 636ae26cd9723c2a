#!/usr/bin/env python3
"""Runs the commands of docs/migrating.md as they are written, on data in the old format. `make test-migration` calls it.

    run.py --program PROGRAM --models FOLDER --samples FOLDER --servers FOLDER [PART...]

PART is one of microphone, co2, isems, piwardrive and driftline; all without one. Needs root. Each part of the page runs on a machine of its own
(machine.py): legacy.py writes the replaced system's data there, the commands run in that system's folder, and checks.py compares what they print and
what the daemon answers then with what is in the data.

The tag of each fenced block of the page says what becomes of it:

    sh          each line must end with 0
    sh balena   left out: it needs a fleet of balena
    text        no commands

`systemctl`, `journalctl`, `docker` and `sudo` are programs of the test (bin/). They start the daemon with what the package's unit and the image's Dockerfile say;
anything that they do not know is an error. A part has five sections, whose titles are in SECTIONS.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.realpath(f"{HERE}/../..")
sys.path[:0] = [HERE, f"{HERE}/bin", f"{ROOT}/Tests/README"]
import pages
from pages import Failure

PAGE = "docs/migrating.md"
SECTIONS = ["What stays the same", "What differs", "What to copy", "How to verify", "How to go back"]
KINDS = {"sh": "command"}
LEFT_OUT = {"sh balena": "it needs a fleet of balena"}
# A part of the page and the folder of the replaced system in which its commands run.
PARTS = {
    "microphone": ("From the microphone aggregator", "/srv/aggregator"),
    "co2": ("From the CO2 units' server", "/srv/co2unit-server"),
    "isems": ("From the ISEMS data collector", "/srv/isems-data-collector"),
    "piwardrive": ("From the PiWardrive aggregation service or the sync receiver", "/srv/piwardrive-aggregation"),
    "driftline": ("From the Driftline data aggregator", "/srv/data-aggregator"),
}
COMMAND_SECONDS = 180


def headed(text, mark):
    """(title, text below it) of each heading with this mark, in order; what is above the first is left out."""
    pieces = re.split(rf"^{mark} (.+)$", text, flags=re.M)
    return list(zip(pieces[1::2], pieces[2::2]))


def parts(page):
    """part -> ((section, kind, command) to run, (command, reason) left out)"""
    found = dict(headed(page, "##"))
    if list(found) != [title for title, _ in PARTS.values()]:
        raise Failure(f"{PAGE}: its parts are {list(found)}")
    result = {}
    for part, (title, _) in PARTS.items():
        sections = headed(found[title], "###")
        if [name for name, _ in sections] != SECTIONS:
            raise Failure(f"{PAGE}: the sections of \"{title}\" are {[name for name, _ in sections]}")
        run, left_out = [], []
        for name, text in sections:
            commands, skipped = pages.commands(text, PAGE, KINDS, LEFT_OUT)
            run += [(name, line) for _, line in commands]
            left_out += skipped
        result[part] = (run, left_out)
    return result


def inside(part, arguments, folder):
    """Runs a part. This process has name spaces of its own, and becomes one of the machine's."""
    import checks
    import legacy
    import machine

    sample = os.path.realpath(f"{arguments.samples}/birds_10s.wav")
    with open(f"{ROOT}/{PAGE}") as page:
        run, left_out = parts(page.read())[part]
    machine.enter(folder, arguments.program, arguments.models, arguments.servers)
    known = legacy.PARTS[part]("", sample)
    watch = checks.PARTS[part](known)
    watch.prepare()
    try:
        for _, line in run:
            begin = time.monotonic()
            try:
                done = subprocess.run(["bash", "-c", line], cwd=PARTS[part][1], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT, text=True, errors="replace", timeout=COMMAND_SECONDS)
            except subprocess.TimeoutExpired:
                raise Failure(f"`{line}` has not ended after {COMMAND_SECONDS} s\n{checks.logs()}") from None
            if done.returncode != 0:
                raise Failure(f"`{line}` ended with {done.returncode}:\n{done.stdout[-4000:]}\n{checks.logs()}")
            print(f"  {time.monotonic() - begin:6.1f} s  {line}", flush=True)
            watch.after(line, done.stdout)
        watch.end()
    finally:
        watch.close()
    for line, reason in left_out:
        print(f"  left out ({reason}): {line}")
    print(f"  {part}: {len(run)} commands run as written, {len(left_out)} left out, {watch.compared} results compared", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("program", "models", "samples", "servers"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--inside", metavar="FOLDER", help=argparse.SUPPRESS)
    parser.add_argument("parts", nargs="*", metavar="PART")
    arguments = parser.parse_args()
    if unknown := [part for part in arguments.parts if part not in PARTS]:
        parser.error(f"{unknown[0]} is none of {', '.join(PARTS)}")
    if arguments.inside:
        inside(arguments.parts[0], arguments, arguments.inside)
        return
    if os.geteuid() != 0:
        raise Failure("the machines of this test have mounts, a network and users of their own: run it as root")
    with open(f"{ROOT}/{PAGE}") as page:
        parts(page.read())
    failed = []
    for part in arguments.parts or PARTS:
        print(f"{PAGE}: {PARTS[part][0]}", flush=True)
        with tempfile.TemporaryDirectory(prefix="edge-migration-") as folder:
            done = subprocess.run(
                ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", sys.executable, os.path.abspath(__file__), "--inside", folder,
                 *(word for name in ("program", "models", "samples", "servers") for word in (f"--{name}", os.path.abspath(getattr(arguments, name)))),
                 part])
        if done.returncode != 0:
            failed.append(part)
    if failed:
        raise Failure(f"failed: {', '.join(failed)}")
    print("test-migration: all commands ran as written")


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        print(f"test-migration: {failure}", file=sys.stderr)
        sys.exit(1)
