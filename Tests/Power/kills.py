"""The daemon is killed again and again on a small disk that fills, loses its inodes and fails to sync in between.

    kills.py DAEMON WORK_FOLDER KILLS

What is asked of it is what guest.py asks after a power cut. Needs root, for a tmpfs of its own. EDGE_SEED repeats a run's choices.
"""

import os
import random
import signal
import socket
import subprocess
import sys
import time

import guest

HERE = os.path.dirname(os.path.abspath(__file__))


class Failure(Exception):
    pass


def main():
    daemon_path, work, kills = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2]), int(sys.argv[3])
    seed = int(os.environ.get("EDGE_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"seed {seed}", flush=True)
    chance = random.Random(seed)
    os.makedirs(f"{work}/disk", exist_ok=True)
    os.makedirs(f"{work}/tmp", exist_ok=True)
    library = f"{work}/failing_sync.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, f"{HERE}/../Doubles/failing_sync.c", "-ldl"], check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        guest.PORT = free.getsockname()[1]
    guest.DAEMON, guest.DISK, guest.BASE, guest.TEMPORARY = daemon_path, f"{work}/disk", f"{work}/disk/edge", f"{work}/tmp"
    guest.ACKNOWLEDGED, everything = f"{work}/acknowledged", f"{work}/acknowledged-ever"
    guest.PAUSE = 0.05
    guest.EXTRA = {"LD_PRELOAD": library, "SYNC_FAILURE_FILE": f"{work}/tmp/fail-a-sync",
                   # All kills happen in one boot, and a kill is a bad end.
                   "SAFE_MODE_AFTER": "0"}
    lines = []
    guest.say = lambda *words: lines.append(" ".join(str(word) for word in words))

    def give_up(*words):
        log = open(f"{guest.TEMPORARY}/daemon.log", errors="replace").read().splitlines()[-15:]
        raise Failure("\n".join([" ".join(str(word) for word in words), *log]))
    guest.give_up = give_up

    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128m,nr_inodes=12000", "tmpfs", guest.DISK], check=True)
    daemon, started, modes = None, time.monotonic(), {}
    try:
        open(everything, "w").close()
        recent = []
        os.makedirs(guest.BASE)
        for number in range(kills + 1):
            open(f"{guest.TEMPORARY}/daemon.log", "w").close()
            # After each kill what the last ten lives have acknowledged; sometimes, and in the end, everything.
            with open(guest.ACKNOWLEDGED, "w") as file:
                file.writelines(open(everything) if number == kills or number % 100 == 0 else [line for life in recent[-10:] for line in life])
            daemon = guest.start()
            guest.check()
            found = lines[-1]
            if number == kills:
                print(f"{time.monotonic() - started:6.1f}  after {kills} kills (seed {seed}): {found}; nothing acknowledged is missing; {modes}", flush=True)
                return
            guest.release()
            lines.clear()
            guest.over.clear()
            mode = chance.choices(("plain", "bytes", "inodes", "sync"), (5, 2, 2, 1))[0]
            modes[mode] = modes.get(mode, 0) + 1
            senders = guest.work(number)
            time.sleep(chance.uniform(0.05, 0.6))
            if mode in ("bytes", "inodes"):
                guest.fill(mode)
                time.sleep(chance.uniform(0.05, 1.5))
                if chance.random() < 0.5:
                    guest.release()
                    time.sleep(chance.uniform(0, 0.5))
            elif mode == "sync":
                open(f"{guest.TEMPORARY}/fail-a-sync", "w").close()
                time.sleep(chance.uniform(0.05, 0.6))
            if daemon.poll() is not None:
                guest.give_up(f"the daemon ended by itself with {daemon.returncode}, {mode}")
            os.kill(daemon.pid, signal.SIGKILL)
            daemon.wait()
            guest.over.set()
            for sender in senders:
                sender.join(90)
            if os.path.exists(f"{guest.TEMPORARY}/fail-a-sync"):
                os.unlink(f"{guest.TEMPORARY}/fail-a-sync")
            recent.append([line + "\n" for line in lines if line.startswith("ACK ")])
            with open(everything, "a") as file:
                file.writelines(recent[-1])
            if number % 50 == 0:
                print(f"{time.monotonic() - started:6.1f}  kill {number + 1} ({mode}): {found}", flush=True)
    except Failure as failure:
        print(f"FAILED, seed {seed}, kill {number}: {failure}", file=sys.stderr)
        sys.exit(1)
    finally:
        if daemon is not None and daemon.poll() is None:
            daemon.kill()
            daemon.wait()
        subprocess.run(["umount", "-l", guest.DISK])


main()
