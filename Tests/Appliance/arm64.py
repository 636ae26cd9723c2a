"""`make test-image`: the arm64 card in an emulated board, as a Pi 4 and as a Pi 5: arm64.py IMAGE.img KERNEL_16K SCORES"""

import array
import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

from card import Card, Failure, Firmware

IMAGE, KERNEL, SCORES = sys.argv[1:4]
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
    status, body = card.wait("the unit is ready", lambda: card.api("/readyz"), 400)
    check(f"the arm64 card starts to ready as a {name}"
          + (", with a STAND-IN for the daemon: the rest is real" if json.loads(body).get("stand_in") else ""), status == 200, body)
    card.up()


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


def started_card(name, **how):
    image = f"{folder}/{name.replace(' ', '-')}.img"
    subprocess.run(["cp", "--sparse=always", IMAGE, image], check=True)
    subprocess.run(["truncate", "-s", "4G", image], check=True)
    return Card(image, arch="arm64", extra="systemd.show_status=1", **how)


card = None
try:
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
    card = started_card("Pi 4")
    ready(card, "Pi 4")
    pages(card, 4096)
    card.cut()
    card = started_card("Pi 5", processor="cortex-a76", kernel=KERNEL)
    ready(card, "Pi 5")
    pages(card, 16384)
    scores(card)
    failed = card.sh("systemctl --failed --no-legend --plain")
    check("no unit has failed", failed.strip() == "", failed)
except (Failure, OSError) as failure:
    print(f"FAILED: {failure}", file=sys.stderr)
    if card:
        print("\n".join(card.console[-60:]), file=sys.stderr)
    sys.exit(1)
finally:
    if card:
        card.cut()
    shutil.rmtree(folder, ignore_errors=True)
