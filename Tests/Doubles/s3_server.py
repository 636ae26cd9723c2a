"""A real S3 server that checks signatures, with a proxy before it that can make it fail.

    s3_server.py rclone|juicefs FOLDER ACCESS_KEY SECRET_KEY BUCKET

It prints `listening PORT DIRECT_PORT`; the second has no proxy before it. With rclone the objects are plain files in
FOLDER/objects/BUCKET.

    GET  /_test/log      requests so far: [{method, path, status, headers}]
    POST /_test/forgive  no more faults
    POST /_test/kill     ends the server with SIGKILL and starts it again; who asks meanwhile loses its connection
    POST /_test/fault    {"method": "PUT", "match": "partNumber", "count": 1, …}, with "header": "x-amz-checksum-sha256" only for
                         requests that have it, and with one of
                         "status" and "body": answered so, without the server's knowing;
                         "lose": true: the server answers, and nobody hears it;
                         "cut": true: half of the answer is heard;
                         "hang": true: nothing is answered, and the connection stays;
                         "skew": seconds: the answer's and the server's time differ (a made-up 403 of S3's form)
"""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler

from serving import DoubleServer

KIND, FOLDER, ACCESS, SECRET, BUCKET = sys.argv[1:6]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_server(port):
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    if KIND == "rclone":
        os.makedirs(f"{FOLDER}/objects/{BUCKET}", exist_ok=True)
        return subprocess.Popen(
            ["rclone", "serve", "s3", "--config", "/dev/null", "--addr", f"127.0.0.1:{port}", "--auth-key",
             f"{ACCESS},{SECRET}", "--vfs-cache-mode", "off", f"{FOLDER}/objects"], **quiet)
    database = f"sqlite3://{FOLDER}/meta.db"
    if not os.path.exists(f"{FOLDER}/meta.db"):
        subprocess.run(
            ["juicefs", "format", "--storage", "file", "--bucket", f"{FOLDER}/objects/", "--trash-days", "0", database, BUCKET],
            check=True, **quiet)
    environment = dict(os.environ, MINIO_ROOT_USER=ACCESS, MINIO_ROOT_PASSWORD=SECRET)
    return subprocess.Popen(
        ["juicefs", "gateway", "--keep-etag", "--no-usage-report", "--cache-dir", f"{FOLDER}/cache", database,
         f"127.0.0.1:{port}"], env=environment, **quiet)


direct = free_port()
server = None


def begin():
    global server
    server = start_server(direct)
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", direct), 1).close()
            return
        except OSError:
            if time.monotonic() > deadline or server.poll() is not None:
                sys.exit(f"{KIND} did not start")
            time.sleep(0.05)


begin()

log = []
faults = []
lock = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def answer(self, status, body=b"", headers=()):
        if isinstance(body, str):
            body = body.encode()
        self.send_response_only(status)
        names = {name.lower() for name, _ in headers}
        for name, value in headers:
            if name.lower() not in ("transfer-encoding", "connection"):
                self.send_header(name, value)
        if "content-length" not in names:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def fault(self):
        with lock:
            for fault in faults:
                if fault.get("method", self.command) == self.command and fault.get("match", "") in self.path \
                        and fault.get("header", "host") in self.headers:
                    fault["count"] = fault.get("count", 1) - 1
                    if fault["count"] <= 0:
                        faults.remove(fault)
                    return dict(fault)
        return None

    def handle_any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/_test/log":
            return self.answer(200, json.dumps(log))
        if self.path == "/_test/kill":
            server.kill()
            server.wait()
            begin()
            return self.answer(200, "{}")
        if self.path == "/_test/forgive":
            with lock:
                faults.clear()
            return self.answer(200, "{}")
        if self.path == "/_test/fault":
            with lock:
                faults.append(json.loads(body))
            return self.answer(200, "{}")
        entry = {"method": self.command, "path": self.path, "headers": {k.lower(): v for k, v in self.headers.items()}, "bytes": len(body)}
        log.append(entry)
        fault = self.fault()
        if fault and "skew" in fault:
            entry["status"] = 403
            return self.answer(
                403, "<?xml version=\"1.0\"?><Error><Code>RequestTimeTooSkewed</Code><Message>The difference between the "
                "request time and the current time is too large.</Message></Error>",
                [("Date", time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + fault["skew"])))])
        if fault and "status" in fault:
            entry["status"] = fault["status"]
            return self.answer(fault["status"], fault.get("body", ""), list(fault.get("headers", {}).items()))
        if fault and fault.get("hang"):
            time.sleep(600)
            return
        try:
            answer, data = self.pass_on(body)
        except (OSError, http.client.HTTPException):
            # The server was killed while it had this.
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        entry["status"] = answer.status
        if fault and (fault.get("lose") or fault.get("cut")):
            if fault.get("cut"):
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n<?xml")
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.answer(answer.status, data, answer.getheaders())

    def pass_on(self, body):
        connection = http.client.HTTPConnection("127.0.0.1", direct, timeout=120)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer, answer.read()
        finally:
            connection.close()

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_any


proxy = DoubleServer(Handler)


def end(*_):
    server.kill()
    os._exit(0)


signal.signal(signal.SIGTERM, end)
threading.Thread(target=lambda: (sys.stdin.read(), end()), daemon=True).start()
print(f"listening {proxy.server_address[1]} {direct}", flush=True)
proxy.serve_forever()
