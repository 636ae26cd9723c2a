"""Deliveries: a week without a link and the way back, and files to S3."""

import os
import shutil
import sqlite3
import subprocess
import tempfile
import threading
import time
import urllib.request

from harness import SHM, TOOLS, Daemon

PORT = 18098
SECOND = 1_000_000_000
START = 1_795_224_464 * SECOND


class FarEnd:
    """A server that takes everything."""

    def __enter__(self):
        self.process = subprocess.Popen([f"{TOOLS}/far_end", str(PORT)], stdout=subprocess.PIPE, text=True)
        self.process.stdout.readline()
        return self

    def rate(self):
        """Megabytes a second, from the first body's first byte to the last one's last."""
        with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/") as answer:
            seconds, count = answer.read().split()
        return int(count) / float(seconds) / 1e6

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


class Peak:
    """The largest resident size of a process while something is done."""

    def __init__(self, daemon):
        self.daemon, self.bytes, self.ended = daemon, 0, False

    def __enter__(self):
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()
        return self

    def watch(self):
        while not self.ended:
            self.bytes = max(self.bytes, self.daemon.memory()[0])
            time.sleep(0.2)

    def __exit__(self, *_):
        self.ended = True
        self.thread.join()


def waiting(daemon):
    return sum(row["facts"] for sink in daemon.status()["sinks"] for row in sink["waiting"])


def fresh(**settings):
    """A folder with an empty database of the daemon's own making."""
    folder = tempfile.mkdtemp(prefix="edge-bench-", dir=SHM)
    Daemon(folder, **settings).stop(keep=True)
    database = sqlite3.connect(f"{folder}/edge.db")
    database.execute("PRAGMA synchronous = OFF")
    return folder, database


def add_recording(database, number, listener, start, state="unkept", bytes_=0, folder="x", seconds=600):
    name = f"l{listener}_{number}.wav"
    database.execute(
        "INSERT INTO recordings (name, listener_id, run, run_offset_frames, relative_path, state, start_ns, time_quality,"
        " boot_id, monotonic_ns, source, container, encoding, channels, sample_rate, duration_ns, bytes, closed_ns,"
        " analysis) VALUES (?, ?, 0, 0, ?, ?, ?, 'live', 'b', 0, 'stream', 'wav', 'signed16', 1, 48000, ?, ?, ?, 'done')",
        (name, f"l{listener}", f"{folder}/{name}", state, start, seconds * SECOND, bytes_, start + seconds * SECOND))
    return name


def add_delivery(database, sink, kind, rank, fact, at, bytes_=0, last=None):
    database.execute(
        "INSERT INTO deliveries (sink, kind, rank, first_id, last_id, state, created_ns, bytes)"
        " VALUES (?, ?, ?, ?, ?, 'waiting', ?, ?)", (sink, kind, rank, fact, last or fact, at, bytes_))


def add_week(database, days, listeners=30, every_seconds=10):
    """What busy listeners make: a recording each ten minutes, a detection each ten seconds, and their deliveries."""
    database.execute("INSERT INTO models (id, name, model_sha256, library_version, library_sha256) VALUES (1, 'BirdNET', '0011', '2', '4')")
    detection, recording = 0, 0
    for step in range(int(days * 86_400 // 600)):
        at = START + step * 600 * SECOND
        for listener in range(listeners):
            recording += 1
            name = add_recording(database, step, listener, at)
            rows = [
                (f"l{listener}", name, at + offset * SECOND, at + (offset + 3) * SECOND, float(offset),
                 0.25 + (detection + offset) % 700 / 1000) for offset in range(0, 600, every_seconds)]
            database.executemany(
                "INSERT INTO detections (listener_id, recording_name, run, start_ns, end_ns, offset_seconds, scientific_name,"
                " common_name, label, confidence, model_id, time_quality)"
                " VALUES (?, ?, 0, ?, ?, ?, 'Parus major', 'Great Tit', 'Parus major_Great Tit', ?, 1, 'live')", rows)
            detection += len(rows)
            add_delivery(database, "influx", "analysis", 3, recording, at)
    # Facts that follow each other share a row, as the store writes them.
    for first in range(1, detection + 1, 256):
        add_delivery(database, "influx", "detections", 0, first, START, last=min(detection, first + 255))
    database.commit()
    return detection + recording


def week(days=7):
    """Thirty listeners' week without a link, and the way back."""
    settings = {"ANALYZE_RECORDINGS": "false", "INFLUX_URL": f"http://127.0.0.1:{PORT}", "CLOCK_WAIT_SEC": 0,
                "DELIVERY_RETRY_FIRST_SEC": 0.5, "DELIVERY_RETRY_MAX_SEC": 2}
    folder, database = fresh(**settings)
    idle = Daemon(folder, **settings)
    time.sleep(8)
    empty = idle.memory()[0]
    idle.stop(keep=True)
    facts = add_week(database, days)
    database.close()
    daemon = Daemon(folder, **settings)
    with Peak(daemon) as offline:
        for _ in range(10):
            daemon.get("/metrics")
            time.sleep(1)
    assert waiting(daemon) == facts, (waiting(daemon), facts)
    with FarEnd(), Peak(daemon) as catching_up:
        while waiting(daemon) == facts:
            time.sleep(0.01)
        left, cpu, wall = waiting(daemon), daemon.cpu_seconds(), time.monotonic()
        sent = sum(sink["bytes_sent"] for sink in daemon.status()["sinks"])
        while waiting(daemon) > 0:
            time.sleep(0.5)
        cpu, wall = daemon.cpu_seconds() - cpu, time.monotonic() - wall
        sent = sum(sink["bytes_sent"] for sink in daemon.status()["sinks"]) - sent
    daemon.stop()
    return {
        "week_facts": facts, "week_offline_added_rss_mb": (offline.bytes - empty) / 1e6,
        "week_catch_up_added_rss_mb": (catching_up.bytes - empty) / 1e6,
        "week_lines_per_cpu_second": left / cpu, "week_lines_per_second": left / wall,
        "week_compressed_mb_per_second": sent / wall / 1e6,
    }


def lines(days=1.5):
    """Detections to InfluxDB, a line each. (The week has the former system's table too, whose lines carry whole recordings.)"""
    settings = {"ANALYZE_RECORDINGS": "false", "INFLUX_URL": f"http://127.0.0.1:{PORT}", "CLOCK_WAIT_SEC": 0,
                "INFLUX_ANALYSIS_TABLE": "", "DELIVERY_RETRY_FIRST_SEC": 0.5, "DELIVERY_RETRY_MAX_SEC": 2}
    folder, database = fresh(**settings)
    add_week(database, days)
    database.execute("DELETE FROM deliveries WHERE kind = 'analysis'")
    database.commit()
    database.close()
    daemon = Daemon(folder, **settings)
    all_lines = waiting(daemon)
    with FarEnd():
        while waiting(daemon) == all_lines:
            time.sleep(0.01)
        left, cpu = waiting(daemon), daemon.cpu_seconds()
        while waiting(daemon) > 0:
            time.sleep(0.5)
        cpu = daemon.cpu_seconds() - cpu
    daemon.stop()
    return {"influx_lines_per_cpu_second": left / cpu}


def files(count=8, megabytes=150):
    """Recordings of 150 MB to S3, against plain curl: the same files, the same far end, in turns. The hashes that signed
    requests begin with were made before, as they are in the field, while the link was gone."""
    settings = {"ANALYZE_RECORDINGS": "false", "S3_ENDPOINT": f"http://127.0.0.1:{PORT}", "S3_BUCKET": "bench",
                "S3_ACCESS_KEY": "a", "S3_SECRET_KEY": "b", "CLOCK_WAIT_SEC": 0, "S3_MULTIPART_BYTES": 5_000_000_000,
                "DELIVERY_RETRY_FIRST_SEC": 0.5, "DELIVERY_RETRY_MAX_SEC": 1}
    rates = {"curl": 0.0, "daemon": 0.0}
    added = 0
    for _ in range(2):
        folder, database = fresh(**settings)
        os.makedirs(f"{folder}/recordings/x", exist_ok=True)
        paths = []
        for number in range(count):
            name = add_recording(database, number, 0, START + number * SECOND, "closed", megabytes * 1_000_000)
            add_delivery(database, "s3", "recording", 6, number + 1, START, megabytes * 1_000_000)
            paths.append(f"{folder}/recordings/x/{name}")
            with open(paths[-1], "wb") as file:
                file.write(os.urandom(1_000_000) * megabytes)
        database.commit()
        database.close()
        with FarEnd() as far_end:
            subprocess.run(["curl", "-s", "-H", "Expect:", "-T", "{" + ",".join(paths) + "}", f"http://127.0.0.1:{PORT}/"], check=True)
            rates["curl"] += far_end.rate()
        daemon = Daemon(folder, **settings)
        database = sqlite3.connect(f"{folder}/edge.db")
        while database.execute("SELECT count(*) FROM seals").fetchone()[0] < count:
            time.sleep(0.5)
        database.close()
        idle = daemon.memory()[0]
        with FarEnd() as far_end, Peak(daemon) as peak:
            while waiting(daemon) > 0:
                time.sleep(0.2)
            rates["daemon"] += far_end.rate()
        added = max(added, peak.bytes - idle)
        daemon.stop()
    return {"s3_rate_of_curl": rates["daemon"] / rates["curl"], "s3_mb_per_second": rates["daemon"] / 2,
            "curl_mb_per_second": rates["curl"] / 2, "s3_added_rss_mb": added / 1e6}
