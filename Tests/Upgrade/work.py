"""A day of a device in a few seconds: what is sent to it, what its endpoints do meanwhile, and notes of both."""

import hashlib
import random
import shutil
import threading
import time

import endpoints
import senders
from box import HERE, Box, Fault
import flac
import patience

UNIT = "co2unit-30aea42a5140"


class Work:
    """What was sent so far. `note()` is the oracle's own record: nothing in it was asked of the daemon."""

    def __init__(self, folder, far=None, note=None, clock_seconds=0):
        self.folder = folder
        note = note or {"streams": [], "uploads": [], "unit": {"id": UNIT, "acknowledged": 0, "lines": 0}, "isems": [], "piwardrive": [],
                        "pings": 0, "may": {"isems": [], "piwardrive": []}}
        self.streams, self.uploads, self.isems, self.records = note["streams"], note["uploads"], note["isems"], note["piwardrive"]
        self.may, self.pings = note["may"], note["pings"]
        self.unit = senders.Unit(note["unit"]["id"], note["unit"]["acknowledged"], note["unit"]["lines"])
        self.far = far or endpoints.Endpoints()
        self.box = Box(folder, self.far, clock_seconds)
        self.bird = senders.birds(folder)
        self.number = 1000 * (1 + len(self.uploads))
        self.open = []
        #: Whether the program that runs is one that overwrites the first bytes of a run.
        self.is_unsure = False

    def note(self):
        return {"streams": self.streams, "uploads": self.uploads, "unit": self.unit.note(), "isems": self.isems, "piwardrive": self.records,
                "pings": self.pings, "may": self.may}

    @staticmethod
    def prepare(folder):
        shutil.copy(f"{HERE}/settings.yaml", f"{folder}/settings.yaml")
        shutil.copy(f"{HERE}/w1_slave", f"{folder}/w1_slave")

    # MARK: - One of each

    def next(self):
        self.number += 1
        return self.number

    def stream(self, listener, parts, has_header=True):
        stream = senders.Stream(self.box, listener, self.next(), has_header, self.is_unsure)
        for frames, skip in parts:
            stream.send(frames, skip)
        stream.end()
        self.streams.append(stream.note())

    def upload(self, chance, listener, content=None, container="wav"):
        if content is None:
            form = senders.formats.Format(senders.formats.SIGNED16, 1, senders.RATE)
            body = senders.sound(self.next(), 0, 6000)
            if container == "flac":
                content = flac.encode(form, body)
            else:
                content = senders.formats.wav_header(form, None, len(body)) + body
        name = senders.upload(self.box, chance, listener, f"sound {self.next()}.{container}", content)
        self.uploads.append({"listener": listener, "name": name, "sha256": hashlib.sha256(content).hexdigest()})

    def nodes(self, lines, messages, records, node="n1"):
        self.unit.add(lines)
        self.unit.push(self.box)
        self.unit.ping(self.box)
        self.pings += 1
        for _ in range(messages):
            value = self.next() / 1000
            senders.isems(self.box, node, value)
            self.isems.append({"node": node, "voltage": value})
            # A message without a time has the second of its arrival.
            time.sleep(1.05)
        for _ in range(records):
            number = self.next()
            record = (f"2025-07-01T{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}", number / 100)
            senders.piwardrive(self.box, "van7", [record], [f"AA:{number}"])
            self.records.append({"unit": "van7", "time": record[0], "cpu": record[1]})

    def settled(self, what):
        patience.until(what, self.box.is_drained, self.box.check, 0.2)

    # MARK: - The phases

    def everything_is_taken(self, chance):
        """All endpoints are there."""
        self.far.set_all()
        self.stream("north", [(25, 0)])
        self.stream("south", [(8, 0), (8, 2), (6, 9)])
        self.upload(chance, "birds", self.bird)
        self.upload(chance, "north", container="flac")
        self.nodes(12, 3, 2)
        self.settled("everything is delivered")

    def some_is_refused(self, chance):
        """Each endpoint takes most, refuses something for good, and stores something without being able to say so."""
        rules, postgres = self.far.rules, self.far.postgres
        rules["influx"] = endpoints.Rule(refuse=r"^(analysis|uploads|coverage),.*listener_id=west|source=isems/refused")
        rules["s3"] = endpoints.Rule(refuse="/west/")
        rules["prometheus"] = endpoints.Rule(refuse=r"[0-4]\d{3}$")
        for table, column, value in [("edge_recordings", "listener_id", "west"), ("edge_observations", "source", "isems/refused")]:
            postgres.query(f"ALTER TABLE {table} ADD CONSTRAINT unwanted CHECK ({column} <> '{value}')")
        self.stream("west", [(12, 0), (6, 8)])
        self.upload(chance, "west")
        self.nodes(5, 2, 0, "refused")
        self.nodes(3, 1, 1)
        self.settled("everything is delivered or refused")
        patience.until("something is refused everywhere", lambda: {row["sink"] for row in self.box.outbox()["refused"]}
                       >= {"influx", "s3", "postgres", "prometheus"}, self.box.check, 0.2)
        rules["prometheus"] = endpoints.Rule()

    def take_everything(self):
        """All endpoints are there, and nothing is refused any more."""
        for table in ("edge_recordings", "edge_observations"):
            self.far.postgres.query(f"ALTER TABLE IF EXISTS {table} DROP CONSTRAINT IF EXISTS unwanted")
        self.far.set_all()

    def answers_are_lost(self, chance):
        for name in ("influx", "s3", "mqtt"):
            self.far.rules[name] = endpoints.Rule(lose="." if name != "influx" else "^(detections|analysis|coverage)")
        self.upload(chance, "birds", self.bird)
        self.stream("east", [(6, 0), (4, 7)])
        patience.until("answers were lost", lambda: {event[0] for event in self.far.events if event[3] == "lost"} >= {"influx", "s3", "mqtt"},
                       self.box.check)

    def nobody_is_there(self, chance):
        """All waits."""
        self.leave_alone()
        self.stream("north", [(14, 0)])
        self.stream("south", [(6, 0), (5, 10)], has_header=False)
        self.upload(chance, "birds", self.bird)
        self.upload(chance, "late", container="flac")
        self.nodes(9, 3, 2)
        patience.until("all is analyzed", lambda: not any(row["state"] == "open" or row["analysis"] == "pending"
                       for row in self.box.pages("recordings")), self.box.check, 0.2)
        patience.until("both databases are merged", lambda: self.merged() >= len(self.records), self.box.check, 0.2)
        time.sleep(2)

    def leave_alone(self):
        """No endpoint is there any more."""
        self.far.set_all(down=True)
        self.far.postgres.stop()

    def some_is_taken(self, *names):
        """These endpoints are there until nothing waits for them, and the others are not."""
        for name in names:
            self.far.rules[name] = endpoints.Rule()
        patience.until(f"{' and '.join(names)} have all", lambda: not any(
            row["sink"] in names and row["kind"] not in ("metrics", "observations") for row in self.box.outbox()["waiting"]), self.box.check, 0.2)
        self.leave_alone()

    def everything_is_delivered(self):
        """All endpoints are there and take everything, also what they refused before."""
        self.far.postgres.start()
        self.take_everything()
        self.settled("all that waits is delivered")
        status, text = self.box.command("deliveries", "--requeue")
        if status != 0:
            raise Fault(f"`deliveries --requeue` ends with {status}: {text}")
        patience.until("all that was refused is delivered", lambda: self.box.is_drained() and not self.box.outbox()["refused"], self.box.check, 0.2)

    def merged(self):
        """How many of the databases' records are in the store."""
        return len(self.box.pages("observations", "&source=piwardrive/van7&quantity=cpu"))

    def in_the_middle(self):
        """Sends from several clients, and returns while they are at it. `stop_sending` ends them after the kill."""
        self.threads, self.is_over = [], threading.Event()
        for listener, seed in [("north", self.next()), ("late", self.next())]:
            stream = senders.Stream(self.box, listener, seed, True, self.is_unsure)
            self.open.append(stream)
            self.thread(lambda stream=stream: (stream.send(1), time.sleep(0.05)))
        self.unit.add(400)
        self.thread(lambda: (self.unit.push(self.box, 1, 777), time.sleep(0.1)))
        self.thread(self.one_message)
        self.thread(self.one_record)
        chance = random.Random(7)
        self.thread(lambda: (self.upload(chance, "late"), time.sleep(0.4)))
        time.sleep(2.5)

    def one_message(self):
        value = self.next() / 1000
        self.may["isems"].append({"node": "n1", "voltage": value})
        senders.isems(self.box, "n1", value)
        self.isems.append(self.may["isems"].pop())
        time.sleep(1.05)

    def one_record(self):
        number = self.next()
        record = {"unit": "van7", "time": f"2025-07-02T{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}", "cpu": number / 100}
        self.may["piwardrive"].append(record)
        senders.piwardrive(self.box, "van7", [(record["time"], record["cpu"])], [f"AA:{number}"])
        self.records.append(self.may["piwardrive"].pop())
        time.sleep(0.1)

    def thread(self, one):
        def work():
            while not self.is_over.is_set():
                try:
                    one()
                except (OSError, ValueError, IndexError):
                    return
        thread = threading.Thread(target=work, daemon=True)
        self.threads.append(thread)
        thread.start()

    def stop_sending(self):
        self.is_over.set()
        for thread in self.threads:
            thread.join(20)
        for stream in self.open:
            stream.connection.close()
            self.streams.append(stream.note())
        self.open = []
