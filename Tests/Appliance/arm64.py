"""`make test-image`: the arm64 card, started in an emulated board: arm64.py IMAGE.img"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

from card import Card, Failure

started = time.monotonic()
folder = tempfile.mkdtemp(prefix="edge-arm64-", dir=os.environ.get("TMPDIR", "/tmp"))
image = f"{folder}/card.img"
subprocess.run(["cp", "--sparse=always", sys.argv[1], image], check=True)
subprocess.run(["truncate", "-s", "4G", image], check=True)
card = Card(image, arch="arm64", extra="systemd.show_status=1")
try:
    card.on()
    answer = card.wait("the unit is ready", lambda: card.api("/readyz"), 400)
    if answer[0] != 200:
        raise Failure(f"{answer}")
    is_stand_in = json.loads(answer[1]).get("stand_in", False)
    print(f"{time.monotonic() - started:6.1f}  the arm64 card starts to ready"
          + (", with a STAND-IN for the daemon: the rest is real" if is_stand_in else ""))
    if "Linux version" not in "\n".join(card.console) and not card.console:
        raise Failure("the console says nothing")
except (Failure, OSError) as failure:
    print(f"FAILED: {failure}", file=sys.stderr)
    print("\n".join(card.console[-60:]), file=sys.stderr)
    sys.exit(1)
finally:
    card.cut()
    shutil.rmtree(folder, ignore_errors=True)
