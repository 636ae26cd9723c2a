"""Endpoints that remember every delivery: InfluxDB, S3 and Prometheus behind one HTTP port, an MQTT broker, and a real PostgreSQL.

Each delivery is an event `(sink, key, hash, answer)`. The key is made from what was sent, so that a delivery which comes twice has the
same key. `answer` is `ok`, `refused`, or `lost`: stored, and the connection ended before the answer.
"""

import gzip
import hashlib
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[1:1] = [f"{ROOT}/Tests/Doubles"]
from serving import DoubleServer  # noqa: E402

SERVERS = os.environ.get("EDGE_TEST_SERVERS", f"{ROOT}/var/test-servers")


class Rule:
    """How one sink answers. `refuse` and `lose` are regular expressions that are searched in the key."""

    def __init__(self, down=False, refuse=None, lose=None):
        self.down, self.refuse, self.lose = down, refuse, lose

    def answer(self, key):
        if self.refuse and re.search(self.refuse, key):
            return "refused"
        return "lost" if self.lose and re.search(self.lose, key) else "ok"


class Endpoints:
    """All of them. `events` may begin with those of an earlier life."""

    def __init__(self, events=(), objects=None):
        self.events = [tuple(event) for event in events]
        self.rules = {name: Rule() for name in ("influx", "s3", "prometheus", "mqtt")}
        # Size and hash of each object.
        self.objects = dict(objects or {})
        self.lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"endpoints": self})
        self.server = DoubleServer(handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.mqtt = _Broker(self)
        self.postgres = Postgres()

    def note(self, sink, key, content, answer):
        with self.lock:
            self.events.append((sink, key, hashlib.sha256(content).hexdigest()[:16], answer))

    def set_all(self, **options):
        for name in self.rules:
            self.rules[name] = Rule(**options)
        self.mqtt.apply()

    def close(self):
        self.server.shutdown()
        self.mqtt.close()
        self.postgres.remove()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    endpoints = None

    def log_message(self, *arguments):
        pass

    def answer(self, status, body=b"", headers=()):
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD" and status != 204:
            self.wfile.write(body)

    def hang_up(self):
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def handle_any(self):
        data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        url = urllib.parse.urlsplit(self.path)
        sink = {"/api/v3/write_lp": "influx", "/api/v1/write": "prometheus"}.get(url.path, "s3")
        rule = self.endpoints.rules[sink]
        if rule.down:
            return self.hang_up()
        getattr(self, sink)(url, data, rule)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_any

    def influx(self, url, data, rule):
        if self.headers.get("Content-Encoding") == "gzip":
            data = gzip.decompress(data)
        refused, taken, is_lost = [], [], False
        for number, line in enumerate((line for line in data.split(b"\n") if line), 1):
            head = re.match(rb"(?:\\.|[^ \\])+", line).group(0).decode()
            key = f"{head} {line.rsplit(b' ', 1)[1].decode()}"
            answer = rule.answer(key)
            is_lost |= answer == "lost"
            if answer == "refused":
                refused.append({"error_message": "this point is not wanted", "line_number": number, "original_line": head[:20]})
                self.endpoints.note("influx", key, line, answer)
            else:
                taken.append((key, line))
        # A request without an answer: all of it is stored, and the device knows of nothing.
        for key, line in taken:
            self.endpoints.note("influx", key, line, "lost" if is_lost else "ok")
        if is_lost:
            return self.hang_up()
        if refused:
            body = {"error": "partial write of line protocol occurred", "data": refused}
            return self.answer(400, json.dumps(body).encode(), [("Content-Type", "application/json")])
        self.answer(204)

    def prometheus(self, url, data, rule):
        moments = sorted(set(_moments(_unsnappy(data))))
        answers = {rule.answer(str(moment)) for moment in moments}
        answer = "refused" if "refused" in answers else "lost" if "lost" in answers else "ok"
        for moment in moments:
            self.endpoints.note("prometheus", str(moment), b"", answer)
        if answer == "lost":
            return self.hang_up()
        self.answer(400, b"out of bounds") if answer == "refused" else self.answer(204)

    def s3(self, url, data, rule):
        key = urllib.parse.unquote(url.path)
        if self.command == "HEAD":
            if key not in self.endpoints.objects:
                return self.answer(404)
            size, digest = self.endpoints.objects[key]
            self.send_response_only(200)
            self.send_header("Content-Length", str(size))
            self.send_header("x-amz-meta-sha256", digest)
            return self.end_headers()
        if self.command != "PUT" or url.query:
            return self.answer(501, b"<Error><Code>NotImplemented</Code></Error>")
        if self.headers.get("x-amz-content-sha256") != hashlib.sha256(data).hexdigest():
            return self.answer(400, b"<Error><Code>XAmzContentSHA256Mismatch</Code></Error>")
        answer = rule.answer(key)
        if answer == "refused":
            self.endpoints.note("s3", key, data, answer)
            return self.answer(400, b"<Error><Code>EntityTooLarge</Code><Message>too large</Message></Error>")
        if self.headers.get("If-None-Match") == "*" and key in self.endpoints.objects:
            self.endpoints.note("s3", key, data, "exists")
            return self.answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
        self.endpoints.objects[key] = [len(data), hashlib.sha256(data).hexdigest()]
        self.endpoints.note("s3", key, data, answer)
        if answer == "lost":
            return self.hang_up()
        self.answer(200, headers=[("ETag", f'"{hashlib.md5(data).hexdigest()}"')])


def _varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def _unsnappy(data):
    """google/snappy, format_description.txt."""
    size, at = _varint(data, 0)
    out = bytearray()
    while at < len(data):
        tag, at = data[at], at + 1
        if tag & 3 == 0:
            length = (tag >> 2) + 1
            if length > 60:
                more = length - 60
                length, at = int.from_bytes(data[at:at + more], "little") + 1, at + more
            out += data[at:at + length]
            at += length
            continue
        if tag & 3 == 1:
            length, offset, at = (tag >> 2 & 7) + 4, (tag >> 5) << 8 | data[at], at + 1
        else:
            width = 2 if tag & 3 == 2 else 4
            length, offset, at = (tag >> 2) + 1, int.from_bytes(data[at:at + width], "little"), at + width
        for _ in range(length):
            out.append(out[-offset])
    assert len(out) == size
    return bytes(out)


def _fields(data):
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        if key & 7 == 0:
            value, at = _varint(data, at)
        elif key & 7 == 1:
            value, at = data[at:at + 8], at + 8
        else:
            length, at = _varint(data, at)
            value, at = data[at:at + length], at + length
        yield key >> 3, value


def _moments(data):
    """The milliseconds at which a remote write of version 1.0 has samples."""
    for number, series in _fields(data):
        for part, sample in _fields(series) if number == 1 else ():
            if part == 2:
                yield dict(_fields(sample)).get(2, 0)


class _Broker:
    """As much of an MQTT 5 broker as a publisher needs. It acknowledges, or it is not there."""

    def __init__(self, endpoints):
        self.endpoints, self.connections = endpoints, set()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            if self.endpoints.rules["mqtt"].down:
                connection.close()
                continue
            self.connections.add(connection)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def apply(self):
        if self.endpoints.rules["mqtt"].down:
            for connection in list(self.connections):
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def close(self):
        self.listener.close()
        for connection in list(self.connections):
            connection.close()

    def serve(self, connection):
        file = connection.makefile("rb")
        try:
            while head := file.read(1):
                length = shift = 0
                while True:
                    byte = file.read(1)[0]
                    length |= (byte & 0x7F) << shift
                    shift += 7
                    if byte < 0x80:
                        break
                if not self.packet(connection, head[0], file.read(length)):
                    break
        except (OSError, IndexError, ValueError):
            pass
        finally:
            self.connections.discard(connection)
            connection.close()

    def packet(self, connection, head, body):
        kind = head >> 4
        if kind == 1:
            connection.sendall(bytes([0x20, 3, 0, 0, 0]))
        elif kind == 3:
            length = struct.unpack_from(">H", body)[0]
            topic, at = body[2:2 + length].decode(), 2 + length
            number = None
            if head & 6:
                number, at = struct.unpack_from(">H", body, at)[0], at + 2
            properties, at = _varint(body, at)
            self.publish(topic, body[at + properties:])
            if self.endpoints.rules["mqtt"].lose and topic.endswith(("/detections", "/observations")):
                return False
            if number is not None:
                connection.sendall(bytes([0x40, 2]) + struct.pack(">H", number))
        elif kind == 8:
            connection.sendall(bytes([0x90, 4]) + body[:2] + bytes([0, 1]))
        elif kind == 12:
            connection.sendall(bytes([0xD0, 0]))
        return kind != 14

    def publish(self, topic, payload):
        if not topic.endswith(("/detections", "/observations")):
            return
        message = json.loads(payload)
        answer = "lost" if self.endpoints.rules["mqtt"].lose else "ok"
        # Readings of one moment may come in several messages, each with values of its own.
        for quantity in message.get("values", {"": 0}):
            self.endpoints.note("mqtt", f"{topic.rsplit('/', 1)[1]} {message['id']} {quantity}".rstrip(), payload, answer)


class Postgres:
    """A real server on loopback with a folder of its own. It does not run as root: there it runs as nobody, from a copy that nobody can read."""

    USER, PASSWORD = "edge", "secret"

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="upgrade-postgres-")
        self.is_root = os.getuid() == 0
        tree = f"{SERVERS}/postgres"
        if not os.path.exists(f"{tree}/complete"):
            raise SystemExit(f"{tree} is missing: run `make setup-tests`")
        if self.is_root:
            shutil.copytree(tree, f"{self.folder}/programs", symlinks=True)
            tree = f"{self.folder}/programs"
        self.programs = f"{tree}/usr/lib/postgresql/15/bin"
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        with open(f"{self.folder}/password", "w") as file:
            file.write(self.PASSWORD)
        if self.is_root:
            os.chown(self.folder, 65534, 65534)
            os.chown(f"{self.folder}/password", 65534, 65534)
        self.run("initdb", "-D", f"{self.folder}/data", "-U", self.USER, "--pwfile", f"{self.folder}/password", "-A", "scram-sha-256", "-E",
                 "UTF8", "--no-locale", "--no-sync")
        self.process = None
        self.start()
        self.query("CREATE DATABASE field", "postgres")

    @property
    def url(self):
        return f"postgresql://{self.USER}:{self.PASSWORD}@127.0.0.1:{self.port}/field"

    def words(self, program, arguments):
        user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if self.is_root else []
        return [*user, f"{self.programs}/{program}", *arguments]

    def run(self, program, *arguments):
        done = subprocess.run(self.words(program, arguments), capture_output=True, text=True, cwd=self.folder)
        if done.returncode:
            raise OSError(f"{program}: {done.stderr[-500:]}")
        return done.stdout.strip()

    def start(self):
        options = ["-D", f"{self.folder}/data", "-p", str(self.port), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
                   "-c", "jit=off", "-c", "fsync=off"]
        self.process = subprocess.Popen(
            self.words("postgres", options), cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(600):
            try:
                return self.query("SELECT 1", "postgres")
            except OSError:
                time.sleep(0.05)
        raise OSError("PostgreSQL did not start")

    def stop(self):
        if self.process and self.process.poll() is None:
            # Fast shutdown.
            self.process.send_signal(2)
            self.process.wait()

    def query(self, sql, database="field"):
        return self.run("psql", "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql,
                        f"postgresql://{self.USER}:{self.PASSWORD}@127.0.0.1:{self.port}/{database}")

    KEYS = {
        "edge_detections": "listener_id || ' ' || start_ns || ' ' || scientific_name",
        "edge_recordings": "name",
        "edge_coverage": "ledger_id || ' ' || listener_id || ' ' || kind || ' ' || start_ns",
        "edge_observations": "source || ' ' || quantity || ' ' || time_ns",
    }

    def rows(self):
        """The keys of all rows, by table."""
        if self.query("SELECT to_regclass('edge_aggregator_schema') IS NULL") == "t":
            return {table: [] for table in self.KEYS}
        return {table: sorted(line for line in self.query(f"SELECT {key} FROM {table}").split("\n") if line)
                for table, key in self.KEYS.items()}

    def remove(self):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
