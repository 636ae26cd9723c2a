"""A double of a server of remote write, as the specification has it. It decodes by the specification's field numbers alone.

    remote_write.py FOLDER 2.0|415|silent|foreign

`2.0` takes both versions and tells what it has written; `415` takes 1.0 and refuses 2.0 as the specification wants;
`silent` is an older server: it reads everything as 1.0, finds nothing in a request of 2.0, and answers that all is well.
`foreign` takes the first request and calls all others duplicates: another sender has the same labels.
It prints `listening PORT`.

    GET /samples    [{"labels": {…}, "samples": [[milliseconds, value], …]}]
    GET /log        [{"version": "2.0.0", "status": 204}]
"""

import json
import os
import struct
import sys
import threading
from http.server import BaseHTTPRequestHandler

from serving import DoubleServer

MODE = sys.argv[2]
series = {}
log = []


def unsnappy(data):
    """google/snappy, format_description.txt."""
    size, at = varint(data, 0)
    out = bytearray()
    while at < len(data):
        tag = data[at]
        at += 1
        if tag & 3 == 0:
            length = (tag >> 2) + 1
            if length > 60:
                more = length - 60
                length = int.from_bytes(data[at:at + more], "little") + 1
                at += more
            out += data[at:at + length]
            at += length
            continue
        if tag & 3 == 1:
            length, offset, at = (tag >> 2 & 7) + 4, (tag >> 5) << 8 | data[at], at + 1
        elif tag & 3 == 2:
            length, offset, at = (tag >> 2) + 1, int.from_bytes(data[at:at + 2], "little"), at + 2
        else:
            length, offset, at = (tag >> 2) + 1, int.from_bytes(data[at:at + 4], "little"), at + 4
        for _ in range(length):
            out.append(out[-offset])
    assert len(out) == size, (len(out), size)
    return bytes(out)


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def fields(data):
    """Protocol buffers, "Encoding": number and value of each field."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = varint(data, at)
        elif kind == 1:
            value, at = data[at:at + 8], at + 8
        elif kind == 2:
            length, at = varint(data, at)
            value, at = data[at:at + length], at + length
        else:
            raise ValueError(f"wire type {kind}")
        yield key >> 3, value


def samples(parts):
    for number, value in parts:
        if number == 2:
            pair = dict(fields(value))
            yield pair[2], struct.unpack("<d", pair[1])[0]


def read_one(data):
    for number, value in fields(data):
        if number == 1:
            parts = list(fields(value))
            labels = {}
            for part, pair in parts:
                if part == 1:
                    both = dict(fields(pair))
                    labels[both[1].decode()] = both[2].decode()
            yield labels, list(samples(parts))


def read_two(data):
    parts = list(fields(data))
    symbols = [value.decode() for number, value in parts if number == 4]
    assert symbols[0] == ""
    for number, value in parts:
        if number == 5:
            own = list(fields(value))
            references = []
            packed = dict(own)[1]
            at = 0
            while at < len(packed):
                reference, at = varint(packed, at)
                references.append(symbols[reference])
            yield dict(zip(references[::2], references[1::2])), list(samples(own))


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def answer(self, status, body=b"", headers={}):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path == "/samples":
            found = [{"labels": dict(labels), "samples": sorted(values.items())} for labels, values in series.items()]
            return self.answer(200, json.dumps(found).encode())
        self.answer(200, json.dumps(log).encode())

    def do_POST(self):
        data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        version = self.headers.get("X-Prometheus-Remote-Write-Version")
        is_two = "io.prometheus.write.v2.Request" in self.headers.get("Content-Type", "")
        status = 204
        if self.headers.get("Content-Encoding") != "snappy":
            status = 400
        elif is_two and MODE == "415":
            status = 415
        headers = {}
        if status == 204 and MODE == "foreign" and any(entry["status"] == 204 for entry in log):
            log.append({"version": version, "status": 400})
            return self.answer(400, b"duplicate sample for timestamp\n")
        if status == 204:
            plain = unsnappy(data)
            written = 0
            for labels, values in (read_two if is_two and MODE in ("2.0", "foreign") else read_one)(plain):
                if list(labels) != sorted(labels):
                    status = 400
                    break
                own = series.setdefault(tuple(sorted(labels.items())), {})
                for time, value in values:
                    own[time] = value
                    written += 1
            if is_two and MODE in ("2.0", "foreign") and status == 204:
                headers = {"X-Prometheus-Remote-Write-Samples-Written": str(written)}
        log.append({"version": version, "status": status})
        self.answer(status, b"", headers)


server = DoubleServer(Handler)
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
print(f"listening {server.server_address[1]}", flush=True)
server.serve_forever()
