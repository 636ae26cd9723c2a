"""Counts the instructions of the arm64 and of the amd64 program, under qemu's user mode emulation with a plugin.

    counts.py --plugin FILE --cross FOLDER --release RELEASE --build release [window|gigabyte|lines...]

    window    one window of three seconds analyzed: file to detections, BirdNET included
    gigabyte  a gigabyte of sound received and stored
    lines     a thousand lines delivered to InfluxDB

Each figure is the difference of two amounts of work, so that start and idle daemon are not in it. Instructions of the kernel are not counted. They say
nothing of time: another processor executes another number of them at a time.
"""

import argparse
import array
import json
import os
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness
from bench import sound
from deliveries import PORT, FarEnd, add_week, fresh

MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
# What the emulator offers: 128-bit NEON with dot products, as a Cortex-A76 has; and AVX2, but not AVX-512.
PROCESSORS = {"amd64": "max", "arm64": "max"}


class Target:
    """The program of one processor, and a script that runs it and counts."""

    def __init__(self, arch, options, folder):
        self.arch = arch
        self.counts = f"{folder}/counts-{arch}"
        self.program = f"{folder}/edge-aggregator-{arch}"
        self.models = f"{harness.ROOT}/var/models-{arch}"
        built = f"{options.cross}/out/{options.release}-{arch}-{options.build}/edge-aggregator"
        sysroot = f"{options.cross}/sysroot-{options.release}-{arch}"
        with open(self.program, "w") as script:
            script.write(f'#!/bin/sh\nexec qemu-{MACHINES[arch]} -cpu {PROCESSORS[arch]} -L "{sysroot}" '
                         f'-plugin "{os.path.abspath(options.plugin)},counts={self.counts}" "{built}" "$@"\n')
        os.chmod(self.program, 0o755)

    def count(self):
        return sum(array.array("Q", open(self.counts, "rb").read()))

    def daemon(self, folder=None, **settings):
        harness.DAEMON, harness.MODELS = self.program, self.models
        return harness.Daemon(folder, **settings)


def idle_rate(target, daemon, seconds=10):
    """Instructions a second of a daemon that has nothing to do."""
    time.sleep(3)
    before, began = target.count(), time.monotonic()
    time.sleep(seconds)
    return (target.count() - before) / (time.monotonic() - began)


def window(target):
    counts = []
    with tempfile.TemporaryDirectory() as folder:
        open(f"{folder}/settings.yaml", "w").close()
        environment = {key: value for key, value in os.environ.items() if not key.startswith("EDGE_")} | {
            "BASE_DIR": folder, "CONFIG_PATH": f"{folder}/settings.yaml", "MODELS_DIR": target.models, "LOG_LEVEL": "error", "ANALYZER_WORKERS": "1"}
        for windows in (4, 16):
            path = sound(3 * windows, folder)
            done = subprocess.run([target.program, "analyze", "--json", path], env=environment, capture_output=True, text=True)
            if done.returncode != 0:
                sys.exit(f"analyze: {done.stderr}")
            counts.append(target.count())
    return {"instructions_per_window": (counts[1] - counts[0]) / 12}


def gigabyte(target, megabytes=40, listeners=4):
    daemon = target.daemon(ANALYZE_RECORDINGS="false")
    idle = idle_rate(target, daemon)
    before, began = target.count(), time.monotonic()
    load = harness.run_json(f"{harness.TOOLS}/load", str(daemon.port), str(listeners), str(megabytes), "pushed")
    assert load["answered"] == listeners, load
    # What is done after the last answer: the end of the recordings.
    time.sleep(3)
    instructions = target.count() - before - idle * (time.monotonic() - began)
    daemon.stop()
    return {"instructions_per_gigabyte": instructions / load["bytes"] * 1e9, "idle_instructions_per_second": idle}


def delivered(target, days):
    """Delivers a number of lines: (lines, instructions from the daemon's start on but for those of idle time)."""
    settings = {"ANALYZE_RECORDINGS": "false", "INFLUX_URL": f"http://127.0.0.1:{PORT}", "CLOCK_WAIT_SEC": 0, "INFLUX_ANALYSIS_TABLE": "",
                "DELIVERY_RETRY_FIRST_SEC": 0.5, "DELIVERY_RETRY_MAX_SEC": 1}
    harness.DAEMON, harness.MODELS = target.program, target.models
    folder, database = fresh(**settings)
    add_week(database, days)
    database.execute("DELETE FROM deliveries WHERE kind = 'analysis'")
    database.commit()
    # The database is looked at, so that the daemon is asked nothing.
    waiting = "SELECT coalesce(sum(last_id - first_id + 1), 0) FROM deliveries WHERE kind = 'detections' AND state = 'waiting'"
    lines = database.execute(waiting).fetchone()[0]
    with FarEnd():
        began = time.monotonic()
        daemon = target.daemon(folder, **settings)
        while database.execute(waiting).fetchone()[0] > 0:
            time.sleep(0.2)
        time.sleep(1)
        instructions, seconds = target.count(), time.monotonic() - began
        instructions -= idle_rate(target, daemon) * seconds
        daemon.stop()
    database.close()
    return lines, instructions


def lines(target):
    (few, before), (many, after) = (delivered(target, days) for days in (0.1, 0.5))
    return {"instructions_per_thousand_lines": (after - before) / (many - few) * 1000}


def main():
    parser = argparse.ArgumentParser()
    for name in ("plugin", "cross", "release", "build"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("names", nargs="*", default=[])
    options = parser.parse_args()
    measurements = {"window": window, "gigabyte": gigabyte, "lines": lines}
    unknown = set(options.names) - measurements.keys()
    if unknown:
        sys.exit(f"counts: no measurement is called {', '.join(unknown)}; there are {', '.join(measurements)}")
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for arch in MACHINES:
            target = Target(arch, options, folder)
            results[arch] = {}
            for name in options.names or measurements:
                results[arch] |= measurements[name](target)
                print(f"count: {arch}, {name}: {results[arch]}", file=sys.stderr, flush=True)
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
