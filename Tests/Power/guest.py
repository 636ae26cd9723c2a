"""In the machine whose power is cut: starts the daemon on its disk, looks whether everything that was acknowledged before is there,
then sends sound and readings and says, line by line, what has been acknowledged. kills.py uses the same without a machine.

    guest.py DAEMON ACKNOWLEDGED_FILE MODE MODULES

Modes: plain; bytes or inodes (something takes all that is left of the disk, and sometimes gives it back); drop_writes; error_writes.
"""

import hashlib
import json
import os
import random
import socket
import sqlite3
import struct
import subprocess
import sys
import threading
import time
import urllib.request

DAEMON = ACKNOWLEDGED = MODE = MODULES = ""
DISK = "/run/disk"
BASE = f"{DISK}/edge"
TEMPORARY = "/run/tmp"
PORT = 8000
RATE = 8000
# Seconds that a sender waits after each item.
PAUSE = 0
# More of the daemon's environment.
EXTRA = {}
# Set when the senders are to end.
over = threading.Event()
said = threading.Lock()


def say(*words):
    with said:
        os.write(1, (" ".join(str(word) for word in words) + "\n").encode())


def off():
    os.system("echo o >/proc/sysrq-trigger")
    time.sleep(60)


def give_up(*words):
    say("BAD", *words)
    log = open(f"{TEMPORARY}/daemon.log", errors="replace").read()[-3000:]
    for line in log.splitlines()[-15:]:
        say("LOG", line)
    off()


def get(path, raw=False):
    with urllib.request.urlopen(f"http://127.0.0.1:{PORT}{path}", timeout=60) as answer:
        body = answer.read()
    return body if raw else json.loads(body)


def start():
    environment = dict(PATH=os.environ["PATH"], HOME=TEMPORARY, TMPDIR=TEMPORARY, BASE_DIR=BASE, LISTEN=f"127.0.0.1:{PORT}", METRICS_PORT="0", ANALYZE_RECORDINGS="false",
                       MIN_FREE_DISK_BYTES="1000000", MIN_RECORDING_DURATION_SEC="0.1", HEALTH_INTERVAL_SEC="0", NODE_ADMISSION="open",
                       CONFIG_PATH=f"{TEMPORARY}/settings.yaml", SYNC_INTERVAL_MS="100", LOG_LEVEL="info", REFUSAL_HOLD_SEC="0", API_REQUESTS_PER_MINUTE="0",
                       SAFE_MODE_AFTER="3", SAFE_MODE_MINUTES="60") | EXTRA
    open(f"{TEMPORARY}/settings.yaml", "w").close()
    daemon = subprocess.Popen([DAEMON, "run"], env=environment, stdout=open(f"{TEMPORARY}/daemon.log", "ab"), stderr=subprocess.STDOUT)
    for _ in range(1200):
        if daemon.poll() is not None:
            give_up(f"the daemon ended with {daemon.returncode}")
        try:
            get("/healthz", raw=True)
            return daemon
        except OSError:
            time.sleep(0.05)
    give_up("the daemon did not start")


def was_full():
    """Whether the disk has been full in some life: sound may then be removed or not kept, if the ledger says so."""
    return os.path.exists(f"{DISK}/was-full")


def was_removed(row):
    """Whether retention took a recording away to make room on a disk that was full, and said so."""
    path = f"{BASE}/recordings/{row['listener']}/{row['name']}"
    if row["state"] not in ("deleted", "unkept") and not os.path.exists(path):
        # It may have been removed since the list was asked for.
        row = get(f"/api/v1/recordings/{row['name']}")
        if row["state"] != "deleted":
            give_up("the file of an acknowledged recording is missing:", row)
    if row["state"] != "deleted":
        return False
    if row["delete_reason"] != "disk short":
        give_up("an acknowledged recording was removed for another reason than want of room:", row)
    if not was_full():
        give_up("a recording was removed, and the disk has never been full:", row["name"])
    for _ in range(100):
        if not os.path.exists(path):
            return True
        time.sleep(0.05)
    give_up("a recording that was removed is there still:", row["name"])


def content(row):
    """A recording's file; None if retention removed it, also in this moment."""
    if was_removed(row):
        return None
    path = f"{BASE}/recordings/{row['listener']}/{row['name']}"
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        if was_removed(row):
            return None
        raise


def fill(what):
    """Takes all that is left of the disk, as another program would: its bytes, or its inodes."""
    open(f"{DISK}/was-full", "w").close()
    os.makedirs(f"{DISK}/fillers", exist_ok=True)
    number = len(os.listdir(f"{DISK}/fillers"))
    size = 1 << 28
    try:
        while what == "inodes" or size >= 4096:
            with open(f"{DISK}/fillers/{number}", "wb") as file:
                number += 1
                while what == "bytes" and size >= 4096:
                    try:
                        os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), size)
                    except OSError:
                        size //= 2
    except OSError:
        pass
    say("FULL", what, os.statvfs(DISK).f_bavail, os.statvfs(DISK).f_favail)


def check_readings(source, quantity, count):
    """What a node sent is read into the store soon after it was acknowledged; on a full disk, when there is room again."""
    for _ in range(300):
        found = len(get(f"/api/v1/observations?source={source}&quantity={quantity}&limit=1000")["observations"])
        if found >= min(count, 1000) or is_full():
            return
        time.sleep(0.1)
    give_up("of", count, "readings that were acknowledged the store has", found, source)


def is_full():
    return os.path.exists(f"{DISK}/fillers") and bool(os.listdir(f"{DISK}/fillers"))


def release():
    """Gives it back."""
    for name in os.listdir(f"{DISK}/fillers") if os.path.exists(f"{DISK}/fillers") else []:
        os.unlink(f"{DISK}/fillers/{name}")


def check():
    """Everything acknowledged in earlier lives is here, whole; the ledger adds up."""
    known = [line.split() for line in open(ACKNOWLEDGED) if line.startswith("ACK ")]
    recordings, path = {}, "/api/v1/recordings?limit=1000"
    cursor = None
    while True:
        page = get(path + (f"&cursor={cursor}" if cursor else ""))
        for row in page["recordings"]:
            recordings.setdefault(row["listener"], []).append(row)
        cursor = page.get("next")
        if not cursor or not page["recordings"]:
            break
    coverage = {row["listener"]: row for row in get("/api/v1/coverage?from=2000-01-01T00:00:00Z")["listeners"]}
    uploads = streams = lines = units = 0
    files, readings = {}, {}
    for _, kind, name, *rest in known:
        if kind == "upload":
            uploads += 1
            rows = recordings.get(name, [])
            if len(rows) != 1:
                give_up("an acknowledged upload has", len(rows), "recordings:", name)
            sound = content(rows[0])
            if sound is not None and hashlib.sha256(sound).hexdigest() != rest[0]:
                give_up("an acknowledged upload was changed:", name)
        elif kind == "stream":
            streams += 1
            rows = recordings.get(name, [])
            kept = [(row, content(row)) for row in rows if row["state"] != "unkept"]
            frames = sum(row["frames"] if sound is None else (len(sound) - 44) // 2 for row, sound in kept)
            lost = 0
            if frames != int(rest[0]) and was_full():
                lost = sum(entry["seconds"] for entry in get(f"/api/v1/ledger?kind=loss&limit=1000&listener={name}")["ledger"])
            if frames + round(lost * RATE) != int(rest[0]):
                give_up("an acknowledged stream has", frames, "of", rest[0], "samples:", name)
        elif kind == "line":
            lines += 1
            if name not in files:
                files[name] = set(open(f"{BASE}/remote_data/{name}/{rest[0]}", errors="replace").read().split("\t"))
            if rest[1] not in files[name]:
                give_up("an acknowledged line is gone:", name, rest[1])
            readings[f"co2/{name}", "temperature"] = readings.get((f"co2/{name}", "temperature"), 0) + 1
        elif kind == "unit":
            units += 1
            readings[f"piwardrive/{name}", "cpu_temperature"] = readings.get((f"piwardrive/{name}", "cpu_temperature"), 0) + int(rest[0])
    for name, row in coverage.items():
        # To the sample; each name here has one session or one upload.
        if abs(row["spanned_seconds"] - row["accounted_seconds"]) > 1 / RATE:
            give_up("the ledger does not add up:", name, row)
    for name in recordings:
        for row in recordings[name]:
            # On a disk that is full nothing is written, also of what recovery finds.
            if row["state"] == "open" and is_full():
                continue
            if row["state"] == "open":
                give_up("a recording of a former life is open still:", row["name"])
            sound = content(row) if row["state"] == "closed" else None
            if sound is not None and len(sound) - 44 != struct.unpack("<I", sound[40:44])[0]:
                give_up("a recording's header lies:", row)
    for (source, quantity), count in readings.items():
        check_readings(source, quantity, count)
    say("CHECK", uploads, streams, lines, units, sum(len(rows) for rows in recordings.values()))


def wav(samples):
    body = struct.pack(f"<{len(samples)}h", *samples)
    return struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + len(body), b"WAVE", b"fmt ", 16, 1, 1, RATE, RATE * 2, 2, 16, b"data", len(body)) + body


def frame(number, payload):
    # The listeners' wire: 3 bytes of sequence, 3 of length, both least significant first.
    return number.to_bytes(3, "little") + len(payload).to_bytes(3, "little") + payload


def send(head, body):
    with socket.create_connection(("127.0.0.1", PORT), timeout=60) as line:
        line.sendall(head + body)
        answer = b""
        while b"\r\n\r\n" not in answer:
            piece = line.recv(65536)
            if not piece:
                break
            answer += piece
    return int(answer.split(b" ", 2)[1]) if answer else 0


def uploads(life, lane):
    number = 0
    while not over.is_set():
        number += 1
        name = f"up-{life}-{lane}-{number}"
        sound = wav([random.randrange(-9000, 9000) for _ in range(RATE // 4)])
        body = b"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\nContent-Type: audio/wav\r\n\r\n" + sound + b"\r\n--b--\r\n"
        head = (f"POST /recordings_upload?listener_id={name} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: multipart/form-data; boundary=b\r\n"
                f"Content-Length: {len(body)}\r\n\r\n").encode()
        status = send(head, body)
        if status == 200:
            say("ACK upload", name, hashlib.sha256(sound).hexdigest())
            time.sleep(PAUSE)
        else:
            say("REFUSED upload", status)
            time.sleep(0.05)


def streams(life):
    number = 0
    while not over.is_set():
        number += 1
        name = f"ear-{life}-{number}"
        frames = [frame(0, wav([])[:44])] + [frame(n + 1, os.urandom(4096)) for n in range(8)]
        body = b"".join(b"%x\r\n%s\r\n" % (len(one), one) for one in frames) + b"0\r\n\r\n"
        head = f"POST /recordings_stream?listener_id={name} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        if send(head, body) == 200:
            say("ACK stream", name, 8 * 2048)
            time.sleep(PAUSE)
        else:
            time.sleep(0.05)


def lines(life):
    """A CO2 unit's lines (docs/nodes.md), each acknowledged by itself; the file's length says where the next one goes."""
    number, offset = 0, 0
    unit = f"co2unit-30aea4{life % (1 << 24):06x}"
    while not over.is_set():
        number += 1
        values = "\t".join(str(680 + (number + place) % 30) for place in range(10))
        moment = time.strftime("%Y-%m-%d\t%H:%M:%S", time.gmtime(1_546_300_800 + 10 * number))
        text = f"{unit}\tlife{life}-line{number}\t{moment}\t23.4375\t1\t{values}\n".encode()
        status = send(f"PUT /ou/{unit}/push-sequential/data/readings/readings-0000.tsv?offset={offset} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(text)}\r\n\r\n".encode(), text)
        if status in (200, 201, 204):
            offset += len(text)
            say("ACK line", unit, "data/readings/readings-0000.tsv", f"life{life}-line{number}")
            time.sleep(PAUSE)
        else:
            say("REFUSED line", status)
            time.sleep(0.2)


def units(life):
    """A PiWardrive unit's database (docs/nodes.md); each upload has five moments that no other has."""
    number = 0
    unit = f"van{life}"
    while not over.is_set():
        number += 1
        path = f"{TEMPORARY}/app-{number}.db"
        database = sqlite3.connect(path)
        database.execute("CREATE TABLE health_records (timestamp TEXT PRIMARY KEY, cpu_temp REAL, cpu_percent REAL, memory_percent REAL, disk_percent REAL)")
        for row in range(5):
            moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(1_700_000_000 + 10 * (5 * number + row)))
            database.execute("INSERT INTO health_records VALUES (?, 40, 10, 50, 20)", (moment,))
        database.commit()
        database.close()
        content = open(path, "rb").read()
        os.unlink(path)
        body = b"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"app.db\"\r\nContent-Type: application/octet-stream\r\n\r\n" + content + b"\r\n--b--\r\n"
        head = (f"POST /upload?unit={unit} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: multipart/form-data; boundary=b\r\n"
                f"Content-Length: {len(body)}\r\n\r\n").encode()
        status = send(head, body)
        if status == 200:
            say("ACK unit", unit, 5)
            time.sleep(max(PAUSE, 0.1))
        else:
            say("REFUSED unit", status)
            time.sleep(0.1)


def work(life):
    """Starts the senders; they go on until `over`, whatever becomes of the daemon."""
    def guarded(task):
        while not over.is_set():
            try:
                task()
            except (OSError, ValueError, IndexError):
                time.sleep(0.1)
    tasks = (lambda: uploads(life, 0), lambda: uploads(life, 1), lambda: streams(life), lambda: lines(life), lambda: units(life))
    threads = [threading.Thread(target=guarded, args=(task,), daemon=True) for task in tasks]
    for thread in threads:
        thread.start()
    return threads


def disk():
    """The disk, through device-mapper where it is to lie or to fail."""
    if MODE not in ("drop_writes", "error_writes"):
        return "/dev/ubda"
    for module in ("drivers/md/dm-mod.ko", "drivers/md/dm-flakey.ko"):
        subprocess.run(["insmod", f"{MODULES}/kernel/{module}"])
    size = int(open("/sys/block/ubda/size").read())
    subprocess.run(["dmsetup", "create", "disk", "--noudevsync", "--noudevrules", "--table", f"0 {size} linear /dev/ubda 0"], check=True)
    subprocess.run(["dmsetup", "mknodes"], check=True)
    return "/dev/mapper/disk"


def spoil(what):
    size = int(open("/sys/block/ubda/size").read())
    table = f"0 {size} flakey /dev/ubda 0 0 3600 1 {what}"
    for words in (["suspend", "--nolockfs", "disk"], ["load", "disk", "--table", table], ["resume", "--noudevsync", "disk"]):
        subprocess.run(["dmsetup", *words], check=True)


def main():
    device = disk()
    if subprocess.run(["mount", "-t", "ext4", "-o", "noatime", device, DISK]).returncode != 0:
        say("BAD the disk cannot be mounted")
        off()
    os.makedirs(BASE, exist_ok=True)
    if is_full():
        say("FULL at the start")
    daemon = start()
    check()
    release()
    life = random.SystemRandom().randrange(1 << 24)
    work(life)
    say("READY")
    if MODE in ("bytes", "inodes"):
        time.sleep(random.uniform(0.2, 1))
        fill(MODE)
        time.sleep(random.uniform(0.5, 2))
        if random.random() < 0.5:
            release()
            say("FREED")
    if MODE in ("drop_writes", "error_writes"):
        time.sleep(2)
        say("SPOILED")
        spoil(MODE)
        time.sleep(4)
        try:
            health = urllib.request.urlopen(f"http://127.0.0.1:{PORT}/readyz", timeout=5).status
        except urllib.error.HTTPError as error:
            health = error.code
        except OSError:
            health = "none"
        say("STATE", "ended" if daemon.poll() is not None else "runs", daemon.poll(), health)
        say("OVER")
    while True:
        time.sleep(1)


if __name__ == "__main__":
    DAEMON, ACKNOWLEDGED, MODE, MODULES = sys.argv[1:5]
    try:
        main()
    except Exception as error:
        import traceback
        give_up(*traceback.format_exc().splitlines()[-4:], error)
