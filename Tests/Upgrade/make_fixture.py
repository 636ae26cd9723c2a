"""Makes a fixture of what one version of the program leaves behind.

    make_fixture.py PROGRAM COMMIT clean|killed ARCHIVE

The program works with endpoints that take everything, then with ones that refuse something and lose answers, then without any. `clean` ends
it with SIGTERM, `killed` with SIGKILL in the middle of streams, uploads and pushes. The archive holds the device's folder, its settings,
what the card makes of edge.yaml, and `expected.json`.
"""

import argparse
import json
import os
import random
import shutil
import sys
import tarfile
import tempfile
import time

sys.dont_write_bytecode = True

import box
import card
import native
import oracle
from work import Work


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("commit")
    parser.add_argument("kind", choices=("clean", "killed"))
    parser.add_argument("archive")
    parser.add_argument("--card", default=f"{box.ROOT}/image/card", help="the folder image/card of that version")
    parser.add_argument("--unsure", action="store_true", help="the program overwrites some bytes of streams, as 5510d06 did")
    arguments = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="upgrade-fixture-")
    work = None
    try:
        native.build(folder)
        os.makedirs(f"{folder}/box/base")
        Work.prepare(f"{folder}/box")
        work = Work(f"{folder}/box")
        expected = run(work, arguments)
        expected["card"] = card.first_start(arguments.card, arguments.program, f"{folder}/box/card")
        with open(f"{folder}/box/expected.json", "w") as file:
            json.dump(expected, file, indent=0)
        pack(f"{folder}/box", arguments.archive)
    finally:
        if work:
            work.box.kill()
            work.far.close()
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{arguments.archive}: {os.path.getsize(arguments.archive)} bytes; {oracle.describe(expected)}")


def run(work, arguments):
    chance = random.Random(5510)
    work.is_unsure = arguments.unsure
    work.box.start(arguments.program)
    work.everything_is_taken(chance)
    work.some_is_refused(chance)
    work.answers_are_lost(chance)
    work.nobody_is_there(chance)
    said = oracle.snapshot(work.box)
    if arguments.kind == "killed":
        work.in_the_middle()
        work.box.kill()
        work.stop_sending()
    else:
        work.box.stop()
    work.far.postgres.start()
    moved = oracle.moved(oracle.Arrivals(work.far.events, [work.far.postgres.rows()]), oracle.facts(work.box))
    if moved:
        raise SystemExit(f"the program has changed what it had delivered before: {sorted(moved, key=str)}; try again")
    return {"commit": arguments.commit, "kind": arguments.kind, "made_at": time.time(), "sent": work.note(), "said": said,
            "events": work.far.events, "objects": work.far.objects,
            "rows": work.far.postgres.rows(), "files": oracle.files(work.box.base), "database": oracle.facts(work.box)}


def pack(folder, archive):
    left_out = {"settings-in-force.yaml", "clock"}
    shutil.rmtree(f"{folder}/card/run", ignore_errors=True)
    os.makedirs(os.path.dirname(os.path.abspath(archive)), exist_ok=True)
    with tarfile.open(archive, "w:xz", preset=9) as tar:
        for name in sorted(os.listdir(folder)):
            if name not in left_out and not name.startswith(("log-", "output-")):
                tar.add(f"{folder}/{name}", name)


if __name__ == "__main__":
    main()
