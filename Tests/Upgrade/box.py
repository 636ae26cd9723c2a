"""The device under test: a program, its folder and settings, and what its API and its database say."""

import json
import os
import re
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[1:1] = [f"{ROOT}/Tests/Oracle"]
import patience  # noqa: E402
import wire  # noqa: E402

TOKEN = "token-of-the-api"
NAME = "north-ridge"


class Fault(Exception):
    """The program ended, or did not do what it was asked."""


class Clock:
    """The clock of the device: synchronized, and at a time of its own (Tests/Doubles/shifted_clock.c), so that a fixture is always as old."""

    def __init__(self, folder, seconds=0):
        self.folder = folder
        library, self.shift = f"{folder}/shifted_clock.so", f"{folder}/shift"
        compiler = shutil.which("clang") or "cc"
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, f"{ROOT}/Tests/Doubles/shifted_clock.c", "-ldl"], check=True)
        with open(self.shift, "wb") as file:
            file.write(struct.pack("=qq", int(seconds * 1e9), 1))
        self.environment = {"LD_PRELOAD": library, "CLOCK_SHIFT_FILE": self.shift}


class Box:
    """`folder` holds `settings.yaml` (with places for what changes from run to run) and `base/`."""

    def __init__(self, folder, endpoints, clock_seconds=0):
        os.makedirs(f"{folder}/clock", exist_ok=True)
        self.clock = Clock(f"{folder}/clock", clock_seconds)
        self.folder, self.base = folder, f"{folder}/base"
        self.values = {
            "BASE": self.base, "HTTP": str(endpoints.port), "MQTT": str(endpoints.mqtt.port), "POSTGRES": endpoints.postgres.url,
            "MODELS": os.environ.get("EDGE_MODELS_DIR", f"{ROOT}/var/models"), "FOLDER": folder}
        self.process, self.plain, self.starts = None, 0, 0

    def settings_path(self):
        with open(f"{self.folder}/settings.yaml") as file:
            text = re.sub(r"@([A-Z]+)@", lambda found: self.values[found[1]], file.read())
        path = f"{self.folder}/settings-in-force.yaml"
        with open(path, "w") as file:
            file.write(text)
        return path

    def environment(self):
        kept = {name: value for name, value in os.environ.items()
                if name in ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH", "TMPDIR", "SWIFT_BACKTRACE") or name.endswith("SAN_OPTIONS")}
        return kept | self.clock.environment | {"CONFIG_PATH": self.settings_path()}

    def start(self, program):
        self.program, self.starts = os.path.abspath(program), self.starts + 1
        self.log_path, output_path = f"{self.folder}/log-{self.starts}", f"{self.folder}/output-{self.starts}"
        with open(self.log_path, "wb") as log, open(output_path, "wb") as output:
            self.process = subprocess.Popen([self.program, "run"], stdin=subprocess.DEVNULL, stdout=output, stderr=log,
                                            env=self.environment(), cwd=self.folder)

        def port():
            with open(output_path) as file:
                text = file.read()
            found = re.search(r"http://127\.0\.0\.1:(\d+)/", text)
            return int(found[1]) if found and "listeners POST" in text else None
        self.plain = patience.until("the daemon listens", port, self.check)
        patience.until("the daemon is ready", self.is_ready, self.check)

    def is_ready(self):
        try:
            return self.get("/readyz")
        except OSError:
            return None

    def check(self):
        if self.process.poll() is not None:
            raise Fault(f"the daemon ended with {self.process.returncode}; its log ends:\n{self.log()[-3000:]}")

    def log(self):
        with open(self.log_path, errors="replace") as log:
            return log.read()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(120)
        if status != 0:
            raise Fault(f"the daemon ended with {status} after SIGTERM; its log ends:\n{self.log()[-3000:]}")

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def get(self, path):
        return wire.get_json(self, path, (f"Authorization: Bearer {TOKEN}",))

    def pages(self, kind, query=""):
        rows, cursor = [], ""
        while True:
            page = self.get(f"/api/v1/{kind}?limit=1000{query}{cursor}")
            rows += page[kind]
            if page.get("next") is None:
                return rows
            cursor = f"&cursor={page['next']}"

    def command(self, *words):
        done = subprocess.run([self.program, *words, *(["--url", f"http://127.0.0.1:{self.plain}"] if words[0] != "settings" else [])],
                              env=self.environment(), cwd=self.folder, capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    # MARK: - What waits

    def outbox(self):
        """Deliveries by state."""
        rows = {"waiting": [], "held": [], "refused": []}
        for row in self.pages("deliveries"):
            rows.setdefault(row["state"], []).append(row)
        return rows

    def is_drained(self):
        """Whether all is received and analyzed, and nothing waits to be delivered."""
        if any(listener["is_connected"] for listener in self.get("/api/v1/listeners")["listeners"]):
            return False
        if any(row["state"] == "open" or (row["state"] == "closed" and row["analysis"] == "pending") for row in self.pages("recordings")):
            return False
        rows = self.outbox()
        return not rows["held"] and not rows["waiting"]

    # MARK: - What is on the disk

    def database(self, name="edge.db"):
        """The database, by the oracle's own reading of a copy: reading must change nothing. The daemon must not run."""
        folder = tempfile.mkdtemp(prefix="upgrade-database-")
        try:
            for suffix in ("", "-wal"):
                if os.path.exists(f"{self.base}/{name}{suffix}"):
                    shutil.copy(f"{self.base}/{name}{suffix}", f"{folder}/edge.db{suffix}")
            file, memory = sqlite3.connect(f"{folder}/edge.db"), sqlite3.connect(":memory:")
            file.backup(memory)
            file.close()
            return memory
        finally:
            shutil.rmtree(folder)

    def load(self, name):
        with open(f"{self.folder}/{name}") as file:
            return json.load(file)
