#!/usr/bin/env python3
"""Writes what the replaced systems leave on a machine, in their own layouts: legacy.py PART FOLDER [SAMPLE.wav]

PART is microphone, co2, isems, piwardrive or driftline. FOLDER stands for the root of a machine. Prints as JSON what is in the data, so that
a test knows what must arrive.
"""

import datetime
import gzip
import json
import os
import sqlite3
import struct
import sys
import wave
import zoneinfo

UTC = datetime.timezone.utc
NOW = datetime.datetime.now(UTC).replace(microsecond=0)


def put(path, content):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content if isinstance(content, bytes) else content.encode())


def service(root, name, folder, port):
    """A unit of a replaced system. In place of the system a web server holds its port, and serves its folder."""
    put(f"{root}/etc/systemd/system/{name}.service",
        f"[Unit]\nDescription={name}\n\n[Service]\nWorkingDirectory={folder}\n"
        f"ExecStart=/usr/bin/python3 -m http.server {port} --bind 0.0.0.0\n\n[Install]\nWantedBy=multi-user.target\n")


# --- The microphone aggregator

# The names of its default-balena.env, with values of an installation.
MICROPHONE_ENVIRONMENT = """\
AGGREGATOR_UUID=forest-7
ANALYZER_WORKERS=2
ANALYZER_CPU_AFFINITY=0,1
EVERYTHING_BUT_ANALYZER_CPU_AFFINITY=0,1
METRICS_INTERVAL_SEC=30
GENERATE_MOCK_AUDIO=0
ANALYZE_RECORDINGS=1
UPLOAD_RAW_TO_CLOUD=1
DELETE_RECORDINGS=0
MAX_RECORDING_BYTES=2000000
MAX_RECORDING_DURATION_SEC=20
MIN_RECORDING_DURATION_SEC=3
AUDIO_NUM_CHANNELS=1
AUDIO_SAMPLE_RATE=48000
AUDIO_BITS_PER_SAMPLE=16
KVM_IP=
INFLUX_URL=http://influx.example:8181
INFLUX_TOKEN=influx-token
INFLUX_ORG=
INFLUX_RECORDINGS_BUCKET=recordings
INFLUX_ANALYSIS_TABLE=analysis
INFLUX_UPLOADS_TABLE=uploads
PROM_SCRAPE_INTERVAL=15s
PROM_USER=admin
PROM_PASS=change-me
RECORDINGS_UPLOAD_ENDPOINT=/recordings_upload
RECORDINGS_STREAM_ENDPOINT=/recordings_stream
RCLONE_CONFIG_S3_TYPE=s3
RCLONE_CONFIG_S3_PROVIDER=Ceph
RCLONE_CONFIG_S3_ENDPOINT=http://s3.example:9000
RCLONE_CONFIG_S3_ACCESS_KEY_ID=key12345
RCLONE_CONFIG_S3_SECRET_ACCESS_KEY=secret12345
RCLONE_REMOTE_BUCKET=s3://recordings/birds
"""


def stamp(time):
    return f"{time:%Y%m%dT%H%M%SZ}"


def wav(samples, rate, says=None):
    """16-bit mono; `says` is the length that the header has."""
    size = len(samples) if says is None else says
    return b"RIFF" + struct.pack("<I", 36 + size) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, rate, 2 * rate, 2, 16) \
        + b"data" + struct.pack("<I", size) + samples


def microphone(root, sample):
    data = f"{root}/var/lib/docker/volumes/aggregator_data/_data"
    put(f"{root}/srv/aggregator/aggregator/.env", MICROPHONE_ENVIRONMENT)
    put(f"{data}/logs/info.log", f"{NOW:%Y-%m-%d %H:%M:%S},000 INFO receiver_http: started\n")
    with wave.open(sample) as file:
        rate, birds = file.getframerate(), file.readframes(file.getnframes())
    quiet = bytes(2 * 48_000 * 5)
    begin = NOW - datetime.timedelta(days=2)
    names = {}
    for listener, minutes, sound in (("listener01", 0, wav(birds, rate)), ("listener01", 1, wav(quiet, 48_000)),
                                     ("listener02", 0, wav(quiet, 48_000))):
        name = f"{listener}_{stamp(begin + datetime.timedelta(minutes=minutes))}.wav"
        put(f"{data}/recordings/{name}", sound)
        names[name] = len(sound)
    # Cut off by an end of the receiver: the sizes in the header are those of an empty file.
    unfinished = f"listener02_{stamp(begin + datetime.timedelta(minutes=1))}.wav"
    put(f"{data}/recordings_tmp/{unfinished}.tmp", wav(quiet, 48_000, says=0))
    names[unfinished] = len(wav(quiet, 48_000))
    return {"recordings": names, "birds": "listener01_" + stamp(begin) + ".wav",
            # `make test` compares the scores of this sample with those of a plain C program.
            "species": ["Setophaga castanea", "Leiothlypis peregrina", "Setophaga fusca"]}


# --- The CO2 units' server

def reading(unit, time, number):
    values = [200010, 690] + [700 + 10 * index for index in range(8)]
    return "\t".join([unit, f"varanger-{unit[-2:]}", f"{time:%Y-%m-%d}", f"{time:%H:%M:%S}", f"{20 + number % 10 / 4}", "1",
                      *(str(value) for value in values)]) + "\n"


def co2(root, _):
    base = f"{root}/srv/co2unit-server"
    units = {"co2unit-30aea42a5140": 120, "co2unit-30aea42a50bc": 48}
    begin = NOW - datetime.timedelta(days=3)
    half_hour = datetime.timedelta(minutes=30)
    for unit, count in units.items():
        lines = [reading(unit, begin + number * half_hour, number) for number in range(count)]
        # Two files, as the units write them; the last line of one has no line feed, and one is of a clock that was not set.
        put(f"{base}/remote_data/{unit}/data/readings/readings-0000.tsv", "".join(lines[:40]))
        put(f"{base}/remote_data/{unit}/data/readings/readings-0001.tsv",
            "".join(lines[40:])[:-1] + "\n" + reading(unit, datetime.datetime(1970, 1, 1, 0, 0, 10), 0))
        put(f"{base}/remote_data/{unit}/errors/errors-0000.txt",
            f"----- {begin:%Y-%m-%d %H:%M:%S} EXC   Uncaught transmit\nTraceback (most recent call last):\n"
            f"----- {begin:%Y-%m-%d %H:%M:%S} WARN  watchdog\n")
    put(f"{base}/remote_data/co2unit-30aea42a5140/updates/update-2026-11-01/conf-patch/ou-id.json", '{"site_code": "varanger-40"}')
    pings = [(begin + datetime.timedelta(days=day), unit) for day in range(3) for unit in units]
    put(f"{base}/var/pings/pings-0000.tsv",
        "".join(f"{time:%Y-%m-%dT%H:%M:%S}.564991\t{unit}\tvaranger-{unit[-2:]}\t8\t-97\n" for time, unit in pings))
    put(f"{base}/remote_data/server-north/var/pings/pings-0000.tsv",
        f"{begin - datetime.timedelta(days=1):%Y-%m-%dT%H:%M:%S}.000001\tco2unit-30aea42a50bc\tvaranger-bc\tNone\tNone\n")
    put(f"{base}/remote_data/manual/deploy_durations_tiered.tsv",
        "unit_id\tnickname\tsite\ttier\tstatus\tstart_ts\tend_ts\tnote\n"
        f"co2unit-30aea42a5140\tvaranger-40\tVaranger 3\t1\tdeployed\t{begin:%Y-%m-%d}\t\t\n")
    put(f"{base}/var/pub/map.html", "<html><body>Our own map</body></html>\n")
    put(f"{base}/var/pub/co2_summary.html", "<html><body>made by the nightly import</body></html>\n")
    service(root, "co2unit-server", "/srv/co2unit-server", 8080)
    return {"units": units, "pings": len(pings) + 1, "errors": 2 * len(units), "map": "Our own map", "old_lines": len(units)}


# --- The ISEMS data collector

MEASUREMENT = """
CREATE TABLE measurement (id INTEGER NOT NULL, "nodeId" VARCHAR, "isemsRevision" VARCHAR, timestamp DATETIME,
    "openMPPTFirmwareVersion" VARCHAR, "timeToShutdown" FLOAT, "isPowerSaveMode" BOOLEAN, "openCircuitVoltage" FLOAT, "mppVoltage" FLOAT,
    "batteryVoltage" FLOAT, "batteryChargeEstimate" FLOAT, "batteryHealthEstimate" FLOAT, "batteryTemperature" FLOAT,
    "lowVoltageDisconnectVoltage" FLOAT, "temperatureCorrectedVoltage" FLOAT, "rateBatteryCapacity" FLOAT, "ratedSolarModuleCapacity" FLOAT,
    latitude FLOAT, longitude FLOAT, status INTEGER, PRIMARY KEY (id), CONSTRAINT node_timestamp UNIQUE ("nodeId", timestamp));
CREATE INDEX latest_by_node_id ON measurement ("nodeId", timestamp DESC);
CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, PRIMARY KEY (version_num));
INSERT INTO alembic_version VALUES ('0a1b2c3d4e5f');
"""
BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")


def line(node, seconds, temperature=28):
    return f"{node};1;{seconds};ATmega8_A_1;711;0;18.614;16.614;14.073;100;100;{temperature};11.67;14.086;7;20;52.507309;13.458635;300"


def isems(root, _):
    base = f"{root}/srv/isems-data-collector"
    put(f"{base}/.env",
        f"DATABASE_URL=sqlite:////srv/isems-data-collector/isems-data-collector.sqlite\nISEMS_ROUTER_IPS=10.36.158.33\n"
        "MQTT_SERVER=broker.example\nHIDE_INACTIVE_AFTER_DAYS=30\nFLASK_ENV=production\n")
    counts, newest = {}, {}
    with sqlite3.connect(f"{base}/isems-data-collector.sqlite") as database:
        database.executescript(MEASUREMENT)
        for node, count, age in (("Elektra-Dach", 100, 1), ("Solar Irrigation System", 20, 2), ("Old Node", 5, 90)):
            for number in range(count):
                # At noon, when no clock is changed.
                time = NOW.replace(hour=12, minute=0, second=0) - datetime.timedelta(days=age, minutes=count - number)
                # As the collector stores it: wall time of Berlin.
                text = f"{time.astimezone(BERLIN):%Y-%m-%d %H:%M:%S}.000000"
                database.execute(
                    'INSERT INTO measurement VALUES (NULL, ?, "1", ?, "ATmega8_A_1", 711, 0, 18.614, 16.614, ?, 100, 100, 28, 11.67, 14.086, 7, 20,'
                    " 52.507309, 13.458635, 768)", (node, text, 13 + number / 100))
                newest[node] = f"{time.astimezone(BERLIN):%Y-%m-%dT%H:%M:%S}"
            counts[node] = count
    database.close()
    begin = int(NOW.timestamp()) - 40 * 86_400
    put(f"{base}/ffopenmppt.log.gz", gzip.compress("".join(line("Elektra-Dach", begin + 60 * n) + "\n" for n in range(60)).encode()))
    service(root, "isems-data-collector", "/srv/isems-data-collector", 5000)
    service(root, "isems-subscriber", "/srv/isems-data-collector", 5001)
    return {"counts": counts, "newest": newest, "log": 60, "hidden": ["Old Node"]}


# --- PiWardrive

UNIT = """
CREATE TABLE health_records (timestamp TEXT PRIMARY KEY, cpu_temp REAL, cpu_percent REAL, memory_percent REAL, disk_percent REAL);
CREATE TABLE ap_cache (bssid TEXT PRIMARY KEY, ssid TEXT, encryption TEXT, lat REAL, lon REAL, last_time INTEGER);
CREATE TABLE schema_version (version INTEGER);
CREATE TABLE users (username TEXT PRIMARY KEY, password_hash TEXT, token_hash TEXT, token_created INTEGER);
INSERT INTO users VALUES ('admin', 'hash', NULL, NULL);
"""
AGGREGATION = """
CREATE TABLE health_records (timestamp TEXT PRIMARY KEY, cpu_temp REAL, cpu_percent REAL, memory_percent REAL, disk_percent REAL);
CREATE TABLE ap_points (lat REAL, lon REAL);
"""


def unit_database(path, health, points, prefix):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.executescript(UNIT)
        database.executemany("INSERT INTO health_records VALUES (?, ?, ?, ?, ?)", health)
        database.executemany("INSERT INTO ap_cache VALUES (?, ?, 'WPA2', ?, ?, 1750000000)",
                             [(f"{prefix}:{number:02X}", f"net {number}", lat, lon) for number, (lat, lon) in enumerate(points)])
    database.close()


def piwardrive(root, _):
    base = f"{root}/srv/piwardrive-aggregation"
    times = [f"{datetime.datetime(2026, 7, 1, 12) + datetime.timedelta(seconds=10 * n):%Y-%m-%dT%H:%M:%S}.123456" for n in range(30)]
    # Means: 50 and 40 of the first two units, 30 of the service's own records.
    van7 = [(time, 45.0, 10.0, 50.0, 20.0) for time in times]
    van8 = [(time.replace("2026-07-01", "2026-07-02"), 55.0, 30.0, 70.0, 20.0) for time in times]
    unit_database(f"{base}/units/van7/app.db", van7, [(59.0 + n / 100, 10.0) for n in range(20)], "AA:00:00:00:00")
    unit_database(f"{base}/units/van8/app.db", van8, [(60.0, 11.0 + n / 100) for n in range(10)], "BB:00:00:00:00")
    former = [(time.replace("2026-07-01", "2026-06-01"), 50.0, 20.0, 30.0, 80.0) for time in times]
    with sqlite3.connect(f"{base}/aggregation.db") as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.executescript(AGGREGATION)
        database.executemany("INSERT INTO health_records VALUES (?, ?, ?, ?, ?)", former)
        database.executemany("INSERT INTO ap_points VALUES (?, ?)", [(59.0, 10.0)] * 7)
    database.close()
    put(f"{base}/uploads/app.db", b"".join(open(f"{base}/units/{unit}/app.db", "rb").read() for unit in ("van7", "van8")))
    service(root, "piwardrive-aggregation", "/srv/piwardrive-aggregation", 9100)
    return {"van7": {"health": 30, "points": 20}, "van8": {"health": 30, "points": 10}, "former": {"health": 30},
            "stats": {"temp_avg": 50.0, "cpu_avg": 20.0, "mem_avg": 50.0, "disk_avg": 40.0}, "points": 30}


# --- Driftline

def driftline(root, _):
    put(f"{root}/srv/data-aggregator/.env",
        "DATABASE_URL=postgresql://drift:drift-password@postgres:5432/driftline\nREDIS_URL=redis://redis:6379/1\n"
        "S3_ENDPOINT=http://minio:9000\nS3_ACCESS_KEY=key12345\nS3_SECRET_KEY=secret12345\nS3_BUCKET=environmental-data\nS3_USE_SSL=false\n"
        "COPERNICUS_USERNAME=skipper\nCOPERNICUS_PASSWORD='p&ss word'\nHISTORICAL_DAYS=1\nFORECAST_HOURS=12\nFORECAST_INTERVAL_HOURS=3\n"
        "COLLECTION_SCHEDULE=0 */6 * * *\nCLEANUP_SCHEDULE=0 2 * * *\nMAX_DATA_AGE_DAYS=14\nLOG_LEVEL=INFO\nDEBUG=false\n")
    os.makedirs(f"{root}/var/lib/docker/networks/data-aggregator_default")
    return {"rows": 20}


PARTS = {"microphone": microphone, "co2": co2, "isems": isems, "piwardrive": piwardrive, "driftline": driftline}


def main():
    part, root, *rest = sys.argv[1:]
    print(json.dumps(PARTS[part](root, rest[0] if rest else None), indent=1))


if __name__ == "__main__":
    main()
