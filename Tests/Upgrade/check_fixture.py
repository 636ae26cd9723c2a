"""Upgrades what an older version left behind, and holds everything against what was sent and what had arrived.

    check_fixture.py PROGRAM ARCHIVE

It prints a line for each difference, and one with counts. The exit code is 1 if there was a difference.
"""

import json
import os
import random
import re
import shutil
import sys
import tarfile
import tempfile
import time

sys.dont_write_bytecode = True

import box
import card
import endpoints
import oracle
import patience

from work import Work


def main():
    program, archive = os.path.abspath(sys.argv[1]), sys.argv[2]
    folder = tempfile.mkdtemp(prefix="upgrade-check-")
    upgrade = None
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
        upgrade = Upgrade(program, folder)
        try:
            upgrade.run()
        except (box.Fault, patience.TooSlow, OSError) as error:
            upgrade.told.append(upgrade.explain(error))
    finally:
        if upgrade:
            upgrade.work.box.kill()
            upgrade.work.far.close()
        if not os.environ.get("UPGRADE_KEEP"):
            shutil.rmtree(folder, ignore_errors=True)
    for line in upgrade.told[:40]:
        print(f"DIFFERENCE: {line}")
    print(f"{os.path.basename(archive)}: {len(upgrade.told)} differences; {upgrade.counts}")
    return 1 if upgrade.told else 0


# So old is a fixture, whenever it is tried.
DAY = 86_400


class Upgrade:
    def __init__(self, program, folder):
        self.program, self.told, self.counts = program, [], ""
        with open(f"{folder}/expected.json") as file:
            self.expected = json.load(file)
        self.is_clean = self.expected["kind"] == "clean"
        self.work = Work(folder, endpoints.Endpoints(self.expected["events"], self.expected["objects"]), self.expected["sent"],
                         self.expected["made_at"] + DAY - time.time())
        self.box, self.far = self.work.box, self.work.far
        # Only these may be completed by a start.
        self.box.open_names = {row[1] for row in self.expected["database"]["recordings"] if row[3] == "open"}

    def tell(self, what, lines):
        self.told += [f"{what}: {line}" for line in lines]

    def explain(self, error):
        """An end that came too early, with what the device says."""
        try:
            waiting = [row for rows in self.box.outbox().values() for row in rows]
            return f"{error}; sinks: {self.box.get('/api/v1/sinks')}; outbox: {waiting[:20]}"
        except OSError:
            return f"{error}; the log ends:\n{self.box.log()[-3000:]}"

    def run(self):
        self.check_settings()
        self.far.set_all(down=True)
        self.far.postgres.stop()
        self.box.start(self.program)
        self.check_as_it_was()
        self.go_on()
        self.far.postgres.start()
        self.far.set_all()
        self.check_deliveries()
        self.box.stop()
        self.check_result("after the upgrade")
        self.start_again()

    def check_settings(self):
        """The settings and edge.yaml are taken as they are."""
        self.box.program = self.program
        status, text = self.box.command("settings", "check")
        # The fixture has settings of parts that are off, and some without effect.
        expected = re.compile(r"^warning: .*(configured and not used|no effect here).*$", re.M)
        if status != 0 or re.search("unknown|wrong|warning", expected.sub("", text)):
            self.told.append(f"settings check ends with {status}: {text}")
        before = self.expected["card"]["made"]
        again = card.start(f"{box.ROOT}/image/card", self.program, f"{self.box.folder}/card")
        self.tell("edge.yaml", again["said"])
        for path in before.keys() | again["made"].keys():
            if before.get(path) != again["made"].get(path):
                self.told.append(f"edge.yaml: {path} was {before.get(path)!r} and is {again['made'].get(path)!r}")

    def check_as_it_was(self):
        """While no endpoint is there: what the API says, and what waits."""
        if self.is_clean:
            patience.until("nothing is open", lambda: all(row["state"] != "open" for row in self.box.pages("recordings")), self.box.check)
        now = oracle.snapshot(self.box)
        self.tell("after the start", oracle.check_same(self.expected["said"], now, self.is_clean))
        self.tell("after the start", oracle.check_outbox(self.expected["database"]["deliveries"], now["outbox"]))
        log = self.box.log()
        # Endpoints that are not there, and a mended recording, are told; nothing else may be wrong.
        self.bad = [line for line in log.split("\n") if re.search(r" (error|critical) ", line) and not re.search("[Ee]ndpoint|far end|sink", line)]
        self.tell("log", self.bad)

    def go_on(self):
        """Nodes and listeners go on where they were."""
        chance = random.Random(17)
        if self.is_clean:
            self.work.stream("north", [(6, 0)])
            self.work.upload(chance, "birds", self.work.bird)
        # The unit goes on at its offset, and repeats a part as it does when an answer was lost.
        unit = self.work.unit
        unit.acknowledged = max(0, unit.acknowledged - 500)
        self.work.nodes(4, 1, 1)
        self.box.command("nodes")

    def check_deliveries(self):
        """What waited arrives once. What was refused stays refused until it is given another chance by the command."""
        patience.until("all that waits is delivered", self.box.is_drained, self.box.check, 0.2)
        refused = {row["id"]: row for row in self.box.outbox()["refused"]}
        before = {row[0]: row for row in self.expected["database"]["deliveries"] if row[5] == "refused"}
        for number in before.keys() - refused.keys():
            self.told.append(f"delivery {number} was refused and is not shown any more: {before[number]}")
        self.refused = len(refused)
        status, text = self.box.command("deliveries", "--state", "refused", "--limit", "1000")
        if status != 0 or any(f"#{number} " not in text for number in refused):
            self.told.append(f"`deliveries --state refused` ends with {status} and does not show all: {text[-500:]}")
        arrived = len(self.far.events)
        time.sleep(2.5)
        arrivals = oracle.Arrivals(self.far.events[arrived:], [])
        if any(key[0] not in ("observations", "health") for sink in ("influx", "mqtt") for key in arrivals.taken[sink]) or arrivals.taken["s3"]:
            self.told.append("something is delivered after all was delivered")
        first = next(iter(sorted(refused)))
        for words in (["--id", str(first)], ["--sink", "s3"], []):
            status, text = self.box.command("deliveries", "--requeue", *words)
            if status != 0:
                self.told.append(f"`deliveries --requeue {' '.join(words)}` ends with {status}: {text}")
        patience.until("all that was refused is delivered", lambda: self.box.is_drained() and not self.box.outbox()["refused"], self.box.check, 0.2)

    def check_result(self, what):
        """The device and its endpoints, when all is delivered and the device has ended."""
        facts = oracle.facts(self.box)
        arrivals = oracle.Arrivals(self.far.events, [self.expected["rows"], self.far.postgres.rows()])
        told, count = oracle.check_arrivals(arrivals, facts, True)
        self.tell(what, told)
        self.tell(what, oracle.check_sent(self.box, self.work.note(), self.expected["files"]))
        self.tell(what, self.check_moments(arrivals))
        self.tell(what, self.check_copies(facts))
        self.facts = facts
        self.counts = (f"{len(self.box.open_names)} recordings were open; {len(self.expected['database']['deliveries'])} deliveries waited "
                       f"or were refused ({self.refused}); {count} facts are at their endpoints, each once")

    def check_moments(self, arrivals):
        """The metrics that waited have arrived too, under their own times."""
        return [f"prometheus: the metrics of {time} were lost" for _, time in self.expected["database"]["metrics"]
                if not arrivals.taken["prometheus"][str(time // 1_000_000)]]

    def check_copies(self, facts):
        """A database that the older program could not read any more has a copy of before beside it."""
        before, told = self.expected["database"], []
        copies = sorted(name for name in os.listdir(self.box.base) if name.startswith("edge.db.level-"))
        steps = len(before["schema"])
        if facts["schema"][:steps] != before["schema"]:
            told.append(f"the steps of the schema are {facts['schema']}")
        if len(facts["schema"]) > steps:
            if copies != [f"edge.db.level-{steps}"]:
                told.append(f"the schema was changed, and the copies of before are {copies}")
            else:
                copy = oracle.facts(self.box, copies[0])
                told += [f"the copy of before differs in {name}" for name in ("recordings", "detections", "ledger", "deliveries", "node_files")
                         if copy[name] != before[name]]
        elif copies:
            told.append(f"the schema was not changed, and there are copies: {copies}")
        return told

    def start_again(self):
        """A second start changes nothing and delivers nothing again."""
        names, before = sorted(os.listdir(self.box.base)), self.facts
        self.box.start(self.program)
        patience.until("all that waits is delivered", self.box.is_drained, self.box.check, 0.2)
        time.sleep(1)
        self.box.stop()
        added = set(os.listdir(self.box.base)) - set(names) - {"edge.db-wal", "edge.db-shm"}
        if added:
            self.told.append(f"the second start made {sorted(added)}")
        self.check_result("after the second start")
        for name in ("recordings", "detections", "ledger", "node_files", "schema"):
            if self.facts[name] != before[name]:
                self.told.append(f"the second start changed {name}")


if __name__ == "__main__":
    sys.exit(main())
