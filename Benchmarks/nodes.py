"""Field nodes: pushes of CO2 units, lines of ISEMS nodes, databases of PiWardrive units, and what is asked about them."""

import http.client
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import tempfile
import threading
import time
import urllib.request

from harness import DAEMON, SHM, TOOLS, Daemon, run_json

NOW = int(time.time())

# The former server's way to answer a push: which file is the folder's last is looked for in the folder, each time. Bare of
# all that its web framework costs, in as many processes as it had.
FORMER = r'''
import os, re, socket, sys
folder = sys.argv[1]
listener = socket.create_server(("127.0.0.1", 0), backlog=512)
print(listener.getsockname()[1], flush=True)
if os.fork() == 0: pass
while True:
    connection, _ = listener.accept()
    data = b""
    while b"\r\n\r\n" not in data: data += connection.recv(65536)
    head, body = data.split(b"\r\n\r\n", 1)
    length = int(re.search(rb"Content-Length: (\d+)", head)[1])
    name = re.search(rb"data/readings/([^?]+)\?offset=(\d+)", head)
    while len(body) < length: body += connection.recv(65536)
    path = f"{folder}/{name[1].decode()}"
    with open(path, "r+b" if os.path.exists(path) else "w+b") as file:
        file.seek(int(name[2]))
        file.write(body)
    last = sorted(os.listdir(folder))[-1]
    size = os.path.getsize(f"{folder}/{last}")
    answer = f'{{"ack_file": ["{last}", {size}, {size}]}}\n'.encode()
    connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer)
    connection.close()
'''


def pushed(port, units, pushes, *more):
    result = run_json(f"{TOOLS}/units", str(port), str(units), str(pushes), *more)
    if result["pushes"] != pushes:
        raise SystemExit(f"{pushes - result['pushes']} pushes were not taken")
    return result["pushes"] / result["seconds"]


def metric(daemon, name):
    for line in daemon.get("/metrics").splitlines():
        if line.startswith(f"{name} "):
            return float(line.split()[1])
    return 0


def wait(what, condition, seconds=300):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"never came: {what}")
        time.sleep(0.02)


def percentile(daemon, path, count=1000):
    """Milliseconds of the 99th of a hundred answers, over one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=60)
    times = []
    for _ in range(count):
        started = time.perf_counter()
        connection.request("GET", path)
        body = connection.getresponse().read()
        times.append(time.perf_counter() - started)
    return sorted(times)[int(count * 0.99)] * 1000, len(body)


def line(node, seconds):
    return f"node{node:04d};1;{seconds};ATmega8_A_1;711;0;18.614;18.614;14.073;100;100;28;11.67;14.086;7;20;52.507309;13.458635;300\n"


def unit_database(path, points, health):
    database = sqlite3.connect(path)
    database.executescript(
        """CREATE TABLE health_records (timestamp TEXT PRIMARY KEY, cpu_temp REAL, cpu_percent REAL, memory_percent REAL, disk_percent REAL);
        CREATE TABLE ap_cache (bssid TEXT PRIMARY KEY, ssid TEXT, encryption TEXT, lat REAL, lon REAL, last_time INTEGER);""")
    database.executemany(
        "INSERT INTO ap_cache VALUES (?, ?, 'WPA2', ?, ?, 1750000000)",
        ((f"{n * 2654435761 % 2**48:012x}", f"network {n}", 60 + n * 7919 % 100_003 / 10_000, 20 + n * 104729 % 100_019 / 10_000) for n in range(points)))
    database.executemany(
        "INSERT INTO health_records VALUES (?, 40.5, 10.25, 50, 20)",
        ((time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(1_750_000_000 + n * 10)),) for n in range(health)))
    database.commit()
    database.close()


def upload(daemon, unit, content):
    boundary = "deb9548398a344f1a7f2ee83c1f5a64b"
    body = (f"--{boundary}\r\nContent-Type: application/octet-stream\r\nContent-Disposition: form-data; name=\"file\"; filename=\"app.db\"\r\n\r\n".encode()
            + content + f"\r\n--{boundary}--\r\n".encode())
    request = urllib.request.Request(
        f"http://127.0.0.1:{daemon.port}/upload?unit={unit}", body, {"Content-Type": f"multipart/form-data; boundary={boundary}"})
    started = time.monotonic()
    urllib.request.urlopen(request, timeout=60).read()
    return time.monotonic() - started


def co2(results):
    daemon = Daemon(ANALYZE_RECORDINGS="false", NODE_ADMISSION="open", HEALTH_INTERVAL_SEC=0)
    pushed(daemon.port, 32, 320)
    results["co2_pushes_per_second"] = round(pushed(daemon.port, 32, 12_800))
    wait("all files read", lambda: metric(daemon, "edge_aggregator_node_files_waiting") == 0)
    for unit in range(16):
        folder = f"{daemon.folder}/remote_data/co2unit-{unit:012x}/data/readings"
        for number in range(10_000):
            open(f"{folder}/x-{number:05d}.tsv", "w").close()
    many = pushed(daemon.port, 16, 6400, "again.tsv")
    daemon.stop()
    former_folder = tempfile.mkdtemp(prefix="edge-bench-", dir=SHM)
    for number in range(10_000):
        open(f"{former_folder}/x-{number:05d}.tsv", "w").close()
    former = subprocess.Popen(["python3", "-c", FORMER, former_folder], stdout=subprocess.PIPE, text=True, start_new_session=True)
    port = int(former.stdout.readline())
    scans = pushed(port, 16, 1600, "again.tsv")
    os.killpg(former.pid, 9)
    former.wait()
    shutil.rmtree(former_folder)
    results["co2_pushes_per_second_10000_files"] = round(many)
    results["co2_times_folder_scans_10000_files"] = round(many / scans, 1)


def isems(results):
    daemon = Daemon(ANALYZE_RECORDINGS="false", NODE_ADMISSION="open", HEALTH_INTERVAL_SEC=0)
    log = f"{daemon.folder}/log"
    with open(log, "w") as file:
        for node in range(1000):
            file.writelines(line(node, NOW - 15 * (1000 - n)) for n in range(1000))
    environment = dict(os.environ, BASE_DIR=daemon.folder, CONFIG_PATH=f"{daemon.folder}/settings.yaml")
    started = time.monotonic()
    subprocess.run([DAEMON, "import", "isems", log], env=environment, check=True, stdout=subprocess.DEVNULL)
    results["isems_lines_per_second"] = round(1_000_000 / (time.monotonic() - started))
    os.unlink(log)
    results["measurements_latest_p99_ms"] = round(percentile(daemon, "/measurements/latest")[0], 2)
    results["measurements_of_node_p99_ms"] = round(percentile(daemon, "/measurements/node0500/latest", 300)[0], 2)
    daemon.stop()


def piwardrive(results):
    daemon = Daemon(ANALYZE_RECORDINGS="false", NODE_ADMISSION="open", HEALTH_INTERVAL_SEC=0)
    path = f"{daemon.folder}/unit.db"
    unit_database(path, 490_000, 90_000)
    content = open(path, "rb").read()
    rows = 580_000
    os.unlink(path)
    results["piwardrive_file_mb"] = round(len(content) / 1e6, 1)
    def merge(unit, count):
        started = time.monotonic()
        seconds = upload(daemon, unit, content)
        wait("the merge", lambda: metric(daemon, "edge_aggregator_node_uploads_merged_total") == count)
        return seconds, time.monotonic() - started
    answered, merged = merge("van0", 1)
    results["piwardrive_answer_ms"] = round(answered * 1000)
    results["piwardrive_rows_per_second"] = round(rows / (merged - answered))
    results["piwardrive_rows_per_second_again"] = round(rows / merge("van0", 2)[1])
    merge("van1", 3)
    merge("van2", 4)
    daemon.get("/overlay")
    results["overlay_p99_ms"] = round(percentile(daemon, "/overlay")[0], 2)
    results["stats_p99_ms"] = round(percentile(daemon, "/stats")[0], 2)
    daemon.stop()


def memory(results):
    daemon = Daemon(ANALYZE_RECORDINGS="false", NODE_ADMISSION="open", HEALTH_INTERVAL_SEC=0, MAX_NODES_PER_ADDRESS=2000)
    daemon.get("/metrics")
    time.sleep(2)
    idle = daemon.memory()[0]
    pushed(daemon.port, 334, 334)
    path = f"{daemon.folder}/unit.db"
    unit_database(path, 100, 100)
    content = open(path, "rb").read()
    for number in range(333):
        upload(daemon, f"van{number}", content)
    body = json.dumps({"batteryVoltage": 13.9, "batteryChargeEstimate": 95, "status": "100"}).encode()
    for number in range(333):
        urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{daemon.port}/api/isems/x/node{number}/data", body)).read()
    wait("the merges", lambda: metric(daemon, "edge_aggregator_node_uploads_merged_total") == 333)
    for path in ["/measurements/latest", "/overlay", "/stats", "/status/alive/recent", "/api/v1/nodes"]:
        daemon.get(path)
    time.sleep(3)
    results["nodes_added_rss_mb"] = round((daemon.memory()[0] - idle) / 1e6, 1)
    daemon.stop()


def nodes():
    """Field nodes: pushes, lines, merges and questions, on files in memory."""
    results = {}
    for part in [co2, isems, piwardrive, memory]:
        part(results)
    return results
