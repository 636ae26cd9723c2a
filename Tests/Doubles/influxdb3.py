"""A double of InfluxDB 3's write paths, with a real line-protocol parser and store behind it: InfluxDB 1.6.

    influxdb3.py FOLDER TOKEN

It prints `listening PORT`. It applies the documented rules of both write paths (limits, encodings, authentication, partial
writes); whether a line is good is not its to judge: each is handed to `influxd`, which it starts and ends itself.

Besides the write paths:
    GET  /query?db=&q=        passed to influxd
    GET  /log                 requests so far: [{path, lines, bytes, encoding, status}]
    POST /fault               {"status": 503, "count": 3, "body": "…", "headers": {…}}: the next answers; {"drop": N}: the
                              next N requests are stored, then the connection is closed without an answer;
                              {"cut": N}: the same with half an answer; {"hang": N}: nothing is stored or answered, and the
                              connection stays, as on a link that is half open
    POST /longest             N: from now on a request with a line of more bytes is answered 400 in plain text, and nothing of it is
                              stored; 0 for no limit
    POST /kill                ends influxd with SIGKILL and starts it again on the same folder; who asks meanwhile loses its
                              connection
"""

import gzip
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler

from serving import DoubleServer

MOST_BYTES = 10 * 1024 * 1024
FOLDER, TOKEN = sys.argv[1], sys.argv[2]

CONFIG = """
reporting-disabled = true
bind-address = "127.0.0.1:{rpc}"
[meta]
  dir = "{folder}/meta"
[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
  max-series-per-database = 0
  max-values-per-tag = 0
[http]
  bind-address = "127.0.0.1:{http}"
  log-enabled = false
  max-body-size = 0
[monitor]
  store-enabled = false
[logging]
  level = "error"
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Influx:
    """The real parser and store."""

    def __init__(self):
        self.port = free_port()
        with open(f"{FOLDER}/influxd.conf", "w") as file:
            file.write(CONFIG.format(rpc=free_port(), http=self.port, folder=FOLDER))
        self.databases = set()
        self.start()

    def start(self):
        config = f"{FOLDER}/influxd.conf"
        self.process = subprocess.Popen(
            ["influxd", "run", "-config", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/ping", timeout=5)
                break
            except OSError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    sys.exit("influxd did not start")
                time.sleep(0.05)

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.start()

    def ask(self, path, data=None):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data=data)
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def write(self, database, lines):
        """The reason for each line that is not taken, by its place."""
        if database not in self.databases:
            self.ask("/query", urllib.parse.urlencode({"q": f'CREATE DATABASE "{database}"'}).encode())
            self.databases.add(database)
        path = f"/write?db={urllib.parse.quote(database)}&precision=n"
        status, _ = self.ask(path, b"\n".join(lines))
        if status == 204:
            return {}
        refused = {}
        for place, line in enumerate(lines):
            status, body = self.ask(path, line)
            if status != 204:
                refused[place] = json.loads(body).get("error", "?")
        return refused


influx = Influx()
log = []
faults = []
longest = 0
lock = threading.Lock()
# A table's tags are fixed by its first write, and a tag and a field may not share a name (InfluxDB 3).
tags_of_table = {}


def shape(line):
    """Table, tag names and field names of a line that the parser took."""
    head = re.match(rb"(?:\\.|[^ \\])+", line).group(0)
    parts = re.findall(rb"(?:\\.|[^,\\])+", head)
    fields = re.findall(rb'(?:^|,)((?:\\.|[^=,\\" ])+)=(?:"(?:\\.|[^"\\])*"|[^", ]+)', line[len(head) + 1:])
    return parts[0], [re.match(rb"(?:\\.|[^=\\])+", part).group(0) for part in parts[1:]], fields


def rules_of_three(database, line):
    table, tags, fields = shape(line)
    known = tags_of_table.setdefault((database, table), tags)
    new = [tag for tag in tags if tag not in known]
    if new:
        return f"invalid column type: tag {new[0].decode()} is not among the table's tags"
    both = [tag for tag in tags if tag in fields]
    if both:
        return f"column {both[0].decode()} is a tag and a field"
    return None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def answer(self, status, body=b"", kind=None, headers={}):
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
        elif isinstance(body, str):
            body = body.encode()
        self.send_response(status)
        if kind:
            self.send_header("Content-Type", kind)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if status != 204:
            self.wfile.write(body)

    def do_GET(self):
        if self.path.startswith("/query"):
            status, body = influx.ask(self.path)
            self.answer(status, body, "application/json")
        elif self.path == "/log":
            self.answer(200, log, "application/json")
        else:
            self.answer(404, "not found")

    def do_POST(self):
        data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        url = urllib.parse.urlsplit(self.path)
        query = {name: values[0] for name, values in urllib.parse.parse_qs(url.query, keep_blank_values=True).items()}
        if url.path == "/fault":
            with lock:
                faults.append(json.loads(data))
            return self.answer(200, {})
        if url.path == "/longest":
            global longest
            longest = int(data)
            return self.answer(200, {})
        if url.path == "/kill":
            influx.kill()
            return self.answer(200, {})
        entry = {"path": self.path, "bytes": len(data), "encoding": self.headers.get("Content-Encoding", ""), "lines": 0}
        with lock:
            fault = faults[0] if faults else None
            if fault:
                left = fault.get("count", fault.get("drop", fault.get("cut", fault.get("hang", 1)))) - 1
                for name in ("count", "drop", "cut", "hang"):
                    if name in fault:
                        fault[name] = left
                if left <= 0:
                    faults.pop(0)
        if fault and "status" in fault:
            entry["status"] = fault["status"]
            log.append(entry)
            return self.answer(fault["status"], fault.get("body", ""), None, fault.get("headers", {}))
        if fault and "hang" in fault:
            time.sleep(600)
            return
        try:
            status, body = self.take(url, query, data, entry)
        except (OSError, http.client.HTTPException):
            # The server behind was killed while it had this.
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        entry["status"] = status
        log.append(entry)
        if fault and ("drop" in fault or "cut" in fault):
            if "cut" in fault:
                self.wfile.write(b"HTTP/1.1 20")
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.answer(status, body)

    def take(self, url, query, data, entry):
        if url.path == "/api/v3/write_lp":
            return self.write(query, query.get("db"), data, entry, "nanosecond", ("Bearer ", "Token "))
        if url.path == "/api/v2/write":
            return self.write(query, query.get("bucket"), data, entry, "ns", ("Bearer ", "Token "))
        return 404, "not found"

    def write(self, query, database, data, entry, precision, schemes):
        authorization = self.headers.get("Authorization")
        if authorization is None:
            return 401, {"error": "the request was not authenticated"}
        if not authorization.startswith(schemes):
            return 400, "the Authorization header was malformed, there must be one header with `Bearer` or `Token`"
        if authorization.split(" ", 1)[1] != TOKEN:
            return 401, {"error": "the request was not authenticated"}
        if not database:
            return 400, "missing query parameter 'db'"
        if query.get("precision", "auto") not in (precision, "auto"):
            return 400, f"the test expects precision {precision}"
        if len(data) > MOST_BYTES:
            return 413, "request body too large"
        encoding = self.headers.get("Content-Encoding", "identity")
        if encoding == "gzip":
            try:
                data = gzip.decompress(data)
            except OSError:
                return 400, "gzip decoding failed"
        elif encoding != "identity":
            return 400, f"unsupported Content-Encoding {encoding}"
        if len(data) > MOST_BYTES:
            return 413, "request body too large"
        if not data.strip():
            return 400, "no write data"
        lines = [line for line in data.split(b"\n") if line.strip() and not line.lstrip().startswith(b"#")]
        entry["lines"] = len(lines)
        if longest and any(len(line) > longest for line in lines):
            return 400, "a string field is too long"
        entry["tables"] = sorted({re.match(rb"(?:\\.|[^,\\ ])+", line).group(0).decode() for line in lines})
        with lock:
            refused = influx.write(database, lines)
            for place, line in enumerate(lines):
                if place not in refused:
                    reason = rules_of_three(database, line)
                    if reason:
                        refused[place] = reason
        if not refused:
            return 204, ""
        if query.get("accept_partial", "true") != "true":
            return 400, {"error": "line protocol parsing error", "data": {}}
        return 400, {
            "error": "partial write of line protocol occurred",
            "data": [
                {"error_message": reason, "line_number": place + 1, "original_line": lines[place][:20].decode("utf-8", "replace")}
                for place, reason in sorted(refused.items())
            ],
        }


server = DoubleServer(Handler)


def end(*_):
    influx.process.kill()
    os._exit(0)


signal.signal(signal.SIGTERM, end)
# The test that started it may die without a word.
threading.Thread(target=lambda: (sys.stdin.read(), end()), daemon=True).start()
print(f"listening {server.server_address[1]}", flush=True)
server.serve_forever()
