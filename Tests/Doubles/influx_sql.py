"""The query side of InfluxDB 3: takes points, and answers SQL with DataFusion, the engine that InfluxDB 3 is built on.

    influx_sql.py FOLDER

It prints `listening PORT`. Columns have the types that InfluxDB 3 gives them: tags are dictionaries of text, `time` is a timestamp in
nanoseconds, fields are 64-bit numbers, integers, booleans or text. It judges no lines: influxdb3.py does.

    POST /api/v3/write_lp, /api/v2/write    points; answered 204
    POST /sql      a query; {"columns": […], "rows": [{…}]}, or 400 with what the engine says
    GET  /tables   the names of the columns of each table
"""

import gzip
import json
import os
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler

TOOLS = os.environ.get("EDGE_TEST_SERVERS") or f"{os.path.dirname(__file__)}/../../var/test-servers"
sys.path.insert(0, f"{TOOLS}/datafusion")

import datafusion  # noqa: E402
import pyarrow as pa  # noqa: E402

from serving import DoubleServer  # noqa: E402

TAG = pa.dictionary(pa.int32(), pa.utf8())
lock = threading.Lock()
# By table: {"tags": set, "fields": {name: type}, "points": {(tags, time): fields}}
tables = {}


def split(text, separator):
    """Splits at a separator that is neither escaped nor in quotes."""
    parts, start, place, quoted = [], 0, 0, False
    while place < len(text):
        character = text[place]
        if character == "\\":
            place += 1
        elif character == '"':
            quoted = not quoted
        elif character == separator and not quoted:
            parts.append(text[start:place])
            start = place + 1
        place += 1
    return parts + [text[start:]]


def plain(text):
    return re.sub(r"\\(.)", r"\1", text)


def value(text):
    if text.startswith('"'):
        return pa.utf8(), plain(text[1:-1])
    if text in ("t", "T", "true", "True", "f", "F", "false", "False"):
        return pa.bool_(), text[0] in "tT"
    if text.endswith("i"):
        return pa.int64(), int(text[:-1])
    return pa.float64(), float(text)


def take(line):
    key, fields, time = split(line, " ")
    name, *tags = split(key, ",")
    tags = tuple(sorted(tuple(plain(part) for part in split(tag, "=")) for tag in tags))
    table = tables.setdefault(plain(name), {"tags": set(), "fields": {}, "points": {}})
    table["tags"].update(tag for tag, _ in tags)
    point = table["points"].setdefault((tags, int(time)), {})
    for field in split(fields, ","):
        field_name, text = split(field, "=")
        kind, content = value(text)
        table["fields"][plain(field_name)] = kind
        point[plain(field_name)] = content


def context():
    session = datafusion.SessionContext()
    for name, table in tables.items():
        points = [(dict(tags), time, fields) for (tags, time), fields in table["points"].items()]
        columns = {tag: pa.array([tags.get(tag) for tags, _, _ in points]).cast(TAG) for tag in sorted(table["tags"])}
        for field, kind in sorted(table["fields"].items()):
            columns[field] = pa.array([fields.get(field) for _, _, fields in points], type=kind)
        columns["time"] = pa.array([time for _, time, _ in points], type=pa.timestamp("ns"))
        session.register_record_batches(name, [pa.table(columns).to_batches()])
    return session


def shown(batch):
    """With times in microseconds, which Python can show."""
    columns = [column.cast(pa.timestamp("us"), safe=False) if pa.types.is_timestamp(column.type) else column for column in batch.columns]
    return pa.table(columns, names=batch.schema.names)


def ask(query):
    with lock:
        frame = context().sql(query)
        columns = frame.schema().names
        rows = [row for batch in frame.collect() for row in shown(batch).to_pylist()]
    return {"columns": columns, "rows": rows}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def answer(self, status, body=""):
        data = (body if isinstance(body, str) else json.dumps(body, default=str)).encode()
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if status != 204:
            self.wfile.write(data)

    def do_GET(self):
        with lock:
            self.answer(200, {name: sorted(table["tags"]) + sorted(table["fields"]) + ["time"] for name, table in tables.items()})

    def do_POST(self):
        data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Content-Encoding") == "gzip":
            data = gzip.decompress(data)
        if self.path == "/sql":
            try:
                return self.answer(200, ask(data.decode()))
            except Exception as error:  # What the engine says is the answer.
                return self.answer(400, f"{type(error).__name__}: {error}")
        with lock:
            for line in data.decode().split("\n"):
                if line:
                    take(line)
        self.answer(204)


server = DoubleServer(Handler)
# The test that started it may die without a word.
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
print(f"listening {server.server_address[1]}", flush=True)
server.serve_forever()
