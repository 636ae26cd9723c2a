"""`make test-image`: the arm64 card in an emulated board: arm64.py IMAGE.img KERNEL_16K SCORES SAMPLE.wav PART...

Parts: pi5, pi4, update, kernel; arm64.sh describes them. Updates and the card of the part "kernel" are beside IMAGE.img.
"""

import array
import base64
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

from card import Card, Failure, Firmware

IMAGE, KERNEL, SCORES, SAMPLE = sys.argv[1:5]
PARTS = sys.argv[5:]
started = time.monotonic()
folder = tempfile.mkdtemp(prefix="edge-arm64-", dir=os.environ.get("TMPDIR", "/tmp"))


def say(text):
    print(f"{time.monotonic() - started:6.1f}  {text}", flush=True)


def check(what, is_true, detail=""):
    if not is_true:
        raise Failure(f"{what}: {detail}")
    say(what)


def ready(card, name):
    card.on()
    status, body = card.wait("the unit is ready", lambda: card.api("/readyz"), 600)
    check(f"the arm64 card starts to ready as a {name}", status == 200, body)
    card.up()
    found = card.sh("file -bL /proc/$(systemctl show -P MainPID edge-aggregator)/exe 2>/dev/null || head -c 20 /usr/bin/edge-aggregator | od -An -tx1")
    # The ELF header: e_machine 0xb7 is AArch64.
    check("the daemon is an arm64 program", "aarch64" in found.lower() or found.split()[18:20] == ["b7", "00"], found)


def hears(card, listener):
    """A stream of the sample, as the listeners' protocol has it: each frame has a number and a length of three bytes."""
    sound = open(SAMPLE, "rb").read()
    with socket.create_connection(("127.0.0.1", card.api_port), 60) as line:
        line.sendall(f"POST /recordings_stream?listener_id={listener}&token=ears-of-the-test HTTP/1.1\r\nHost: localhost\r\n"
                     "Transfer-Encoding: chunked\r\n\r\n".encode())
        for number, at in enumerate(range(0, len(sound), 32_000)):
            part = sound[at:at + 32_000]
            body = number.to_bytes(3, "little") + len(part).to_bytes(3, "little") + part
            line.sendall(f"{len(body):x}\r\n".encode() + body + b"\r\n")
        line.sendall(b"0\r\n\r\n")
        answer = line.recv(200).decode(errors="replace")
    check("a stream is received", " 200 " in answer.split("\r\n")[0], answer)
    found = card.wait("a bird is detected on it", lambda: card.json(f"/api/v1/detections?listener={listener}")["detections"], 900)
    check(f"BirdNET hears {found[0]['common_name']} in it", True)


def pages(card, size):
    found = json.loads(card.sh("python3 /usr/lib/edge-test/pages.py"))
    check(f"its pages are of {size // 1024} KiB", found["page"] == size and found["machine"] == "aarch64", found)
    check(f"each of {found['elves']} programs and libraries fits them, TensorFlow Lite's too", found["elves"] > 300 and not found["unfit"],
          found["unfit"])
    check("SQLite's log works on them", found["database"] == {"rows": 4000, "check": "ok", "mode": "wal"}, found["database"])


def scores(card):
    models = "/usr/share/edge-aggregator/models"
    card.sh(f"/usr/lib/edge-test/birdnet-reference {models}/libtensorflowlite_c.so {models}/BirdNET_GLOBAL_6K_V2.4_Model_FP32.tflite"
            " score /usr/lib/edge-test/window /run/scores", seconds=600)
    there, here = array.array("f"), array.array("f")
    there.frombytes(base64.b64decode(card.sh("base64 -w0 /run/scores")))
    here.frombytes(open(SCORES, "rb").read())
    worst = max(abs(a - b) for a, b in zip(there, here)) if len(there) == len(here) == 6522 else None
    check(f"BirdNET says the same there as here, within {worst:.1e}", worst is not None and worst <= 1e-4, f"{len(there)} scores, {worst}")


def started_card(name, image=IMAGE, **how):
    original, image = image, f"{folder}/{name.replace(' ', '-')}.img"
    subprocess.run(["cp", "--sparse=always", original, image], check=True)
    subprocess.run(["truncate", "-s", "4G", image], check=True)
    card = Card(image, arch="arm64", extra="systemd.show_status=1", **how)
    card.token = "card-token-of-the-test"
    return card


def later(card, command):
    card.sh(f"systemd-run --no-block --collect sh -c '{command}'")


def firmware():
    files = Firmware(IMAGE)
    sizes = {name: len(files.read(slot, name)) for slot in ("bootA", "bootB")
             for name in ("start4.elf", "fixup4.dat", "start4cd.elf", "fixup4cd.dat", "bcm2711-rpi-4-b.dtb", "config.txt")}
    check("what a Pi 4's start-up asks for is on both boot partitions", min(sizes.values()) > 100, sizes)
    initrd = f"{folder}/initrd"
    with open(initrd, "wb") as file:
        file.write(files.read("bootA", "initramfs8"))
    held = subprocess.run(f"gzip -dc {initrd} | cpio -it --quiet", shell=True, check=True, stdout=subprocess.PIPE, text=True).stdout
    # The board's description hangs the card on regulators; the rest of their drivers the kernel has built in.
    missing = [name for name in ("sdhci-iproc.ko", "fixed.ko", "gpio-regulator.ko") if name not in held]
    check("what a Pi 4's card hangs on is in its first start", not missing, f"{missing} of {held.split()}")


def pi5():
    card = started_card("Pi 5", processor="cortex-a76", kernel=KERNEL)
    cards.append(card)
    ready(card, "Pi 5")
    pages(card, 16384)
    scores(card)
    hears(card, "forest")
    failed = card.sh("systemctl --failed --no-legend --plain")
    check("no unit has failed", failed.strip() == "", failed)


def pi4():
    cards.append(started_card("Pi 4"))
    ready(cards[-1], "Pi 4")
    pages(cards[-1], 4096)
    hears(cards[-1], "forest")


def kernel():
    own = f"{os.path.dirname(IMAGE)}/own-kernel.img"
    dtbs = len(Firmware(own).read("bootA", "bcm2711-rpi-4-b.dtb"))
    check("the descriptions of the boards are those of the given kernel", dtbs > 1000, dtbs)
    cards.append(started_card("Pi with another kernel", image=own))
    ready(cards[-1], "Pi with another kernel")
    hears(cards[-1], "forest")


def update():
    """The same steps as in run.py, on the other processor."""
    beside = os.path.dirname(IMAGE)
    disk = f"{folder}/updates.ext4"
    subprocess.run(["mkdir", "-p", f"{folder}/updates"], check=True)
    for name in ("broken.raucb", "good.raucb"):
        os.rename(f"{beside}/{name}", f"{folder}/updates/{name}")
    megabytes = sum(os.path.getsize(f"{folder}/updates/{name}") for name in os.listdir(f"{folder}/updates")) // 1_000_000 + 100
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", f"{folder}/updates", disk, f"{megabytes}M"], check=True)
    cards.append(started_card("Pi that is updated", disks=[disk]))
    card = cards[-1]

    def mount():
        card.sh("mkdir -p /run/updates && mount -o ro /dev/vdb /run/updates")

    ready(card, "Pi 4")
    mount()
    slots = len(card.slots)
    later(card, "/usr/lib/edge-card/update /run/updates/broken.raucb >/run/update.log 2>&1")
    card.wait("the broken one is tried", lambda: len(card.slots) > slots and card.slots[-1] == "bootB", 1800)
    card.wait("and left", lambda: len(card.slots) > slots + 1, 1800)
    check("an update whose daemon does not start falls back by itself", card.slots[-1] == "bootA", card.slots)
    card.up(600)
    mount()
    slots = len(card.slots)
    later(card, "/usr/lib/edge-card/update /run/updates/good.raucb >/run/update.log 2>&1")
    card.wait("the good one is tried", lambda: len(card.slots) > slots and card.slots[-1] == "bootB", 1800)
    card.up(600)
    card.wait("it is committed", lambda: card.sh("/usr/lib/edge-card/slots committed").strip() == "B", 900)
    check("an update that proves well stays", "rauc.slot=B" in card.sh("cat /proc/cmdline"))


cards = []
try:
    firmware()
    for part in PARTS:
        {"pi5": pi5, "pi4": pi4, "kernel": kernel, "update": update}[part]()
        cards[-1].cut()
except (Failure, OSError) as failure:
    print(f"FAILED: {failure}", file=sys.stderr)
    if cards:
        print("\n".join(cards[-1].console[-60:]), file=sys.stderr)
    sys.exit(1)
finally:
    for card in cards:
        card.cut()
    shutil.rmtree(folder, ignore_errors=True)
