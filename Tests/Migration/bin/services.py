"""Starts and ends what `systemctl` and `docker` of the test's machine are told to. The state of each service is a file in /run/machine."""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time

STATE = "/run/machine"
# Given to every daemon: test servers in place of those on the Internet.
ADDED = f"{STATE}/environment.json"
READY_SECONDS = 120


def fail(message, code=1):
    print(message, file=sys.stderr)
    sys.exit(code)


def read(name):
    try:
        with open(f"{STATE}/{name}.json") as file:
            return json.load(file)
    except FileNotFoundError:
        return None


def write(name, state):
    with open(f"{STATE}/{name}.json", "w") as file:
        json.dump(state, file)


def added():
    return read("environment") or {}


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def log_of(name):
    return f"/var/log/{name.replace('/', '-')}.log"


def start(name, command, environment, folder="/", umask=0o022, notifies=True):
    """Starts a program and waits until it is ready: until it says so to systemd, or, without `notifies`, not at all. Returns its pid."""
    end = time.monotonic() + READY_SECONDS
    path = f"{STATE}/notify-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as said:
        said.bind(path)
        os.chmod(path, 0o777)
        said.settimeout(0.2)
        with open(log_of(name), "ab") as log:
            process = subprocess.Popen(command, cwd=folder, env=environment | ({"NOTIFY_SOCKET": path} if notifies else {}),
                                       stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True, umask=umask)
        while notifies:
            try:
                if b"READY=1" in said.recv(4096):
                    break
            except TimeoutError:
                pass
            if process.poll() is not None or time.monotonic() > end:
                with open(log_of(name), errors="replace") as log:
                    fail(f"{name} did not get ready; the end of its log:\n{log.read()[-3000:]}")
    os.unlink(path)
    return process.pid


def stop(pid, seconds=60):
    if not is_running(pid):
        return
    os.kill(pid, signal.SIGTERM)
    end = time.monotonic() + seconds
    while is_running(pid):
        if time.monotonic() > end:
            os.kill(pid, signal.SIGKILL)
            fail(f"process {pid} did not end within {seconds} s of SIGTERM")
        time.sleep(0.05)


def as_user(user, command):
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", *command] if user else command


def words(text):
    return shlex.split(text)
