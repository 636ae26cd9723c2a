"""`make test-appliance`: the card's image with the real daemon, in an emulated box with systemd, asked from outside.

    run.py IMAGE.img BROKEN.raucb GOOD.raucb FOREIGN.raucb PACKAGE.deb SAMPLE.wav
"""

import base64
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

from card import Card, Failure

IMAGE, BROKEN, GOOD, FOREIGN, PACKAGE, SAMPLE = sys.argv[1:7]
EDGE_YAML = """\
site_name: north-ridge
ssh_authorized_keys:
  - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ5xvV0bq0v7n8m4k9pTtY0cXU5c3Qm0a1bZs2dEfGhI test@outside
wifi:
  country: SE
  networks:
    - {ssid: hut, password: "long enough"}
    - {ssid: barn, password: "short"}
ntp_servers: [ntp.example]
broker:
  listen_everywhere: true
  users: {isems: "mesh-secret"}
settings:
  api_token: "card-token-of-the-test"
  listener_tokens:
    "*": ears-of-the-test
    porch: "ears-of-the-test"
  influx_token:
  analyze_recordings: true
  analyzer_workers: 1
  safe_mode_minutes: 1
  health_interval_sec: 5
  node_allow: "isems:n1"
  sensors:
    shelf: gpio_input chip=pinctrl-test offset=0 interval=3600
    hut: scd4x bus=MCP2221 interval=5 altitude_m=340
"""
started = time.monotonic()


def check(what, is_true, detail=""):
    if not is_true:
        raise Failure(f"{what}: {detail}")
    print(f"{time.monotonic() - started:6.1f}  {what}", flush=True)


def show(card, *names):
    text = card.sh(f"systemctl show edge-aggregator -p {','.join(names)}")
    return dict(line.split("=", 1) for line in text.strip().splitlines())


def ready(card, seconds=240):
    card.wait("the daemon is ready", lambda: card.api("/readyz")[0] == 200, seconds)


def upload(card, listener, token="ears-of-the-test"):
    sound = open(SAMPLE, "rb").read()
    body = (b"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\nContent-Type: audio/wav\r\n\r\n"
            + sound + b"\r\n--b--\r\n")
    return card.api(f"/recordings_upload?listener_id={listener}&token={token}", "POST", body,
                    {"Content-Type": "multipart/form-data; boundary=b", "Authorization": ""})


def first_start(card):
    check("settings of the FAT partition: the host's name", card.sh("hostname").strip() == "north-ridge")
    size = int(card.sh("blockdev --getsize64 /dev/disk/by-partlabel/data"))
    check("the data partition fills the card", size > 1_500_000_000, size)
    check("and its file system too", int(card.sh("df --output=size -B1 /data | tail -1")) > 0.9 * size)
    check("the root is read-only", " ro," in card.sh("grep ' / ' /proc/mounts") and "Read-only" in card.sh("touch /usr/x 2>&1 || true"))
    check("data: no times of reading, no devices, no programs", all(
        word in card.sh("grep ' /data ' /proc/mounts") for word in ("noatime", "nodev", "nosuid", "noexec", "commit=30")))
    check("the journal is in memory", "/run/log/journal" in card.sh("journalctl --header | grep 'File path'"))
    check("compressed memory", "zram" in card.sh("cat /proc/swaps"))
    check("a key's way in by ssh, no password's", "test@outside" in card.sh("cat /data/system/authorized_keys")
          and "passwordauthentication no" in card.sh("sshd -T 2>/dev/null | tr A-Z a-z") and card.sh("grep ^root /etc/shadow").startswith("root:!"))
    edge = card.sh("cat /boot/config/edge.yaml")
    check("secrets are moved off the FAT partition", "card-token-of-the-test" not in edge and "(moved to the box)" in edge, edge)
    check("and the file says the rest as before", "latitude" not in edge and "ssid: hut" in edge and "influx_token:" in edge, edge)
    broker(card)
    text = card.sh("ps -eo args")
    check("time is kept in step, with the servers of edge.yaml", "systemd-timesyncd" in text
          and "ntp.example" in card.sh("timedatectl show-timesync -p SystemNTPServers"))
    check("a box without a clock starts no earlier than its image", int(card.sh("stat -c %Y /usr/lib/clock-epoch")) > 1_700_000_000)
    wireless(card)
    mistakes(card)
    failed = card.sh("systemctl --failed --no-legend --plain")
    check("no unit has failed", failed.strip() == "", failed)


MQTT = """
import socket, sys
def connect(address, user, password):
    def text(value): return len(value).to_bytes(2, "big") + value.encode()
    flags, rest = (0xC2, text(user) + text(password)) if user else (2, b"")
    body = text("MQTT") + bytes([4, flags, 0, 30]) + text("test-" + user) + rest
    with socket.create_connection(address, 5) as line:
        line.sendall(bytes([0x10, len(body)]) + body)
        code = line.recv(4)[3]
        if code == 0 and user:
            said = text("/isems/n1/csvlog") + LINE
            line.sendall(bytes([0x30, len(said) & 127 | 128, len(said) >> 7]) + said + bytes([0xE0, 0]))
        return code
LINE = b"n1;1;1530364575;ATmega8_A_1;711;0;18.614;18.614;14.073;100;100;28;11.67;14.086;7;20;52.507309;13.458635;300"
own = socket.gethostbyname_ex(socket.gethostname())[2]
outside = next(words.split()[1].split("/")[0] for words in open("/run/addresses") if words.strip().startswith("inet "))
print(connect((outside, 1883), "isems", "mesh-secret"), connect((outside, 1883), "isems", "wrong"), connect((outside, 1883), "", ""),
      connect(("127.0.0.1", 1884), "", ""))
"""


def python(card, text):
    encoded = base64.b64encode(text.encode()).decode()
    return card.sh(f"echo {encoded} | base64 -d | python3 -")


def broker(card):
    """MQTT 3.1.1: 0 is admitted, 4 a wrong password, 5 not authorised."""
    card.sh("ip -4 addr show scope global >/run/addresses")
    codes = python(card, MQTT).split()
    check("the broker lets users in by their passwords, others not, and the box itself", codes[0] == "0" and codes[1] in "45" and codes[2] in "45"
          and codes[3] == "0", codes)
    def heard():
        return "ATmega8_A_1" in card.api("/measurements/n1/latest", headers={"Authorization": ""})[1]
    card.wait("what a node says to the broker with its password", heard, 30)
    check("what a node says to the broker with its password is here", True)
    check("passwords are kept as hashes", "mesh-secret" not in card.sh("cat /data/system/mosquitto.passwords"))


def wireless(card):
    """A wireless card that is not there, by the kernel's own simulator."""
    card.sh("modprobe mac80211_hwsim radios=1")
    card.wait("the service of the wireless card", lambda: card.sh("systemctl is-active wpa_supplicant@wlan0 || true").strip() == "active", 30)
    def networks():
        text = card.sh("wpa_cli -p /run/wpa_supplicant -i wlan0 list_networks", check=False)
        return "hut" in text and text
    status = card.wait("its networks", networks, 30)
    check("Wi-Fi looks for the networks of edge.yaml; a wrong one is left out", "hut" in status and "barn" not in status, status)
    card.sh("rmmod mac80211_hwsim")


def mistakes(card):
    """edge.yaml as people leave it: the box stays what it was."""
    before = card.sh("cat /data/system/settings.yaml /data/system/secrets/* /data/system/authorized_keys /data/system/mosquitto/edge.conf")
    for what, text, said in (("broken", "{ not: [yaml", "is wrong"), ("empty", "", "it is empty"), ("zeros", "\\0\\0\\0\\0", "is wrong")):
        card.sh("mount -o remount,rw /boot/config; cp /boot/config/edge.yaml /run/edge.right; "
                f"printf {shlex.quote(text)} >/boot/config/edge.yaml; rm -f /run/wpa_supplicant/*; "
                "/usr/lib/edge-card/first-boot >/run/first-boot.log; cp /run/edge.right /boot/config/edge.yaml; mount -o remount,ro /boot/config")
        after = card.sh("cat /data/system/settings.yaml /data/system/secrets/* /data/system/authorized_keys /data/system/mosquitto/edge.conf")
        check(f"edge.yaml {what}: the box stays what it was, its Wi-Fi too", said in card.sh("cat /run/first-boot.log") and after == before
              and "hut".encode().hex() in card.sh("cat /run/wpa_supplicant/wpa_supplicant-wlan0.conf")
              and card.sh("hostname").strip() == "north-ridge", card.sh("cat /run/first-boot.log"))
    card.sh("mount -o remount,rw /boot/config; printf '  latitude: 62\n  max_listners: 3\n' >>/boot/config/edge.yaml; "
            "/usr/lib/edge-card/first-boot >/run/first-boot.log; cp /run/edge.right /boot/config/edge.yaml; mount -o remount,ro /boot/config")
    after = card.sh("cat /data/system/settings.yaml /data/system/secrets/* /data/system/authorized_keys /data/system/mosquitto/edge.conf")
    card.sh("mount -o remount,rw /boot/config; sed -i '/^settings:/,$d; /^wifi:/,/barn/d' /boot/config/edge.yaml; "
            "printf 'wifi: hut\nsettings:\n  latitude:3\n' >>/boot/config/edge.yaml; rm -f /run/wpa_supplicant/*; "
            "/usr/lib/edge-card/first-boot >/run/first-boot.lines; cp /run/edge.right /boot/config/edge.yaml; mount -o remount,ro /boot/config")
    lines = card.sh("cat /run/first-boot.lines; cat /data/system/settings.yaml /data/system/secrets/* /data/system/authorized_keys "
                    "/data/system/mosquitto/edge.conf")
    check("lines that are no map: said, and the rest stays, Wi-Fi too", lines.endswith(before) and "settings:" in lines and "wifi:" in lines
          and "hut".encode().hex() in card.sh("cat /run/wpa_supplicant/wpa_supplicant-wlan0.conf"), lines)
    check("a setting that does not exist: said, and the settings of before stay", after == before and "max_listners" in card.sh("cat /run/first-boot.log"),
          card.sh("cat /run/first-boot.log"))
    # Each of these alone is a wrong setting; the firmware's lines are the boards' own.
    for what, words, said in (("a secret that another card has", "  sentry_dsn: (moved to the box)", "sentry_dsn: `(moved to the box)` stands there"),
                              ("a folder elsewhere", "  recordings_dir: /data/recordings", "below /data/edge")):
        card.sh(f"mount -o remount,rw /boot/config; printf '%s\n' {shlex.quote(words)} >>/boot/config/edge.yaml; "
                "/usr/lib/edge-card/first-boot >/run/first-boot.log; cp /run/edge.right /boot/config/edge.yaml; mount -o remount,ro /boot/config")
        after = card.sh("cat /data/system/settings.yaml /data/system/secrets/* /data/system/authorized_keys /data/system/mosquitto/edge.conf")
        check(f"{what}: said, and the settings of before stay", after == before and said in card.sh("cat /run/first-boot.log"),
              card.sh("cat /run/first-boot.log"))
    # What a newer version took and this one does not know.
    card.sh("cp /data/system/settings.yaml /run/settings.right; sed -i 's/\"base_dir\"/\"of_tomorrow\": \"1\", \"base_dir\"/' /data/system/settings.yaml; "
            "mount -o remount,rw /boot/config; printf '  of_tomorrow: 1\n' >>/boot/config/edge.yaml; /usr/lib/edge-card/first-boot >/run/first-boot.log; "
            "cp /run/edge.right /boot/config/edge.yaml; mount -o remount,ro /boot/config")
    check("settings that only a newer version knows are left out, and the box can start", "of_tomorrow" not in card.sh("cat /data/system/settings.yaml")
          and "cannot use those of before" in card.sh("cat /run/first-boot.log"), card.sh("cat /run/first-boot.log"))
    card.sh("mount -o remount,rw /boot/config; printf 'firmware: [dtoverlay=w1-gpio, rm -rf]\n' >>/boot/config/edge.yaml; "
            "/usr/lib/edge-card/first-boot >/run/first-boot.log; cp /run/edge.right /boot/config/edge.yaml; mount -o remount,ro /boot/config")
    lines = card.sh("mount -r /dev/disk/by-partlabel/bootA /mnt; cat /mnt/user.txt; umount /mnt")
    check("the firmware's lines are beside its own", lines == "dtoverlay=w1-gpio\n" and "1 lines are neither" in card.sh("cat /run/first-boot.log"), lines)
    card.sh("/usr/lib/edge-card/first-boot")
    check("all of it can be taken back", before == card.sh(
        "cat /data/system/settings.yaml /data/system/secrets/* /data/system/authorized_keys /data/system/mosquitto/edge.conf"))


def hardened(card):
    rating = card.sh("systemd-analyze security edge-aggregator --no-pager | tail -1")
    level = float(re.search(r"level for \S+: ([0-9.]+)", rating).group(1))
    check(f"systemd-analyze security: {level} (wanted 1.5 at most)", level <= 1.5, rating)
    facts = show(card, "Type", "StatusText", "User", "MemoryMax", "TasksMax", "WatchdogUSec", "NRestarts")
    check("readiness is told", facts["Type"] == "notify" and facts["StatusText"] == "Receiving" and facts["NRestarts"] == "0", facts)
    pid = show(card, "MainPID")["MainPID"]
    user = card.sh(f"stat -c %U /proc/{pid}").strip()
    check("a user of its own", user == "edge-aggregator", user)
    status = card.sh(f"cat /proc/{pid}/status")
    check("no capabilities, no new privileges, a filter of calls", "CapBnd:\t0000000000000000" in status and "NoNewPrivs:\t1" in status
          and "Seccomp:\t2" in status)


PROBE = r'''
import ctypes, errno, json, mmap, os, socket
def tried(what):
    try:
        what()
        return "ok"
    except OSError as error:
        return errno.errorcode[error.errno]
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    def go():
        if libc.syscall(number, *arguments) < 0:
            raise OSError(ctypes.get_errno(), "")
    return tried(go)
def device(path, flags=os.O_RDWR):
    return tried(lambda: os.close(os.open(path, flags)))
def write(path):
    return tried(lambda: open(path, "w").close())
print("PROBE " + json.dumps({
    "i2c": device("/dev/i2c-0"), "gpiochip": device("/dev/gpiochip0"), "alsa": device("/dev/snd/controlC0"),
    "kmsg": device("/dev/kmsg", os.O_RDONLY), "disk": device("/dev/vda", os.O_RDONLY), "watchdog": device("/dev/watchdog0", os.O_WRONLY),
    "uhid": device("/dev/uhid"), "mem": device("/dev/mem", os.O_RDONLY),
    "etc": write("/etc/x"), "usr": write("/usr/x"), "system": write("/data/system/x"), "own": write("/data/edge/probe"),
    "secrets": tried(lambda: os.listdir("/data/system/secrets")), "home": tried(lambda: os.listdir("/root")),
    "packet": tried(lambda: socket.socket(17, socket.SOCK_RAW)), "netlink": tried(lambda: socket.socket(16, socket.SOCK_RAW)),
    "inet": tried(lambda: socket.socket().close()),
    "executable_memory": tried(lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)),
    "reboot": call(169, 0, 0, 0), "mount": call(165, 0, 0, 0, 0, 0), "ptrace": call(101, 0, 0, 0, 0), "unshare": call(272, 0x10000000),
    "bpf": call(321, 0, 0, 0), "module": call(313, 0, 0, 0), "affinity": tried(lambda: os.sched_setaffinity(0, {0})),
    "credential": tried(lambda: open(os.environ["CREDENTIALS_DIRECTORY"] + "/edge_api_token").read()),
    "others": sum(name.isdigit() for name in os.listdir("/proc")),
}), flush=True)
'''


def policy(card):
    """What the unit allows, tried by a program that the unit runs before the daemon."""
    encoded = base64.b64encode(PROBE.encode()).decode()
    card.sh(f"mkdir -p /run/systemd/system/edge-aggregator.service.d && echo {encoded} | base64 -d >/run/probe.py && chmod 644 /run/probe.py && "
            "printf '[Service]\\nExecStartPre=/usr/bin/python3 /run/probe.py\\n' >/run/systemd/system/edge-aggregator.service.d/probe.conf && "
            "systemctl daemon-reload && systemctl restart edge-aggregator")
    text = card.sh("journalctl -u edge-aggregator -o cat | grep '^PROBE' | tail -1")
    found = json.loads(text.split(" ", 1)[1])
    for name in ("i2c", "gpiochip", "alsa", "own", "inet", "affinity", "credential"):
        check(f"allowed: {name}", found[name] == "ok", found)
    for name in ("kmsg", "disk", "watchdog", "uhid", "mem", "etc", "usr", "system", "secrets", "home", "packet", "netlink", "executable_memory",
                 "reboot", "mount", "ptrace", "unshare", "bpf", "module"):
        check(f"not allowed: {name} ({found[name]})", found[name] != "ok", found)
    check("it sees its own processes alone", found["others"] <= 3, found)
    card.sh("rm /run/systemd/system/edge-aggregator.service.d/probe.conf && systemctl daemon-reload && systemctl restart edge-aggregator")
    ready(card)


def clock(card):
    """The unit may not ask the kernel of its clock; what timesyncd knows, it knows."""
    check("a clock that nobody has set is not trusted", card.json("/api/v1/status")["is_clock_synchronised"] is False)
    card.sh("mkdir -p /run/systemd/timesync && touch /run/systemd/timesync/synchronized")
    card.wait("it is trusted", lambda: card.json("/api/v1/status")["is_clock_synchronised"], 20)
    status, body = upload(card, "porch")
    check("a clock that timesyncd has set is trusted under the unit", status == 200, body)
    card.sh("rm /run/systemd/timesync/synchronized")


def plugged(card):
    """A sound card whose driver comes after the daemon."""
    card.sh("rmmod snd_aloop snd_pcm snd_timer snd; systemctl restart edge-aggregator")
    ready(card)
    card.sh("modprobe snd-aloop; udevadm settle")
    text = card.sh("sh -c 'echo $$ >/sys/fs/cgroup/system.slice/edge-aggregator.service/cgroup.procs; exec 3<>/dev/snd/controlC0 && echo opened' 2>&1 || true")
    check("a sound card that is plugged in later may be used", "opened" in text, text)
    text = card.sh("sh -c 'echo $$ >/sys/fs/cgroup/system.slice/edge-aggregator.service/cgroup.procs; exec 3</dev/vda && echo opened' 2>&1 || true")
    check("a disk may not", "opened" not in text, text)


def function(card):
    """What the daemon is for, under the unit: sound in, birds out; a sensor; a broker; a page that asks for its token."""
    check("without a token the API is closed", card.api("/api/v1/status", headers={"Authorization": "none"})[0] == 401)
    check("the stock paths are open, and ask for the listeners' own token",
          upload(card, "stranger", "wrong")[0] in (401, 403)
          and card.api("/measurements/latest", headers={"Authorization": ""})[0] == 200)
    status, body = upload(card, "forest")
    check("a recording is taken", status == 200, body)
    found = card.wait("birds are heard under the unit", lambda: card.json("/api/v1/detections")["detections"], 300)
    check(f"BirdNET works without memory that is written and run: {found[0]['common_name']}", True)
    sensor = card.wait("a GPIO line is read", lambda: next((
        s for s in card.json("/api/v1/sensors")["sensors"] if s["name"] == "shelf" and s["state"] == "ok"), None), 60)
    check("GPIO works under the unit", sensor["state"] == "ok")
    sensor = card.wait("a chip on I2C is read", lambda: next((
        s for s in card.json("/api/v1/sensors")["sensors"] if s["name"] == "hut" and s["state"] == "ok"), None), 120)
    check("I2C works under the unit: the datasheet's 500 ppm", sensor["values"]["co2"]["value"] == 500, sensor)
    entry = json.loads(card.sh("journalctl -u edge-aggregator -o json | grep EDGE_ | tail -1"))
    check("the journal has fields", entry["SYSLOG_IDENTIFIER"] == "edge-aggregator" and any(key.startswith("EDGE_") for key in entry))
    nice = card.sh(f"ps -L -o comm,ni -p {show(card, 'MainPID')['MainPID']}")
    check("the analysis gives way", re.search(r"analyzer-0\s+10", nice), nice)
    written = int(re.search(r"read_bytes: \d+\nwrite_bytes: (\d+)", card.sh(f"cat /proc/{show(card, 'MainPID')['MainPID']}/io")).group(1))
    check(f"the daemon has written {written} bytes to the card", written > 0)


def reload(card):
    before = show(card, "MainPID")["MainPID"]
    card.sh("cp /data/system/settings.yaml /run/settings.before && echo 'max_listners: 1' >>/data/system/settings.yaml")
    answer = card.ask(command="systemctl reload edge-aggregator")
    check("wrong settings are not taken over: the reload fails", answer["code"] != 0 and card.api("/readyz")[0] == 200)
    card.sh("cp /run/settings.before /data/system/settings.yaml && sed -i 's/\"safe_mode_after\": 3/\"safe_mode_after\": 3, \"log_level\": \"debug\"/' "
            "/data/system/settings.yaml && systemctl reload edge-aggregator")
    card.wait("the log's level is taken over", lambda: "taken_over=\"log_level\"" in card.sh("journalctl -u edge-aggregator -o cat | tail -50"), 60)
    check("in the same process", show(card, "MainPID")["MainPID"] == before)


def restarts(card):
    card.sh("mkdir -p /run/systemd/system/edge-aggregator.service.d; printf '[Service]\\nWatchdogSec=12\\nRestartSec=1\\n' "
            ">/run/systemd/system/edge-aggregator.service.d/quick.conf; systemctl daemon-reload; systemctl restart edge-aggregator")
    ready(card)
    pid = show(card, "MainPID")["MainPID"]
    card.sh(f"kill -STOP {pid}")
    card.wait("a wedged daemon is killed", lambda: show(card, "MainPID")["MainPID"] not in (pid, "0"), 90)
    journal = card.sh("journalctl -u edge-aggregator -o cat | grep -i watchdog | tail -3")
    check("by its watchdog", "Watchdog timeout" in journal, journal)
    ready(card)
    pid = show(card, "MainPID")["MainPID"]
    card.sh("systemctl set-property --runtime edge-aggregator MemoryMax=24M MemorySwapMax=0")
    # Work for which that is not enough.
    try:
        upload(card, "greedy")
    except OSError:
        pass
    card.wait("one that outgrows its memory is ended", lambda: "oom-kill" in card.sh("journalctl -u edge-aggregator -o cat | tail -30"), 120)
    card.sh("systemctl set-property --runtime edge-aggregator MemoryMax=80% MemorySwapMax=infinity")
    card.wait("and started again", lambda: show(card, "MainPID")["MainPID"] not in (pid, "0"), 60)
    ready(card)
    check("after the watchdog and the kernel each ended it", True)


def safe_mode(card):
    # A clean end forgets the bad starts of before.
    card.sh("systemctl restart edge-aggregator")
    ready(card)
    for number in range(3):
        pid = show(card, "MainPID")["MainPID"]
        card.sh(f"kill -SEGV {pid}")
        card.wait(f"start {number + 2}", lambda: show(card, "MainPID")["MainPID"] not in (pid, "0"), 60)
        ready(card)
    facts = show(card, "StatusText")
    check("three bad starts: safe mode, and the unit says so", facts["StatusText"].startswith("Safe mode"), facts)
    check("the API says so", card.json("/api/v1/status")["mode"] == "safe")
    check("an update in safe mode has not proved well", card.ask(command="/usr/lib/edge-card/well")["code"] != 0)
    check("sound is taken all the same", upload(card, "safe")[0] == 200)
    card.wait("it tries again by itself", lambda: card.json("/api/v1/status")["mode"] == "normal", 240)
    card.wait("what came meanwhile is analysed", lambda: not card.json("/api/v1/recordings?analysis=pending")["recordings"], 300)
    check("after its time the daemon starts normally, and catches up", True)
    card.wait("and one in normal mode has", lambda: card.ask(command="/usr/lib/edge-card/well")["code"] == 0, 30)


def tools(card):
    """Backup and bundle by an operator's hand on the box."""
    text = card.sh("cd /tmp && edge-aggregator status")
    check("root's commands know the settings and the secrets", "listeners" in text.lower(), text)
    text = card.sh("cd /tmp && edge-aggregator backup /data/backup")
    check("a backup beside the running daemon", "recordings" in text, text)
    text = card.sh("cd /tmp && edge-aggregator support-bundle -o /tmp/bundle.tar.gz && mkdir -p o && tar -xzf bundle.tar.gz -C o && "
                   "grep -c . o/support/journal.txt; ls o/support; grep -rl -e card-token-of-the-test -e ears-of-the-test o || echo none")
    check("a bundle with the journal and what the API tells, without secrets", text.strip().endswith("none")
          and int(re.findall(r"^(\d+)$", text, re.M)[0]) > 10 and "ledger" in text, text)
    heard = len(card.json("/api/v1/recordings")["recordings"])
    card.sh("cd /tmp && systemctl stop edge-aggregator && edge-aggregator restore /data/backup && systemctl start edge-aggregator && rm -r /data/backup")
    ready(card)
    check("what root restores is the daemon's", heard > 0 and len(card.json("/api/v1/recordings")["recordings"]) == heard)


def package(card):
    """The package by itself: kept settings, kept data. On an overlay, since the card's root is read-only."""
    card.sh("mkdir -p /run/pkg && mount -t tmpfs -o size=900m none /run/pkg && mkdir -p /run/pkg/root")
    card.sh("cp -ax /. /run/pkg/root/ && cp /run/updates/package.deb /run/pkg/root/p.deb")
    inside = "chroot /run/pkg/root"
    # As on any Debian: on the card the settings are a link to what edge.yaml makes.
    card.sh(f"{inside} sh -c 'rm /etc/edge-aggregator/settings.yaml; dpkg -i --force-confmiss /p.deb'")
    card.sh(f"{inside} sh -c 'echo \"# mine\" >>/etc/edge-aggregator/settings.yaml; mkdir -p /var/lib/edge-aggregator; echo x >/var/lib/edge-aggregator/data; dpkg -i /p.deb'")
    check("an upgrade keeps changed settings", card.sh("tail -1 /run/pkg/root/etc/edge-aggregator/settings.yaml").strip() == "# mine")
    link = "/run/pkg/root/etc/systemd/system/multi-user.target.wants/edge-aggregator.service"
    card.sh(f"{inside} sh -c 'dpkg -r edge-aggregator </dev/null'")
    check("a package that is removed does not start", card.sh(f"test -L {link} || echo gone").strip() == "gone")
    card.sh(f"{inside} dpkg -i /p.deb")
    check("and starts again when it comes back", card.sh(f"test -L {link} && echo there").strip() == "there")
    card.sh(f"{inside} sh -c 'dpkg -P edge-aggregator </dev/null'")
    check("purge asks nothing and leaves what was heard", card.sh("cat /run/pkg/root/var/lib/edge-aggregator/data").strip() == "x"
          and "No such" in card.sh("ls /run/pkg/root/etc/edge-aggregator/settings.yaml 2>&1 || true"))
    card.sh("umount /run/pkg")


def update(card):
    check("slot A runs", "rauc.slot=A" in card.sh("cat /proc/cmdline") and "booted" in card.sh("rauc status 2>&1"))
    answer = card.ask(command="rauc install /run/updates/foreign.raucb 2>&1", seconds=600)
    check("an update that others have signed is refused", answer["code"] != 0 and "signature" in answer["text"].lower(), answer)
    check("a recording before the updates", upload(card, "kept")[0] == 200)
    slots = len(card.slots)
    later(card, "/usr/lib/edge-card/update /run/updates/broken.raucb >/run/update.log 2>&1")
    card.wait("the broken one is tried", lambda: len(card.slots) > slots and card.slots[-1] == "bootB", 900)
    card.wait("and left", lambda: len(card.slots) > slots + 1, 900)
    check("an update whose daemon does not start falls back by itself", card.slots[-1] == "bootA", card.slots)
    card.up(240)
    ready(card)
    check("with what was heard before", bool(card.json("/api/v1/recordings?listener=kept")["recordings"]))
    mount_updates(card)
    slots = len(card.slots)
    later(card, "/usr/lib/edge-card/update /run/updates/good.raucb >/run/update.log 2>&1")
    card.wait("the good one is tried", lambda: len(card.slots) > slots and card.slots[-1] == "bootB", 900)
    card.up(240)
    ready(card)
    card.wait("it is committed", lambda: card.sh("/usr/lib/edge-card/slots committed").strip() == "B", 300)
    check("an update that proves well stays", "rauc.slot=B" in card.sh("cat /proc/cmdline"))
    check("and the firmware would start it from now on", "boot_partition=3" in card.sh("sed -n '/all/,/tryboot]/p' /boot/config/autoboot.txt"))


def later(card, command):
    """What ends the box, and so the connection over which it is asked for."""
    card.sh(f"systemd-run --quiet --on-active=1 --timer-property=AccuracySec=100ms bash -c {shlex.quote(command)}")


def mount_updates(card):
    card.sh("mkdir -p /run/updates && (mountpoint -q /run/updates || mount -o ro /dev/vdb /run/updates)")


def watchdog(card):
    """A kernel that stands still is reset by the board's watchdog."""
    check("systemd feeds the hardware's watchdog", "i6300ESB" in card.sh("cat /sys/class/watchdog/watchdog0/identity")
          and card.sh("cat /sys/class/watchdog/watchdog0/state").strip() == "active")
    slots = len(card.slots)
    card.sh("echo 0 >/proc/sys/kernel/panic")
    later(card, "echo c >/proc/sysrq-trigger")
    card.wait("the box is reset", lambda: len(card.slots) > slots, 120)
    card.up(240)
    ready(card)
    check("a kernel that hangs: reset by the watchdog, and everything is back", True)
    slots = len(card.slots)
    later(card, "systemctl isolate emergency.target")
    card.wait("the start after an emergency", lambda: len(card.slots) > slots, 120)
    card.up(240)
    ready(card)
    check("a start that fails is tried again: nobody is there for a shell", True)


def main():
    folder = tempfile.mkdtemp(prefix="edge-appliance-", dir=os.environ.get("TMPDIR", "/tmp"))
    image = f"{folder}/card.img"
    subprocess.run(["cp", "--sparse=always", IMAGE, image], check=True)
    subprocess.run(["truncate", "-s", "6G", image], check=True)
    updates = f"{folder}/updates.img"
    content = f"{folder}/updates"
    os.mkdir(content)
    for name, path in (("broken.raucb", BROKEN), ("good.raucb", GOOD), ("foreign.raucb", FOREIGN), ("package.deb", PACKAGE)):
        shutil.copy(path, f"{content}/{name}")
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", content, updates, "2G"], check=True)
    yaml = f"{folder}/edge.yaml"
    with open(yaml, "w") as file:
        file.write(EDGE_YAML)
    from card import Firmware
    start = Firmware(image).starts["config"]
    subprocess.run(["mcopy", "-o", "-i", f"{image}@@{start}", yaml, "::edge.yaml"], check=True)
    card = Card(image, extra="edge.health_seconds=60 edge.ready_seconds=10 edge.emergency_seconds=5", disks=[updates])
    card.token = "card-token-of-the-test"
    try:
        card.on()
        card.up()
        card.sh("modprobe gpio-sim; modprobe -a i2c-dev snd-aloop uhid hid-mcp2221; mkdir -p /sys/kernel/config/gpio-sim/pi/bank0/line0 && "
                "echo 8 >/sys/kernel/config/gpio-sim/pi/bank0/num_lines && echo pinctrl-test >/sys/kernel/config/gpio-sim/pi/bank0/label && echo 1 >/sys/kernel/config/gpio-sim/pi/live && "
                "systemd-run --quiet --unit=edge-test-chips --working-directory=/usr/lib/edge-test python3 -c 'import chips, mcp2221, time; "
                "bench = mcp2221.MCP2221(chips.all_chips()); bench.plug(); time.sleep(1e6)'")
        ready(card)
        wanted = sys.argv[7:]
        parts = [first_start, hardened, policy, clock, function, plugged, reload, tools, restarts, safe_mode, package, watchdog, update]
        for part in parts:
            if wanted and part.__name__ not in wanted:
                continue
            if part in (package, update):
                mount_updates(card)
            part(card)
        print(f"{time.monotonic() - started:6.1f}  all of it")
    except (Failure, AssertionError, OSError, KeyError, ValueError, StopIteration) as failure:
        print(f"FAILED: {type(failure).__name__}: {failure}", file=sys.stderr)
        print("\n".join(card.console[-25:]), file=sys.stderr)
        try:
            print(card.sh("systemctl --failed --no-pager; journalctl --no-pager -b -u edge-aggregator -u edge-health -u rauc | tail -60"), file=sys.stderr)
        except (OSError, Failure):
            pass
        sys.exit(1)
    finally:
        card.cut()
        shutil.rmtree(folder, ignore_errors=True)


main()
