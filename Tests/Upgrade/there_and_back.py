"""Upgrade, rollback and upgrade again, with new data under each version and endpoints that come and go.

    there_and_back.py OLD NEW [--old-card FOLDER] [--rounds 2]

The way back is the one of docs/package.md and docs/card.md: the older program starts on what the newer one has left. Every change of version
comes once after SIGTERM and once after SIGKILL in the middle of streams, uploads and pushes. In the end all is delivered, and everything is
held against what was sent.
"""

import argparse
import collections
import os
import random
import shutil
import sys
import tempfile

sys.dont_write_bytecode = True

import box
import card
import native
import oracle
import patience
from work import Work


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old")
    parser.add_argument("new")
    parser.add_argument("--old-card", default=f"{box.ROOT}/image/card", help="the folder image/card of the older version")
    parser.add_argument("--rounds", type=int, default=2, help="how often it goes back and forth; each second one with a kill")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    failures = 0
    for number in range(arguments.rounds):
        failures += bool(run(arguments, "stop" if number % 2 == 0 else "kill", arguments.seed + number))
    return 1 if failures else 0


def run(arguments, ending, seed):
    folder, journey = tempfile.mkdtemp(prefix="there-and-back-"), None
    try:
        native.build(folder)
        os.makedirs(f"{folder}/box/base")
        Work.prepare(f"{folder}/box")
        journey = Journey(arguments, f"{folder}/box", ending, random.Random(seed))
        try:
            journey.run()
        except (box.Fault, patience.TooSlow, OSError) as error:
            journey.told.append(journey.explain(error))
    finally:
        if journey:
            journey.work.box.kill()
            journey.work.far.close()
        if not os.environ.get("UPGRADE_KEEP"):
            shutil.rmtree(folder, ignore_errors=True)
    for line in journey.told[:40]:
        print(f"DIFFERENCE: {line}")
    print(f"there and back with {'SIGTERM' if ending == 'stop' else 'SIGKILL'}, seed {seed}: {len(journey.told)} differences; {journey.counts}", flush=True)
    return journey.told


class Journey:
    def __init__(self, arguments, folder, ending, chance):
        self.old, self.new, self.old_card = os.path.abspath(arguments.old), os.path.abspath(arguments.new), arguments.old_card
        self.new_card = f"{box.ROOT}/image/card"
        self.ending, self.chance, self.told, self.counts = ending, chance, [], ""
        self.work = Work(folder)
        self.box, self.files = self.work.box, {}
        self.box.open_names, self.excused = set(), set()

    def explain(self, error):
        try:
            waiting = [row for rows in self.box.outbox().values() for row in rows]
            return f"{error}; sinks: {self.box.get('/api/v1/sinks')}; outbox: {waiting[:20]}"
        except OSError:
            return f"{error}; the log ends:\n{self.box.log()[-3000:]}"

    def run(self):
        self.card(self.old_card, self.old, is_first=True)
        self.start(self.old)
        for phase in (self.work.everything_is_taken, self.work.some_is_refused, self.work.answers_are_lost, self.work.nobody_is_there):
            phase(self.chance)
        self.leave()
        for which, program, cards, sinks in (
                ("the upgrade", self.new, self.new_card, ("influx", "s3")), ("the rollback", self.old, self.old_card, ("mqtt",)),
                ("the second upgrade", self.new, self.new_card, ("s3", "prometheus"))):
            self.card(cards, program)
            self.arrive(which, program)
            self.work.nobody_is_there(self.chance)
            self.work.some_is_taken(*sinks)
            self.leave()
        self.arrive("the last start", self.new)
        self.work.everything_is_delivered()
        self.box.stop()
        self.check()

    def card(self, cards, program, is_first=False):
        """edge.yaml means the same to both versions."""
        folder = f"{self.box.folder}/card"
        result = card.first_start(cards, program, folder) if is_first else card.start(cards, program, folder)
        if is_first:
            self.made = result["made"]
        self.told += [f"edge.yaml with {os.path.basename(program)}: {line}" for line in result["said"]]
        if result["made"] != self.made:
            self.told.append(f"edge.yaml: {[path for path in self.made if result['made'].get(path) != self.made[path]]} changed")

    def start(self, program):
        self.work.is_unsure = program == self.old
        self.box.start(program)

    def arrive(self, which, program):
        """Starts a version, and compares what it says with what the one before said."""
        self.start(program)
        now = oracle.snapshot(self.box)
        lines = oracle.check_same(self.said, now, self.ending == "stop") + oracle.check_outbox(self.database["deliveries"], now["outbox"])
        self.told += [f"after {which}: {line}" for line in lines]
        self.log = self.box.log()

    def leave(self):
        """Ends a version; what it leaves is written down."""
        self.said = oracle.snapshot(self.box)
        if self.ending == "kill":
            self.work.in_the_middle()
            self.box.kill()
            self.work.stop_sending()
        else:
            self.box.stop()
        self.database = oracle.facts(self.box)
        if self.work.is_unsure:
            self.work.far.postgres.start()
            self.excused |= oracle.moved(oracle.Arrivals(self.work.far.events, [self.work.far.postgres.rows()]), self.database)
            self.work.far.postgres.stop()
        self.box.open_names |= {row[1] for row in self.database["recordings"] if row[3] == "open"}
        self.files |= oracle.files(self.box.base)

    def check(self):
        facts = oracle.facts(self.box)
        arrivals = oracle.Arrivals(self.work.far.events, [self.work.far.postgres.rows()])
        told, count = oracle.check_arrivals(arrivals, facts, True, self.excused, kills=4 if self.ending == "kill" else 0)
        self.told += told + oracle.check_sent(self.box, self.work.note(), self.files)
        self.told += [f"{name} was put aside" for name in os.listdir(self.box.base) if ".damaged-" in name or ".newer-" in name]
        sent, kinds = self.work.note(), collections.Counter(event[3] for event in self.work.far.events)
        self.counts = (f"{len(facts['recordings'])} recordings, {len(facts['detections'])} detections, {len(facts['ledger'])} lines of the ledger, "
                       f"{len(facts['observations'])} observations; {len(sent['uploads'])} uploads, {sent['unit']['acknowledged']} bytes of a unit, "
                       f"{len(sent['isems'])} messages, {len(sent['piwardrive'])} databases acknowledged; {count} facts at their endpoints, each once; "
                       f"answers: {dict(kinds)}; {len(self.excused)} keys moved by the older version itself")


if __name__ == "__main__":
    sys.exit(main())
