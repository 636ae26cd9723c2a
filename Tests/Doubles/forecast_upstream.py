"""A double of the servers that forecast fields come from: NOAA's files with their indexes, the NOMADS filter, and Copernicus
Marine from the log-in to the chunks.

    forecast_upstream.py FOLDER U.grib2 V.grib2 [HTSGW.grib2 PERPW.grib2 DIRPW.grib2]

It prints `listening PORT`. The messages given are real ones; for each run and hour it writes other times into them, and adds
the hour to all values through the packing's reference value, so that each field can be told from any other.

    /noaa/gfs.YYYYMMDD/HH/…     files and indexes; /mirror/… the same again, with faults of its own
    /cgi-bin/filter_…           the filter: whole messages, whatever the box
    /cop/…                      configuration, log-in, catalogue and store of Copernicus Marine
    POST /set                   {"runs": {"2026112106": 120}, "updating": "2026-11-21T00:00:00Z", "times": [hours since 1950]};
                                with "full": true the sea is as fine as the real one, each of its chunks the same noise
    POST /fault                 {"path": regex, "kind": …, "count": N, "value": …}: for the next N requests of that path:
                                status (value), whole (200 in place of 206), empty (200 without a body), cut (half a body),
                                drip (a byte, then nothing for `value` seconds), page (HTML), otherrun (another run's file
                                or index), flip (a byte of the values' head is wrong), hang
    GET  /log                   [{path, range, status, bytes}]
"""

import ctypes
import ctypes.util
import json
import math
import random
import re
import struct
import sys
import threading
import time
import urllib.parse
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler

from serving import DoubleServer

MESSAGES = [open(path, "rb").read() for path in sys.argv[2:]]
WIND, WAVES = MESSAGES[:2], MESSAGES[2:]
STATE = {"runs": {}, "updating": None, "times": [], "full": False}
FAULTS, LOG = [], []
LOCK = threading.Lock()


def sections(message):
    """Where each section begins, by its number."""
    found, place = {}, 16
    while message[place:place + 4] != b"7777":
        length, number = struct.unpack(">IB", message[place:place + 5])
        found[number] = place
        place += length
    return found


def patched(message, run, hour):
    """The message with another time, and the hour added to its values."""
    places, out = sections(message), bytearray(message)
    struct.pack_into(">HBBBBB", out, places[1] + 12, run.year, run.month, run.day, run.hour, 0, 0)
    out[places[4] + 17] = 1
    struct.pack_into(">I", out, places[4] + 18, hour)
    reference, _, decimal = struct.unpack_from(">fHH", message, places[5] + 11)
    decimal = -(decimal & 0x7FFF) if decimal & 0x8000 else decimal
    struct.pack_into(">f", out, places[5] + 11, reference + hour * 10.0 ** decimal)
    return bytes(out)


FILLER = b"GRIB" + b"\0" * 1000


def file_of(run, hour, is_wave):
    """The file and its index: the wanted messages, one other before and one behind."""
    names = (
        [("HTSGW", "surface"), ("PERPW", "surface"), ("DIRPW", "surface")] if is_wave
        else [("UGRD", "10 m above ground"), ("VGRD", "10 m above ground")])
    forecast = "anl" if hour == 0 else f"{hour} hour fcst"
    body, lines, number = FILLER, [f"1:0:d={run:%Y%m%d%H}:UGRD:100 m above ground:{forecast}:"], 585
    for (name, level), message in zip(names, WAVES if is_wave else WIND):
        lines.append(f"{number}:{len(body)}:d={run:%Y%m%d%H}:{name}:{level}:{forecast}:")
        body += patched(message, run, hour)
        number += 1
    if not is_wave:
        lines.append(f"{number}:{len(body)}:d={run:%Y%m%d%H}:TMP:2 m above ground:{forecast}:")
        body += FILLER
    return body, ("\n".join(lines) + "\n").encode()


# --- Copernicus Marine

DATASET = "cmems_mod_glo_phy-cur_anfc_0.083deg_PT6H-i"
PRODUCT = "GLOBAL_ANALYSISFORECAST_PHY_001_024"
ROWS, COLUMNS, HEIGHT, WIDTH = 86, 180, 32, 64
FULL = 2041, 4320, 512, 2048
NOISE = []
LEVELS = [-5.078, -1.541, -0.494]
FILL = 9.969209968386869e36
BLOSC = ctypes.CDLL(ctypes.util.find_library("blosc"))
BLOSC.blosc_init()
BLOSC.blosc_set_compressor(b"lz4")


def packed(values, form):
    raw = struct.pack(f"<{len(values)}{form}", *values)
    room = ctypes.create_string_buffer(len(raw) + 16)
    count = BLOSC.blosc_compress(5, 1, struct.calcsize(form), ctypes.c_size_t(len(raw)), raw, room, len(raw) + 16)
    return room.raw[:count]


def current(component, hours, level, row, column):
    """What the sea does at a point; the tests know the same sum."""
    latitude, longitude = -80 + 2 * row, -180 + 2 * column
    if abs(latitude) < 4 and 0 <= longitude < 20:
        return FILL
    return (component + 1) * (latitude / 100 + longitude / 1000) + (hours % 1000) / 1000 + 10 * (2 - level)


def zarray(shape, chunks, form):
    return {
        "zarr_format": 2, "shape": shape, "chunks": chunks, "dtype": form, "order": "C", "filters": None,
        "fill_value": FILL if form == "<f4" and len(shape) == 4 else None,
        "compressor": {"id": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 1, "blocksize": 0}}


def metadata():
    rows, columns, height, width = FULL if STATE["full"] else (ROWS, COLUMNS, HEIGHT, WIDTH)
    times = len(STATE["times"])
    out = {".zgroup": {"zarr_format": 2}, ".zattrs": {}}
    for name, shape, chunks, form, dims, more in [
        ("time", [times], [16], "<f8", ["time"], {"units": "hours since 1950-01-01", "calendar": "gregorian"}),
        ("elevation", [3], [3], "<f4", ["elevation"], {"units": "m"}),
        ("latitude", [rows], [rows + 7], "<f4", ["latitude"], {}),
        ("longitude", [columns], [columns + 7], "<f4", ["longitude"], {}),
        ("uo", [times, 3, rows, columns], [1, 1, height, width], "<f4", ["time", "elevation", "latitude", "longitude"], {}),
        ("vo", [times, 3, rows, columns], [1, 1, height, width], "<f4", ["time", "elevation", "latitude", "longitude"], {}),
    ]:
        out[f"{name}/.zarray"] = zarray(shape, chunks, form)
        out[f"{name}/.zattrs"] = {"_ARRAY_DIMENSIONS": dims, **more}
    return json.dumps({"zarr_consolidated_format": 1, "metadata": out}).encode()


def chunk(name, place):
    def axis(values, count, form):
        part = values[place[0] * count:(place[0] + 1) * count]
        return packed(part + [float("nan")] * (count - len(part)), form)
    if name == "time":
        return axis([float(hours) for hours in STATE["times"]], 16, "d")
    if name == "elevation":
        return axis(LEVELS, 3, "f")
    if name == "latitude":
        rows, step = (FULL[0], 1 / 12) if STATE["full"] else (ROWS, 2)
        return axis([-80.0 + step * row for row in range(rows)], rows + 7, "f")
    if name == "longitude":
        columns, step = (FULL[1], 1 / 12) if STATE["full"] else (COLUMNS, 2)
        return axis([-180.0 + step * column for column in range(columns)], columns + 7, "f")
    step, level, y, x = place
    if STATE["full"]:
        if not NOISE:
            # To three decimals, as smooth as water: it packs to about what real chunks do.
            NOISE.append(packed([round(math.sin(n / 97) + random.random() / 50, 3) for n in range(FULL[2] * FULL[3])], "f"))
        return NOISE[0]
    # Of the far south there is nothing at all.
    if y == 0 and x == 0:
        return None
    values = []
    for row in range(y * HEIGHT, (y + 1) * HEIGHT):
        for column in range(x * WIDTH, (x + 1) * WIDTH):
            values.append(
                current(0 if name == "uo" else 1, STATE["times"][step], level, row, column)
                if row < ROWS and column < COLUMNS else 77.0)
    return packed(values, "f")


def copernicus(handler, path, body):
    base = f"http://127.0.0.1:{PORT}/cop"
    if path == "/cop/config":
        return 200, json.dumps({
            "clientVersions": {"mds": ">=1.0.0"},
            "catalogues": [{"stac": f"{base}/stac/catalog.stac.json", "stacRoot": f"{base}/stac",
                            "idMapping": f"{base}/mapping.json"}]}).encode()
    if path == "/cop/auth/token":
        form = urllib.parse.parse_qs(body.decode())
        if form.get("username") != ["skipper"] or form.get("password") != ["p&ss word"]:
            return 401, b'{"error":"invalid_grant"}'
        return 200, json.dumps({"access_token": "tok", "expires_in": 60}).encode()
    if path == "/cop/auth/userinfo":
        if handler.headers.get("Authorization") != "Bearer tok":
            return 401, b"{}"
        return 200, b'{"preferred_username":"skipper"}'
    if path == "/cop/mapping.json":
        return 200, json.dumps({DATASET: PRODUCT}).encode()
    if path == f"/cop/stac/{PRODUCT}/product.stac.json":
        names = [f"{DATASET}_202311", f"{DATASET}_209901", f"{DATASET}_202406", f"{DATASET}--ext--x_202412", "other_202406"]
        return 200, json.dumps(
            {"links": [{"rel": "item", "href": f"{name}/dataset.stac.json"} for name in names]}).encode()
    found = re.fullmatch(rf"/cop/stac/{PRODUCT}/{DATASET}_(\d+)/dataset.stac.json", path)
    if found:
        properties = {"admp_released_date": f"{found[1][:4]}-{found[1][4:]}-01T00:00:00.000Z"}
        if STATE["updating"]:
            properties["admp_updating_start_date"] = STATE["updating"]
        return 200, json.dumps({
            "properties": properties,
            "assets": {"timeChunked": {"href": f"{base}/store/{DATASET}_{found[1]}/timeChunked.zarr"}}}).encode()
    found = re.fullmatch(rf"/cop/store/{DATASET}_202406/timeChunked.zarr/(.+)", path)
    if found:
        if found[1] == ".zmetadata":
            return 200, metadata()
        name, _, key = found[1].partition("/")
        body = chunk(name, [int(part) for part in key.split(".")])
        return (200, body) if body is not None else (403, b"AccessDenied")
    return 404, b"not here"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body, headers=(), cut=None, pause=0.0):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        if cut is not None:
            self.wfile.write(body[:cut])
            self.wfile.flush()
            time.sleep(pause)
            self.close_connection = True
        elif self.command != "HEAD":
            self.wfile.write(body)
        with LOCK:
            LOG.append({"path": self.path, "range": self.headers.get("Range"), "status": status,
                        "bytes": len(body) if cut is None else cut})

    def fault(self):
        with LOCK:
            for fault in FAULTS:
                if fault["count"] > 0 and re.search(fault["path"], self.path):
                    fault["count"] -= 1
                    return fault
        return None

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/set":
            STATE.update(json.loads(body))
            return self.answer(200, b"{}")
        if self.path == "/fault":
            with LOCK:
                FAULTS.append(json.loads(body))
            return self.answer(200, b"{}")
        self.serve(body)

    def do_GET(self):
        if self.path == "/log":
            with LOCK:
                body = json.dumps(LOG).encode()
            return self.answer(200, body)
        self.serve(b"")

    do_HEAD = do_GET

    def serve(self, sent):
        path = urllib.parse.urlparse(self.path).path
        fault = self.fault()
        kind = fault["kind"] if fault else ""
        if kind == "status":
            return self.answer(fault["value"], b"no", [("Retry-After", "1")])
        if kind == "empty":
            return self.answer(200, b"")
        if kind == "page":
            return self.answer(200, b"<html><body>maintenance</body></html>")
        if kind == "hang":
            time.sleep(fault["value"])
            self.close_connection = True
            return
        if path.startswith("/cop/"):
            status, body = copernicus(self, path, sent)
            cut = len(body) // 2 if kind == "cut" else None
            if kind == "flip":
                body = body[:20] + bytes([body[20] ^ 0xFF]) + body[21:]
            return self.answer(status, body, cut=cut)
        found = re.search(r"gfs\.(\d{8})[/%2F]+(\d\d).*\.f(\d{3})(\.grib2)?(\.idx)?$", path)
        query = urllib.parse.parse_qs(urllib.parse.urlparse(self.path).query)
        is_filter = path.startswith("/cgi-bin/")
        if is_filter:
            name = re.fullmatch(r"gfs\.t(\d\d)z\.pgrb2\.0p25\.f(\d{3})", query["file"][0])
            day = re.fullmatch(r"/gfs\.(\d{8})/(\d\d)/atmos", query["dir"][0])
            if not name or not day or "lev_10_m_above_ground" not in query or "var_UGRD" not in query:
                return self.answer(404, b"no such file")
            stamp, hour = day[1] + day[2], int(name[2])
        elif found:
            stamp, hour = found[1] + found[2], int(found[3])
        else:
            return self.answer(404, b"no such file")
        if STATE["runs"].get(stamp, -1) < hour:
            return self.answer(403, b"AccessDenied")
        run = datetime.strptime(stamp, "%Y%m%d%H").replace(tzinfo=timezone.utc)
        if kind == "otherrun":
            run -= timedelta(hours=6)
        body, index = file_of(run, hour, "/wave/" in path)
        if is_filter:
            return self.answer(200, b"".join(patched(message, run, hour) for message in WIND))
        if found[5]:
            return self.answer(200, index, cut=len(index) // 2 if kind == "cut" else None)
        tag = [("ETag", f'"{stamp}-{hour}-{run:%H}"'), ("Accept-Ranges", "bytes")]
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if kind == "whole" or not wanted:
            return self.answer(200, body, tag)
        first = int(wanted[1])
        last = min(int(wanted[2]) if wanted[2] else len(body) - 1, len(body) - 1)
        if first > last:
            return self.answer(416, b"")
        part = body[first:last + 1]
        if kind == "flip":
            part = b"BRIG" + part[4:]
        tag.append(("Content-Range", f"bytes {first}-{last}/{len(body)}"))
        cut = len(part) // 2 if kind == "cut" else 1 if kind == "drip" else None
        self.answer(206, part, tag, cut, fault["value"] if kind == "drip" else 0)


server = DoubleServer(Handler)
PORT = server.server_address[1]
print(f"listening {PORT}", flush=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
# The test's end closes it.
sys.stdin.read()
