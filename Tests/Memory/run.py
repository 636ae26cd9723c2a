#!/usr/bin/env python3
"""`make test-memory`: the daemon under a load in a memory cgroup of the size of a small board: run.py PROGRAM MODELS SAMPLES

Thirty listeners send birds at their pace and two workers analyze them; a thousand listeners then send at their pace without analysis. Each part
runs in a cgroup with LIMIT_MB (default 768, which leaves a fourth of a 1 GB board to the system), page cache included and without swap, on a
folder on the disk. Nothing may be killed for want of memory, and no frame may be lost. Needs root. Prints the peak of each part.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, f"{ROOT}/Benchmarks")
import harness

LIMIT_MB = int(os.environ.get("LIMIT_MB", "768"))
SECONDS = int(os.environ.get("SECONDS_EACH", "60"))


def check(what, is_true, detail=""):
    if not is_true:
        sys.exit(f"FAILED: {what}: {detail}")
    print(f"  {what}", flush=True)


class Group:
    """A memory cgroup, version 1 or 2."""

    def __init__(self, limit):
        is_second = os.path.exists("/sys/fs/cgroup/cgroup.controllers")
        self.folder = f"/sys/fs/cgroup{'' if is_second else '/memory'}/edge-test-memory-{os.getpid()}"
        names = ("memory.max", "memory.peak", "memory.events", "memory.swap.max") if is_second else (
            "memory.limit_in_bytes", "memory.max_usage_in_bytes", "memory.oom_control", "memory.memsw.limit_in_bytes")
        self.peak_name, self.events_name = names[1], names[2]
        try:
            if is_second:
                self.write("/sys/fs/cgroup/cgroup.subtree_control", "+memory")
            os.mkdir(self.folder)
            self.write(f"{self.folder}/{names[0]}", str(limit))
            if os.path.exists(f"{self.folder}/{names[3]}"):
                self.write(f"{self.folder}/{names[3]}", "0" if is_second else str(limit))
        except OSError as error:
            sys.exit(f"test-memory: no memory cgroup can be made ({error}); it needs root and the memory controller of the kernel")

    @staticmethod
    def write(path, text):
        with open(path, "w") as file:
            file.write(text)

    def peak(self):
        return int(open(f"{self.folder}/{self.peak_name}").read())

    def kills(self):
        found = re.search(r"^oom_kill (\d+)", open(f"{self.folder}/{self.events_name}").read(), re.M)
        return int(found.group(1)) if found else 0

    def remove(self):
        for _ in range(50):
            try:
                os.rmdir(self.folder)
                return
            except OSError:
                time.sleep(0.1)


def metric(page, name):
    return int(re.search(rf"^{name} (\d+)", page, re.M).group(1))


def part(name, program, work, play, **settings):
    print(f"test-memory: {name}")
    group = Group(LIMIT_MB * 1_000_000)
    folder = tempfile.mkdtemp(prefix="data-", dir=work)
    script = f"{folder}.sh"
    with open(script, "w") as file:
        file.write(f'#!/bin/sh\necho $$ >"{group.folder}/cgroup.procs"\nexec "{program}" "$@"\n')
    os.chmod(script, 0o755)
    harness.DAEMON = script
    daemon = harness.Daemon(folder, **settings)
    try:
        sent = play(daemon)
        deadline = time.monotonic() + 600
        while (status := daemon.status())["queues"]["backlog_recordings"] > 0 and time.monotonic() < deadline:
            time.sleep(1)
        page = daemon.get("/metrics")
        resident = daemon.memory()[0]
        check("nothing was killed for want of memory", group.kills() == 0, group.kills())
        frames, missing = (metric(page, f"edge_aggregator_{kind}_frames_total") for kind in ("received", "missing"))
        check(f"all {frames} frames were received", frames >= sent and missing == 0, f"{sent} sent, {frames} received, {missing} missing")
        if status["analysis"]["windows"]:
            check(f"{status['analysis']['windows']} windows were analyzed, and none waits", status["queues"]["backlog_recordings"] == 0, status["queues"])
        print(f"  peak {group.peak() / 1e6:.0f} of {LIMIT_MB} MB with page cache; resident at the end {resident / 1e6:.0f} MB", flush=True)
    finally:
        daemon.stop()
        group.remove()


def main():
    program, models, samples = (os.path.realpath(path) for path in sys.argv[1:4])
    harness.MODELS, harness.SAMPLES = models, samples
    import bench
    bench.SAMPLES = samples
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR", "/var/tmp")) as work:
        load = f"{work}/load"
        subprocess.run(["cc", "-O2", "-pthread", "-o", load, f"{ROOT}/Benchmarks/load.c"], check=True)

        def thirty(daemon):
            path = bench.sound(SECONDS, daemon.folder)
            done = subprocess.run([program, "stream", path, "--listeners", "30", "--stagger", "0", "--interval", "0", "--files", "1", "--speed", "1",
                                   "--url", f"http://127.0.0.1:{daemon.port}/recordings_stream"], stderr=subprocess.PIPE, text=True)
            check("30 listeners have sent their sound", done.returncode == 0, done.stderr[-1000:])
            return 1

        def thousand(daemon):
            done = subprocess.run([load, str(daemon.port), "1000", str(SECONDS), "paced"], stdout=subprocess.PIPE, text=True, check=True)
            load_result = json.loads(done.stdout)
            check("1000 listeners have sent their sound", load_result["answered"] == 1000, load_result)
            return load_result["frames"]

        part("30 listeners, analyzed by two workers", program, work, thirty, ANALYZER_WORKERS=2)
        part("1000 listeners, received and stored", program, work, thousand, ANALYZE_RECORDINGS="false", MAX_LISTENERS=2000)


if __name__ == "__main__":
    main()
