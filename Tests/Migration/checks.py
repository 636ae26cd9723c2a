"""What must come of the commands of docs/migrating.md. The values come from legacy.py, which wrote the data."""

import glob
import json
import os
import re
import sqlite3
import subprocess
import time
import urllib.error
import urllib.request

import doubles
import legacy
import machine
import services
from pages import Failure

FORMER = "SimpleHTTP"


def logs():
    texts = (f"--- {path}:\n{open(path, errors='replace').read()[-3000:]}" for path in sorted(glob.glob("/var/log/*.log")))
    return "\n".join(texts)


def ask(url, token=None):
    """(status, body, server) of an answer."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode(), answer.headers.get("Server", "")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace"), error.headers.get("Server", "")


def token():
    for path in ("/var/lib/edge-aggregator/api-token", *glob.glob("/var/lib/docker/volumes/*/_data/api-token")):
        if os.path.exists(path):
            return open(path).read().strip()
    raise Failure("there is no api-token")


def waited(what, is_true, seconds=60):
    end = time.monotonic() + seconds
    while not is_true():
        if time.monotonic() > end:
            raise Failure(f"not within {seconds} s: {what}\n{logs()}")
        time.sleep(0.2)


class Watch:
    """Compares results of the commands. `expected` has a pattern of a command for each function that looks at its output; a pattern that no command
    matches is an error, so that a check does not go with a command that was reworded."""

    def __init__(self, known):
        self.known, self.compared, self.servers, self.seen = known, 0, [], set()

    def check(self, what, found, wanted):
        if found != wanted:
            raise Failure(f"{what}: {found!r} is found, {wanted!r} is in the data\n{logs()}")
        self.compared += 1

    def holds(self, what, text, *pieces):
        for piece in pieces:
            if piece not in text:
                raise Failure(f"{what}: {piece!r} is missing in:\n{text[-4000:]}\n{logs()}")
            self.compared += 1

    def api(self, path, port=8000):
        status, body, _ = ask(f"http://localhost:{port}{path}", token())
        self.check(f"the status of {path}", status, 200)
        return json.loads(body)

    def prepare(self):
        """Servers of others, and the replaced system."""

    def expected(self):
        return []

    def after(self, line, output):
        for pattern, look in self.expected():
            if re.search(pattern, line):
                self.seen.add(pattern)
                look(output)

    def end(self):
        if missing := [pattern for pattern, _ in self.expected() if pattern not in self.seen]:
            raise Failure(f"no command of the page matches {missing}")

    def close(self):
        for server in self.servers:
            server.close()

    def start_former(self, **ports):
        """Starts units of the replaced system (name=port), and the daemon, as the package does when it is installed."""
        subprocess.run(["systemctl", "enable", "--now", "edge-aggregator"], check=True)
        for name, port in ports.items():
            subprocess.run(["systemctl", "start", name.replace("_", "-")], check=True)
            self.former_answers(port)

    def former_answers(self, port, path="/"):
        waited(f"the replaced system on port {port}", lambda: self.is_former(port, path), 20)
        self.compared += 1

    @staticmethod
    def is_former(port, path="/"):
        try:
            return ask(f"http://localhost:{port}{path}")[2].startswith(FORMER)
        except OSError:
            return False

    def start_container(self, name, port, *ports):
        """Starts a container of a replaced system: a web server in its place."""
        os.makedirs(f"{services.STATE}/containers", exist_ok=True)
        services.write(f"containers/{name}", {
            "address": "172.17.0.2", "volumes": [], "ports": ports, "environment": dict(os.environ), "notifies": False,
            "command": ["/usr/bin/python3", "-m", "http.server", str(port), "--bind", "172.17.0.2"]})
        subprocess.run(["docker", "start", name], check=True)
        self.former_answers(ports[0][0])


class Microphone(Watch):
    def prepare(self):
        self.s3 = doubles.S3("recordings")
        self.influx = doubles.Influx("influx-token")
        self.servers = [self.s3, self.influx, doubles.forward("127.0.0.1:9000", self.s3.port),
                        doubles.forward("127.0.0.1:8181", self.influx.port)]
        # One object is there from before.
        self.s3.put(f"birds/forest-7/listener02/{self.of('listener02')[0]}", self.recording(self.of("listener02")[0]))
        self.start_container("aggregator", 8000, (80, 8000), (8000, 8000))

    def of(self, listener):
        return sorted(name for name in self.known["recordings"] if name.startswith(listener))

    def recording(self, name):
        with open(f"/var/lib/docker/volumes/aggregator_data/_data/recordings/{name}", "rb") as file:
            return file.read()

    def expected(self):
        return [
            (r"docker run", lambda _: self.holds("the log of the start", open("/var/log/edge.log").read(), "import-recordings --in-place")),
            (r"import-recordings --in-place$", self.imported),
            (r"settings check", lambda output: self.holds("settings check", output, "metrics_interval_sec has no effect here")),
            (r"edge-aggregator status", lambda output: self.holds("status", output, "forest-7", "ready")),
            (r"edge-aggregator deliveries", self.delivered),
            (r":8001/metrics", lambda output: self.holds("metrics", output, "analyze_queue_length", "upload_queue_length 0",
                                                         f"upload_jobs_processed_total {len(self.known['recordings'])}")),
            (r"recordings_stream", lambda output: self.check("the answer to a listener", json.loads(output), {"status": "ok", "listener": "probe"})),
            (r"docker start aggregator", lambda _: self.former_answers(80)),
        ]

    def imported(self, output):
        count = len(self.known["recordings"])
        if not hasattr(self, "is_imported"):
            self.is_imported = True
            self.holds("the import", output, f"of {count} recordings {count} are new, 0 were there already, 0 more rejected",
                       "1 of the files were repaired")
            waited("the analysis", lambda: len([row for row in self.rows() if row["analysis"] == "done"]) == count, 120)
            self.check("recordings", sorted(row["name"] for row in self.rows()), sorted(self.known["recordings"]))
            found = self.api(f"/api/v1/detections?recording={self.known['birds']}&limit=100")["detections"]
            self.check("species", {row["scientific_name"] for row in found}, set(self.known["species"]))
            for name, size in self.known["recordings"].items():
                self.check(f"the size of {name}", len(self.recording(name)), size)
            waited("the uploads", lambda: len(self.s3.keys()) == count)
            self.check("objects", self.s3.keys(), sorted(f"birds/forest-7/{name.rsplit('_', 1)[0]}/{name}" for name in self.known["recordings"]))
            for table in ("analysis", "uploads"):
                waited(f"points of {table}", lambda: self.influx.count("recordings", table) == count)
                self.compared += 1
        else:
            self.holds("the import again", output, f"all of {count} recordings were there already")

    def rows(self):
        return self.api("/api/v1/recordings?limit=100")["recordings"]

    def delivered(self, output):
        self.holds("deliveries", output, "s3", "influx", "flowing")


class CO2(Watch):
    def prepare(self):
        self.start_former(co2unit_server=8080)

    def expected(self):
        units = self.known["units"]
        return [
            (r"import co2", self.imported),
            (r"restart edge-aggregator", lambda _: self.answers()),
            (r"nodes --kind co2", lambda output: self.holds("nodes", output, *(f"co2/{unit}" for unit in units))),
            (r"journalctl", lambda output: self.holds("the log", output, 'what="alive"', "push data/readings/readings-0001.tsv")),
            (r"/status/alive/recent", lambda output: self.check("pings", len(output.splitlines()), self.known["pings"] + 1)),
            (r"/data/co2/summary", lambda _: self.summary()),
            (r"/var/pub/map.html", lambda output: self.holds("an own file", output, self.known["map"])),
            (r"FROM co2_readings", lambda output: self.check(
                "exported readings", output.split(), [f"{unit}|{count}" for unit, count in sorted(units.items())])),
            (r"count\(\*\) FROM pings", lambda output: self.check("exported pings", int(output), self.known["pings"])),
            (r"enable --now co2unit-server", lambda _: self.back()),
        ]

    def imported(self, output):
        readings, known = sum(self.known["units"].values()), self.known
        self.holds("the import", output, f"{len(known['units'])} units",
                   f"{readings} readings, {known['pings']} pings, {known['old_lines']} lines rejected, {known['errors']} entries", f"of {readings + known['pings']} rows {readings + known['pings']} are new, 0 were there already")

    def summary(self):
        with open("/srv/co2unit-server/co2_summary.html") as file:
            self.holds("the summary", file.read(), "varanger-40", "735.0", "/data/co2/co2_tiered_all_hires.svg")
        # The picture has the strip of the file of tiers.
        self.holds("a picture", ask("http://localhost:8080/data/co2/co2_tiered_all_hires.svg")[1], "<svg", "Varanger 3")

    def answers(self):
        for unit, count in self.known["units"].items():
            rows = self.api(f"/api/v1/observations?source=co2/{unit}&quantity=co2&limit=1000")["observations"]
            self.check(f"readings of {unit}", len(rows), count)
            # Without the two of the warm-up: 700 to 770.
            self.check(f"the mean of {unit}", rows[0]["value"], 735)
            for path in glob.glob(f"/srv/co2unit-server/remote_data/{unit}/**/*.*", recursive=True):
                copy = path.replace("/srv/co2unit-server", "/var/lib/edge-aggregator")
                self.check(f"the copy of {path}", open(copy, "rb").read(), open(path, "rb").read())
        # A unit calls, and goes on where it was.
        unit, count = max(self.known["units"].items(), key=lambda pair: pair[1])
        request = urllib.request.Request(f"http://box:8080/ou/{unit}/alive?site_code=varanger-40&rssi_raw=8&rssi_dbm=-97", b"", method="POST")
        self.check("the answer to a unit", json.load(urllib.request.urlopen(request)), {})
        self.known["pings"] += 1
        path = "data/readings/readings-0001.tsv"
        size = os.path.getsize(f"/srv/co2unit-server/remote_data/{unit}/{path}")
        request = urllib.request.Request(f"http://box:8080/ou/{unit}/push-sequential/{path}?offset={size}", b"x", method="PUT")
        self.check("the answer to a unit", json.load(urllib.request.urlopen(request)), {"ack_file": ["readings-0001.tsv", size + 1, size + 1]})

    def back(self):
        self.former_answers(8080, "/remote_data/")
        for unit in self.known["units"]:
            for path in glob.glob(f"/var/lib/edge-aggregator/remote_data/{unit}/data/readings/*.tsv"):
                copy = path.replace("/var/lib/edge-aggregator", "/srv/co2unit-server")
                self.check(f"the copy of {path}", open(copy, "rb").read(), open(path, "rb").read())


class ISEMS(Watch):
    def prepare(self):
        self.now = int(time.time())
        machine.add_address("10.36.158.33")
        self.servers = [doubles.Router("10.36.158.33", legacy.line("Router", self.now - 300)), doubles.Broker()]
        self.start_former(isems_data_collector=5000, isems_subscriber=5001)

    def expected(self):
        counts = self.known["counts"]
        total = sum(counts.values())
        return [
            (r"import isems isems-data-collector", lambda output: self.holds(
                "the import", output, f"{total} readings read, 0 rejected", f"of {total} rows {total} are new")),
            (r"import isems ffopenmppt", lambda output: self.holds("the import", output, f"of {self.known['log']} rows {self.known['log']} are new")),
            (r"restart edge-aggregator", lambda _: self.publish()),
            (r"poll isems --once", lambda output: self.holds("poll", output, "10.36.158.33")),
            (r"nodes --kind isems", lambda output: self.holds("nodes", output, *(f"isems/{node}" for node in counts), "isems/Router", "isems/Meadow")),
            (r":5000/measurements/latest", self.latest),
            (r"/api/measurements/", self.history),
            (r"nodes rejected", lambda output: self.holds("rejected", output, "Every line could be taken")),
            (r"-o Elektra-Dach.json", lambda _: self.history(open("/srv/isems-data-collector/Elektra-Dach.json").read())),
            (r"enable --now isems-data-collector", lambda _: [self.former_answers(port) for port in (5000, 5001)]),
        ]

    def publish(self):
        def is_there():
            # The daemon may not have subscribed yet; what comes again is stored once.
            doubles.publish("Meadow", "/isems/Meadow/csvlog", legacy.line("Meadow", self.now - 60))
            return "Meadow" in ask("http://localhost:5000/measurements/latest")[1]

        waited("the message of the broker", is_there)

    def latest(self, output):
        rows = {row["nodeId"]: row for row in json.loads(output)["measurements"]}
        shown = set(self.known["counts"]) - set(self.known["hidden"]) | {"Router", "Meadow"}
        self.check("nodes", set(rows), shown)
        for node in set(self.known["counts"]) & shown:
            self.check(f"the newest time of {node}", rows[node]["timestamp"], self.known["newest"][node])
            self.check(f"the status of {node}", rows[node]["status"], "0x300")

    def history(self, output):
        rows = json.loads(output)["measurements"]
        self.check("rows of a node", len(rows), self.known["counts"]["Elektra-Dach"] + self.known["log"])
        self.check("the newest voltage", rows[0]["batteryVoltage"], 13.99)


class PiWardrive(Watch):
    def prepare(self):
        self.start_former(piwardrive_aggregation=9100)

    def expected(self):
        def rows(name, unit=None):
            health, points = self.known[name]["health"], self.known[name].get("points", 0)
            return lambda output: self.holds(
                f"the import of {name}", output, f"of {health + points} rows {health + points} are new",
                f"is merged: {health} health records and {points} access points of {unit or name} are in the database")

        return [
            (r"--unit former-service", rows("former", "former-service")),
            (r"--unit van7", rows("van7")),
            (r"--unit van8", rows("van8")),
            (r"curl .*/stats", self.stats),
            (r"/overlay", lambda output: self.overlay(output)),
            (r"/upload$", lambda output: self.check("the answer to a unit", json.loads(output), {"saved": "uploads/app.db"})),
            (r"box:9000/$", self.uploaded),
            (r"nodes --kind", lambda output: self.holds("nodes", output, "piwardrive/van7", "piwardrive/van8", "piwardrive/former-service")),
            (r"nodes errors", lambda output: self.holds("errors", output, "without its -wal", "30 health records and 20 access points are in it")),
            (r"enable --now piwardrive", lambda _: self.former_answers(9100)),
        ]

    def stats(self, output):
        self.check("/stats", json.loads(output), self.known["stats"])

    def overlay(self, output):
        self.check("/overlay", [point[2] for point in json.loads(output)["points"]], [self.known["points"]])

    def uploaded(self, output):
        self.check("the answer to a unit", json.loads(output), {"saved": "uploads/app.db"})
        # Nothing counts twice.
        self.stats(ask("http://localhost:9100/stats")[1])
        self.overlay(ask("http://localhost:9100/overlay?bins=1")[1])


class Driftline(Watch):
    def prepare(self):
        self.database = doubles.PostgreSQL("drift", "drift-password", "driftline")
        self.database.write_catalogue(self.known["rows"])
        self.s3 = doubles.S3("environmental-data")
        self.upstream = doubles.Upstream()
        machine.add_address("172.17.0.9")
        self.servers = [self.database, self.s3, self.upstream, doubles.forward("172.17.0.9:9000", self.s3.port)]
        doubles.name("minio", "172.17.0.9")
        services.write("environment", self.upstream.settings())
        self.start_container("data-aggregator", 8000, (8000, 8000))

    def expected(self):
        return [
            (r"settings check", lambda output: self.holds("settings check", output, "redis_url", "s3_use_ssl", "have no effect here")),
            (r"forecasts status", lambda output: self.holds("forecasts", output, "wind", "ocean-currents")),
            (r"/v1/data/wind", lambda _: self.check("the answer is NetCDF", open("/srv/data-aggregator/wind.nc", "rb").read(3), b"CDF")),
            (r"/v1/data/ocean_currents", lambda _: self.currents()),
            (r"GROUP BY", self.rows),
            (r"edge-aggregator deliveries", lambda output: self.holds("deliveries", output, "postgres", "s3", "flowing")),
            (r"docker start data-aggregator", lambda _: self.former_answers(8000)),
            (r"DELETE FROM aggregator_datasets", lambda _: self.check(
                "rows of the replaced system", self.count("true"), self.known["rows"])),
        ]

    def count(self, condition):
        """Rows of the catalogue in PostgreSQL."""
        return int(self.database.query(f"SELECT count(*) FROM aggregator_datasets WHERE {condition}"))

    def currents(self):
        with open("/srv/data-aggregator/currents.json") as file:
            self.holds("currents", file.read(), "x_sea_water_velocity", "y_sea_water_velocity")
        found = self.api("/api/v1/datasets?type=ocean_currents&limit=1")["datasets"]
        self.check("kinds in the catalogue", [row["data_type"] for row in found], ["ocean-currents"])
        # The next command looks at the rows: each has its object first. With the first of them the table gets its two columns.
        fields = len(self.api("/api/v1/datasets?limit=1000")["datasets"])
        waited("all rows and objects", lambda: self.count("true") == fields + self.known["rows"] and len(self.s3.keys()) == fields)

    def rows(self, output):
        """The rows of the fields, and their objects; those of the replaced system stay."""
        self.check("kinds", [line.split("|")[:2] for line in output.split()], [["ocean_currents", "copernicus"], ["wind", "noaa_gfs"]])
        paths = self.database.query("SELECT file_path FROM aggregator_datasets WHERE aggregator_uuid = 'coast-1'").split()
        self.check("objects", self.s3.keys(), sorted(paths))
        self.check("rows of the replaced system", self.count("aggregator_uuid IS NULL"), self.known["rows"])


PARTS = {"microphone": Microphone, "co2": CO2, "isems": ISEMS, "piwardrive": PiWardrive, "driftline": Driftline}
