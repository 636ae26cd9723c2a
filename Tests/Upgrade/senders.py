"""What is sent to the device: streams, uploads, CO2 units, ISEMS nodes and PiWardrive units. Each notes what was acknowledged."""

import base64
import json
import os
import sqlite3
import struct
import tempfile
import wave

from box import ROOT, TOKEN  # noqa: F401  (sets the path to the oracle's modules)
import formats
import wire

RATE = 8000
WIDTH = 2
FRAME = 1600


def sound(seed, at, count):
    """`count` samples from `at` on: every one can be told from its place, and all of it packs well."""
    samples = []
    for index in range(at, at + count):
        step = index // 400
        samples.append((((index % 40) * 600 - 12_000) + (step * 37 + seed * 101) % 4096) if index % 400 else (step * 7 + seed) % 30_000)
    return struct.pack(f"<{count}h", *samples)


def birds(folder):
    """Three seconds of the real bird recording, in half its bits and rate, so that it is small."""
    path = os.environ.get("EDGE_SAMPLES_DIR", f"{ROOT}/var/samples") + "/birds_10s.wav"
    with wave.open(path) as file:
        samples = struct.unpack(f"<{file.getnframes()}h", file.readframes(file.getnframes()))
    part = samples[:3 * 32_000]
    half = [(a + b) // 2 for a, b in zip(part[::2], part[1::2])]
    body = bytes(min(255, max(0, (value >> 8) + 128)) for value in half)
    return formats.wav_header(formats.Format(formats.UNSIGNED8, 1, 16_000), None, len(body)) + body


class Stream:
    """One connection of a listener. `expected` is the sound that must be kept: with silence where a few frames are missing.

    `is_unsure`: the program that receives it may overwrite some bytes."""

    def __init__(self, box, listener, seed, has_header=True, is_unsure=False):
        self.box, self.listener, self.seed = box, listener, seed
        self.sequence, self.at = 0, 0
        self.expected, self.gaps, self.is_acknowledged = bytearray(), 0, False
        self.has_header, self.is_unsure = has_header, is_unsure
        self.connection = wire.Connection(box)
        self.connection.send([f"POST /recordings_stream?listener_id={listener}&token=token-of-{listener} HTTP/1.1\r\nHost: x\r\n"
                              "Transfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n".encode()])

    def send(self, frames, skip=0):
        """Sends `frames` frames after leaving out `skip`."""
        if skip:
            self.sequence += skip
            self.at += skip * FRAME
            if skip <= 3:
                self.expected += bytes(skip * FRAME * WIDTH)
            else:
                self.gaps += skip
        for _ in range(frames):
            payload = sound(self.seed, self.at, FRAME)
            self.expected += payload
            if self.sequence == 0 and self.has_header:
                payload = formats.wav_header(formats.Format(formats.SIGNED16, 1, RATE)) + payload
            self.connection.send(wire.chunked([wire.frame(self.sequence, payload)]))
            self.sequence += 1
            self.at += FRAME

    def end(self):
        self.connection.send([wire.LAST_CHUNK])
        status, body = self.connection.answer()
        if status != 200:
            raise ConnectionError(f"{self.listener}: the stream was answered {status} {body[:200]!r}")
        self.connection.close()
        self.is_acknowledged = True

    def note(self):
        return {"listener": self.listener, "is_acknowledged": self.is_acknowledged, "gap_frames": self.gaps,
                "is_unsure": self.is_unsure,
                "sound": base64.b64encode(bytes(self.expected)).decode()}


def upload(box, chance, listener, filename, content):
    """Returns the name that the file was stored under."""
    body, boundary = wire.form(chance, filename, content, listener)
    connection = wire.Connection(box)
    connection.send([f"POST /recordings_upload HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer token-of-{listener}\r\n"
                     f"Content-Type: multipart/form-data; boundary={boundary}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body])
    status, answer = connection.answer()
    connection.close()
    if status != 200:
        raise ConnectionError(f"the upload of {filename} was answered {status} {answer[:200]!r}")
    return json.loads(answer)["filename"]


def ask(box, method, path, body=b"", headers=()):
    connection = wire.Connection(box)
    try:
        head = "".join(f"{line}\r\n" for line in ["Host: 127.0.0.1", "Connection: close", *headers, f"Content-Length: {len(body)}"])
        connection.send([f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body])
        return connection.answer()
    finally:
        connection.close()


class Unit:
    """A CO2 unit. It pushes its file in pieces, as the firmware does, and goes by what is acknowledged."""

    def __init__(self, unit, acknowledged=0, lines=0):
        self.id, self.acknowledged, self.lines = unit, acknowledged, lines
        self.content = "".join(self.line(number) for number in range(lines)).encode()
        self.path = "data/readings/readings-0000.tsv"

    def line(self, number):
        """The line of a reading; its temperature is found in no other line."""
        day, minutes = 1 + number // 48, number % 48 * 30
        values = [str(680 + (number + place) % 30 * 10) for place in range(10)] + ["229", "32274", "31179", "32989", "18373"]
        return "\t".join([self.id, "varanger-03", f"2019-0{1 + day // 28}-{1 + day % 28:02}", f"{minutes // 60:02}:{minutes % 60:02}:10",
                          str(self.temperature(number)), "1", *values]) + "\n"

    @staticmethod
    def temperature(number):
        return -20 + number / 16

    def add(self, count):
        self.content += "".join(self.line(number) for number in range(self.lines, self.lines + count)).encode()
        self.lines += count

    def push(self, box, most=None, piece=1000):
        """Pushes what is not acknowledged yet, at most so many pieces."""
        while self.acknowledged < len(self.content) and most != 0:
            part = self.content[self.acknowledged:self.acknowledged + piece]
            status, body = ask(box, "PUT", f"/ou/{self.id}/push-sequential/{self.path}?offset={self.acknowledged}", part)
            if status != 200:
                raise ConnectionError(f"the push of {self.id} at {self.acknowledged} was answered {status} {body[:200]!r}")
            self.acknowledged = json.loads(body)["ack_file"][1]
            most = most - 1 if most is not None else None

    def whole_lines(self):
        return self.content[:self.acknowledged].count(b"\n")

    def ping(self, box):
        status, body = ask(box, "POST", f"/ou/{self.id}/alive?site_code=varanger-03&rssi_raw=8&rssi_dbm=-97")
        if status != 200:
            raise ConnectionError(f"the ping of {self.id} was answered {status} {body[:200]!r}")

    def note(self):
        return {"id": self.id, "acknowledged": self.acknowledged, "lines": self.lines}


def isems(box, node, voltage):
    """A node's message; its battery's voltage is found in no other one."""
    body = json.dumps({"batteryVoltage": voltage, "isPowerSaveMode": 1, "status": "50a"}).encode()
    status, answer = ask(box, "POST", f"/api/isems/testdrive/foobar/{node}/data", body, ["Content-Type: application/json"])
    if status != 200:
        raise ConnectionError(f"the message of {node} was answered {status} {answer[:200]!r}")


def piwardrive(box, unit, records, points):
    """A unit's database: (time, share of the processor) and BSSIDs."""
    with tempfile.TemporaryDirectory() as folder:
        database = sqlite3.connect(f"{folder}/app.db")
        database.executescript(
            "CREATE TABLE health_records (timestamp TEXT PRIMARY KEY, cpu_temp REAL, cpu_percent REAL, memory_percent REAL, disk_percent REAL);"
            "CREATE TABLE ap_cache (bssid TEXT PRIMARY KEY, ssid TEXT, encryption TEXT, lat REAL, lon REAL, last_time INTEGER);")
        database.executemany("INSERT INTO health_records VALUES (?, 40, ?, 50, 20)", records)
        database.executemany("INSERT INTO ap_cache VALUES (?, 'net', 'WPA2', 1.0, 2.0, 1750000000)", [(point,) for point in points])
        database.commit()
        database.close()
        with open(f"{folder}/app.db", "rb") as file:
            content = file.read()
    boundary = "deb9548398a344f1a7f2ee83c1f5a64b"
    body = (f'--{boundary}\r\nContent-Type: application/octet-stream\r\nContent-Disposition: form-data; name="file"; filename="app.db"\r\n\r\n'
            .encode() + content + f"\r\n--{boundary}--\r\n".encode())
    status, answer = ask(box, "POST", f"/upload?unit={unit}", body, [f"Content-Type: multipart/form-data; boundary={boundary}"])
    if status != 200:
        raise ConnectionError(f"the database of {unit} was answered {status} {answer[:200]!r}")
