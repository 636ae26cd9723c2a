"""Servers of others on a machine of the test: those of `make setup-tests`, and doubles of Tests/Doubles."""

import datetime
import glob
import http.client
import json
import os
import re
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HERE = os.path.dirname(os.path.abspath(__file__))
DOUBLES = os.path.realpath(f"{HERE}/../Doubles")
SERVERS = "/machine/test-servers"


def name(host, address):
    """Lets a host name lead to another address."""
    with open("/etc/hosts") as file:
        lines = [line for line in file.read().splitlines() if line.split()[1:] != [host]]
    with open("/etc/hosts", "w") as file:
        file.write("\n".join([*lines, f"{address} {host}"]) + "\n")


class Double:
    """A program that prints `listening PORT`, and ends when its standard input does."""

    def __init__(self, program, *arguments):
        self.process = subprocess.Popen(
            ["/usr/bin/env", "python3", f"{DOUBLES}/{program}", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=dict(os.environ, PATH=f"{SERVERS}/bin:{os.environ['PATH']}", LD_LIBRARY_PATH=f"{SERVERS}/lib"))
        words = self.process.stdout.readline().split()
        if words[:1] != ["listening"]:
            raise RuntimeError(f"{program} did not start: {words}")
        self.port = int(words[1])

    def ask(self, method, path, body=b""):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data=body if method == "POST" else None, method=method)
        with urllib.request.urlopen(request) as answer:
            return answer.read()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Process:
    def __init__(self, command, port, address="127.0.0.1", **options):
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, **options)
        for _ in range(300):
            try:
                socket.create_connection((address, port), 1).close()
                return
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.1)
        raise RuntimeError(f"{command[0]} does not listen on port {port}")

    def close(self):
        self.process.kill()
        self.process.wait()


def forward(address, port):
    """Lets an address lead to a port of a server."""
    host, outer = address.rsplit(":", 1)
    return Process([sys.executable, "/machine/shims/forward.py", address, f"127.0.0.1:{port}"], int(outer), host)


class S3(Double):
    def __init__(self, bucket):
        self.folder = f"/tmp/s3-{bucket}"
        os.mkdir(self.folder)
        self.bucket = f"{self.folder}/objects/{bucket}"
        super().__init__("s3_server.py", "rclone", self.folder, "key12345", "secret12345", bucket)

    def keys(self):
        return sorted(os.path.relpath(path, self.bucket) for path in glob.glob(f"{self.bucket}/**", recursive=True) if os.path.isfile(path))

    def put(self, key, content):
        os.makedirs(os.path.dirname(f"{self.bucket}/{key}"), exist_ok=True)
        with open(f"{self.bucket}/{key}", "wb") as file:
            file.write(content)


class Influx(Double):
    def __init__(self, token):
        os.mkdir("/tmp/influx")
        super().__init__("influxdb3.py", "/tmp/influx", token)

    def count(self, database, table):
        query = urllib.parse.urlencode({"db": database, "q": f"SELECT * FROM {table}"})
        series = json.loads(self.ask("GET", f"/query?{query}"))["results"][0].get("series", [])
        return sum(len(one["values"]) for one in series)


class Router:
    """A router of ISEMS nodes: one log, as it writes it."""

    def __init__(self, address, lines):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                body = lines.encode() if self.path == "/ISEMS/ffopenmppt.log" else b""
                self.send_response(200 if body else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments):
                pass

        self.server = ThreadingHTTPServer((address, 80), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()


class Broker(Process):
    def __init__(self):
        with open("/tmp/mosquitto.conf", "w") as file:
            file.write("listener 1883 127.0.0.1\nallow_anonymous true\nuser root\n")
        super().__init__([f"{SERVERS}/bin/mosquitto", "-c", "/tmp/mosquitto.conf"], 1883, stderr=subprocess.DEVNULL,
                         env=dict(os.environ, LD_LIBRARY_PATH=f"{SERVERS}/lib"))


def publish(node, topic, payload):
    """One message with QoS 1, as the nodes' firmware sends it."""
    def text(value):
        return struct.pack(">H", len(value)) + value.encode()

    def packet(head, body):
        return bytes([head, len(body) & 0x7F | (0x80 if len(body) > 127 else 0)]) + (bytes([len(body) >> 7]) if len(body) > 127 else b"") + body

    with socket.create_connection(("127.0.0.1", 1883), 10) as client:
        client.sendall(packet(0x10, text("MQTT") + bytes([4, 2]) + struct.pack(">H", 120) + text(f"isems-{node}")))
        if client.recv(4)[3:] != b"\0":
            raise RuntimeError("the broker rejected a node")
        client.sendall(packet(0x32, text(topic) + struct.pack(">H", 1) + payload.encode()))
        if client.recv(4)[:1] != b"\x40":
            raise RuntimeError("the broker did not acknowledge a message")


class PostgreSQL(Process):
    def __init__(self, user, password, database):
        self.url = f"postgresql://{user}:{password}@postgres:5432/{database}"
        self.programs = f"{SERVERS}/postgres/usr/lib/postgresql/15/bin"
        self.folder = "/tmp/postgres"
        os.mkdir(self.folder)
        os.chown(self.folder, 65534, 65534)
        with open(f"{self.folder}/password", "w") as file:
            file.write(password)
        self.as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        subprocess.run([*self.as_nobody, f"{self.programs}/initdb", "-D", f"{self.folder}/data", "-U", user, "--pwfile", f"{self.folder}/password",
                        "-A", "scram-sha-256", "-E", "UTF8", "--no-locale"], check=True, stdout=subprocess.DEVNULL, cwd=self.folder)
        super().__init__([*self.as_nobody, f"{self.programs}/postgres", "-D", f"{self.folder}/data", "-p", "5432", "-c", "listen_addresses=127.0.0.1",
                          "-c", "unix_socket_directories=", "-c", "jit=off"], 5432, stderr=subprocess.DEVNULL, cwd=self.folder)
        self.query(f"CREATE DATABASE {database}", self.url.rsplit("/", 1)[0] + "/postgres")

    def query(self, sql, url=None):
        return subprocess.run([f"{self.programs}/psql", url or self.url, "-XAtc", sql], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()

    def write_catalogue(self, rows):
        """The tables as the replaced aggregator made them, and rows of it."""
        for words in (("create",), ("write", str(rows))):
            subprocess.run(["/usr/bin/env", "python3", f"{DOUBLES}/catalogue_client.py", self.url, *words], check=True)


class Upstream(Double):
    """NOAA's and Copernicus Marine's servers, with runs and times around now."""

    def __init__(self):
        tools, folder = f"{SERVERS}/eccodes/usr", "/tmp/upstream"
        os.mkdir(folder)
        environment = {"LD_LIBRARY_PATH": ":".join(glob.glob(f"{tools}/lib/*")), "ECCODES_DEFINITION_PATH": f"{tools}/share/eccodes/definitions",
                       "ECCODES_SAMPLES_PATH": f"{tools}/share/eccodes/samples"}
        files = []
        for short in ("10u", "10v"):
            files.append(f"{folder}/{short}.grib2")
            subprocess.run([f"{tools}/bin/grib_copy", "-w", f"shortName={short}", f"{SERVERS}/grib/gfs.t12z.pgrbf120.2p5deg.grib2", files[-1]],
                           check=True, env=environment)
        super().__init__("forecast_upstream.py", folder, *files)
        now = datetime.datetime.now(datetime.timezone.utc).replace(minute=0, second=0, microsecond=0)
        run = now.replace(hour=now.hour // 6 * 6) - datetime.timedelta(hours=6)
        hours = int((now - datetime.datetime(1950, 1, 1, tzinfo=datetime.timezone.utc)).total_seconds()) // 3600 // 6 * 6
        runs = {f"{run - datetime.timedelta(hours=6 * number):%Y%m%d%H}": 120 for number in range(40)}
        updating = f"{now.replace(hour=0) - datetime.timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}"
        self.ask("POST", "/set", json.dumps({"runs": runs, "times": [hours + 6 * n for n in range(-40, 30)], "updating": updating}).encode())

    def settings(self):
        base = f"http://127.0.0.1:{self.port}"
        return {"NOAA_GFS_BASE_URL": f"{base}/noaa", "NOAA_GFS_FILTER_URL": "", "COPERNICUS_CONFIG_URL": f"{base}/cop/config",
                "COPERNICUS_AUTH_URL": f"{base}/cop/auth/token", "FORECAST_REQUESTS_PER_MINUTE": "1000"}
