"""`make test-power`: the daemon on a disk whose power is cut, again and again, that fills and fails in between; and on disks that lie.

    run.py DAEMON WORK_FOLDER CUTS

User-mode Linux runs a real kernel with a real ext4 on a synchronous disk image; the cut is a SIGKILL of that kernel. What the daemon
acknowledged is what the senders inside have said until then; each next life has to have all of it.
"""

import glob
import os
import random
import re
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
DAEMON, WORK, CUTS = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2]), int(sys.argv[3])
KERNEL = "/usr/bin/linux.uml"
MODULES = (glob.glob("/usr/lib/uml/modules/*") or ["none"])[0]


class Failure(Exception):
    pass


class Life:
    """One life of the machine, from its start to its power cut."""

    def __init__(self, disk, acknowledged, mode="plain"):
        self.lines = []
        self.acknowledged = acknowledged
        arguments = ",".join([DAEMON, acknowledged, mode, MODULES])
        self.process = subprocess.Popen(
            [KERNEL, "mem=1024M", f"ubd0s={disk}", "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro", "quiet", f"init={HERE}/guest.sh",
             "con=null", "con0=fd:0,fd:1", f"edge.arguments={arguments}", "--", HERE],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, errors="replace", start_new_session=True)

    def until(self, word, seconds=120):
        end = time.monotonic() + seconds
        for line in self.process.stdout:
            self.take(line)
            if line.startswith(word):
                return line.strip()
            if line.startswith("BAD") or time.monotonic() > end:
                rest = [line.strip()] + [self.process.stdout.readline().strip() for _ in range(16) if line.startswith("BAD")]
                raise Failure("\n".join(rest) + "\n" + "\n".join(self.lines[-5:]))
        raise Failure(f"the machine ended before {word}:\n" + "\n".join(self.lines[-30:]))

    def take(self, line):
        self.lines.append(line.strip())

    def cut(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        # What had been said by then was acknowledged by then. The last line may be torn.
        rest = self.process.stdout.read()
        self.process.wait()
        for line in rest.splitlines(keepends=True):
            if line.endswith("\n"):
                self.take(line)
        return [line for line in self.lines if line.startswith("ACK ")]


def new_disk(name):
    disk = f"{WORK}/{name}.img"
    if os.path.exists(disk):
        os.unlink(disk)
    with open(disk, "wb") as file:
        file.truncate(256 << 20)
    # Few inodes, so that they can run out.
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-N", "4096", disk], check=True)
    acknowledged = f"{WORK}/{name}.acknowledged"
    open(acknowledged, "w").close()
    return disk, acknowledged


def cuts(seed):
    chance = random.Random(seed)
    disk, acknowledged = new_disk("cuts")
    total, started, slowest, modes = 0, time.monotonic(), 0, {}
    for number in range(CUTS + 1):
        birth = time.monotonic()
        # In most lives nothing happens but the cut; in others the disk fills, or refuses everything from some moment on.
        mode = chance.choices(("plain", "bytes", "inodes", "error_writes"), (6, 2, 2, 1))[0] if number < CUTS else "plain"
        modes[mode] = modes.get(mode, 0) + 1
        life = Life(disk, acknowledged, mode)
        try:
            found = life.until("CHECK")
            life.until("READY")
            slowest = max(slowest, time.monotonic() - birth)
            if number == CUTS:
                print(f"{time.monotonic() - started:6.1f}  after {CUTS} cuts (seed {seed}): {found}; nothing acknowledged is missing; "
                      f"the slowest start took {slowest:.1f} s; lives: {modes}", flush=True)
                return total
            if mode != "plain":
                life.until("SPOILED" if mode == "error_writes" else "FULL")
            end = time.monotonic() + chance.uniform(0.1, 2)
            os.set_blocking(life.process.stdout.fileno(), True)
            while time.monotonic() < end:
                time.sleep(0.01)
        finally:
            lines = life.cut()
        with open(acknowledged, "a") as file:
            file.writelines(line + "\n" for line in lines)
        total += len(lines)
        if mode == "error_writes":
            # As systemd does before it mounts a disk that had errors.
            subprocess.run(["e2fsck", "-fp", disk], stdout=subprocess.DEVNULL)
        if number % 10 == 0:
            print(f"{time.monotonic() - started:6.1f}  cut {number + 1}: {found}, {len(lines)} more acknowledged", flush=True)
    return total


def spoiled(mode):
    """A disk that forgets (drop_writes) or refuses (error_writes) from some moment on, then a cut, then the disk as it is."""
    disk, acknowledged = new_disk(mode)
    life = Life(disk, acknowledged, mode)
    try:
        life.until("READY")
        life.until("SPOILED", 60)
        before = [line for line in life.lines if line.startswith("ACK ")]
        state = life.until("OVER", 120) and next(line for line in life.lines if line.startswith("STATE"))
    finally:
        lines = life.cut()
    after = len(lines) - len(before)
    if mode == "error_writes" and state.split()[-1] == "200":
        raise Failure(f"the daemon says that it is ready while the disk refuses everything: {state}")
    if mode == "error_writes":
        # What it acknowledged while the disk refused must be there too: it may acknowledge nothing that was refused.
        kept = lines
    else:
        # No software can know that a disk lies: what was acknowledged before must be there.
        kept = before
    with open(acknowledged, "w") as file:
        file.writelines(line + "\n" for line in kept)
    subprocess.run(["e2fsck", "-fp", disk], stdout=subprocess.DEVNULL)
    life = Life(disk, acknowledged)
    try:
        found = life.until("CHECK")
    finally:
        life.cut()
    print(f"        {mode}: {len(before)} acknowledged before, {after} while it lasted ({state}); the next start by itself: {found}", flush=True)


def main():
    if not os.path.exists(KERNEL):
        sys.exit(f"test-power: {KERNEL} is missing: apt-get install user-mode-linux")
    os.makedirs(WORK, exist_ok=True)
    seed = int(os.environ.get("EDGE_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"seed {seed}", flush=True)
    try:
        total = cuts(seed) if CUTS else 0
        if total < 5 * CUTS:
            raise Failure(f"only {total} acknowledged in all: the senders did not get to work")
        spoiled("drop_writes")
        spoiled("error_writes")
    except Failure as failure:
        print(f"FAILED: {failure}", file=sys.stderr)
        sys.exit(1)


main()
