#!/usr/bin/env python3
"""Runs the commands of README.md as they are written, in order, in a fresh copy of the project. `make test-readme` calls it.

    run.py [--tree] [--program PROGRAM --models FOLDER --samples FOLDER]

The copy is a clone of HEAD; with --tree, the files of the working folder as they are. Without --program everything is done as for a
newcomer: `make run` installs, fetches and builds, and blocks tagged `builds` run (about an hour on two cores). With --program nothing
is compiled: that program stands at .build/release/edge-aggregator, make's build step does nothing, the model is copied.

The tag of each fenced block of README.md says what becomes of it:

    sh              each line must end with 0
    sh daemon       one line, which runs in the background until all others have ended, and then gets Ctrl-C
    sh builds       left out with --program, because it compiles
    sh on-the-pi    left out: it needs a Raspberry Pi
    text            no commands

The ports are those of README.md if they are free. Otherwise LISTEN and METRICS_PORT (docs/settings.md) name others.
"""

import argparse
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.realpath(f"{HERE}/../..")
sys.path.insert(0, HERE)
import pages
from pages import Failure, missing_targets

PROGRAM = ".build/release/edge-aggregator"
PORTS = {"LISTEN": 8000, "METRICS_PORT": 8001}
LEFT_OUT = {"sh on-the-pi": "it needs a Raspberry Pi"}


def commands(text, compiles):
    """((kind, command) to run, (command, reason) left out). Kind is "daemon" or "command"."""
    if any(tag == "sh daemon" and len(lines) != 1 for tag, lines in pages.blocks(text)):
        raise Failure("README.md: a block tagged `sh daemon` has one command")
    kinds, left_out = {"sh": "command", "sh daemon": "daemon"}, dict(LEFT_OUT)
    if compiles:
        kinds["sh builds"] = "command"
    else:
        left_out["sh builds"] = "it compiles"
    return pages.commands(text, "README.md", kinds, left_out)


def is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def copy_project(folder, is_tree):
    if not is_tree:
        subprocess.run(["git", "clone", "--quiet", ROOT, folder], check=True)
        return
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True, stdout=subprocess.PIPE)
    for name in os.fsdecode(listed.stdout).split("\0"):
        if name and os.path.lexists(f"{ROOT}/{name}"):
            os.makedirs(os.path.dirname(f"{folder}/{name}"), exist_ok=True)
            shutil.copy2(f"{ROOT}/{name}", f"{folder}/{name}", follow_symlinks=False)


def environment():
    """A newcomer's: without settings of the daemon, and without what make and the tests hand on."""
    settings = set(re.findall(r"^([A-Z0-9_]+)=", open(f"{ROOT}/.env.example").read(), re.M))
    ours = {"MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "BUILD", "SAMPLES_DIR", "CONFIG_PATH", "CREDENTIALS_DIRECTORY"}
    kept = {name: value for name, value in os.environ.items()
            if name.removesuffix("_FILE") not in settings | ours and not name.startswith(("EDGE_", "CI_"))}
    for name, port in PORTS.items():
        if not is_free(port):
            kept[name] = f"127.0.0.1:{free_port()}" if name == "LISTEN" else "0"
            print(f"  port {port} is in use: {name}={kept[name]}", flush=True)
    return kept


class Daemon:
    def __init__(self, command, folder, variables, log, seconds):
        self.log = log
        with open(log, "wb") as output:
            # A group of its own, so that Ctrl-C reaches it as it would in a terminal.
            self.process = subprocess.Popen(["bash", "-c", command], cwd=folder, env=variables, stdin=subprocess.DEVNULL, stdout=output,
                                            stderr=subprocess.STDOUT, start_new_session=True)
        end = time.monotonic() + seconds
        while "is ready" not in self.text():
            if self.process.poll() is not None or time.monotonic() > end:
                self.kill()
                raise Failure(f"`{command}` did not get ready:\n{self.text()[-4000:]}")
            time.sleep(0.2)

    def text(self):
        return open(self.log, errors="replace").read()

    def stop(self):
        os.killpg(self.process.pid, signal.SIGINT)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            raise Failure(f"the daemon has not ended 60 s after Ctrl-C:\n{self.text()[-4000:]}") from None
        finally:
            self.kill()

    def kill(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def prepare(folder, arguments):
    """What `make run` would have built and fetched."""
    os.makedirs(f"{folder}/.build/release")
    os.symlink(os.path.realpath(arguments.program), f"{folder}/{PROGRAM}")
    for name, source in (("models", arguments.models), ("samples", arguments.samples)):
        if source and os.path.isdir(source):
            shutil.copytree(source, f"{folder}/var/{name}", symlinks=True)


def run_all(run, folder, work, variables, is_debug):
    daemon, said = None, []
    try:
        for kind, line in run:
            begin = time.monotonic()
            if kind == "daemon":
                if daemon:
                    raise Failure("README.md: there is one block tagged `sh daemon`")
                built = variables | ({"MAKEFLAGS": "BUILD_PROGRAM=:"} if is_debug else {})
                daemon = Daemon(line, folder, built, f"{work}/daemon.log", 120 if is_debug else 7200)
            else:
                try:
                    done = subprocess.run(["bash", "-c", line], cwd=folder, env=variables, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                          stderr=subprocess.STDOUT, text=True, errors="replace", timeout=180 if is_debug else 7200)
                except subprocess.TimeoutExpired as error:
                    raise Failure(f"`{line}` has not ended after {error.timeout:.0f} s") from None
                if done.returncode != 0:
                    raise Failure(f"`{line}` ended with {done.returncode}:\n{done.stdout[-4000:]}")
                if line.startswith(PROGRAM):
                    said.append((line, done.stdout))
            print(f"  {time.monotonic() - begin:6.1f} s  {line}", flush=True)
        if daemon:
            said.append(("the daemon", daemon.text()))
            daemon.stop()
            print("          s  Ctrl-C ends the daemon", flush=True)
    finally:
        if daemon:
            daemon.kill()
    return said


def check_places(said, folder):
    """Every command states the same settings and the same data folder."""
    wanted = f"settings: {folder}/settings.yaml, data: {folder}/var "
    wrong = [line for line, text in said if wanted not in text]
    if wrong:
        raise Failure(f"these do not say `{wanted}…`: {'; '.join(wrong)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tree", action="store_true")
    parser.add_argument("--program")
    parser.add_argument("--models")
    parser.add_argument("--samples")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="edge-readme-") as work:
        folder = f"{os.path.realpath(work)}/edge-aggregator"
        copy_project(folder, arguments.tree)
        text = open(f"{folder}/README.md").read()
        run, left_out = commands(text, compiles=not arguments.program)
        if not run:
            raise Failure("README.md has no commands")
        missing = missing_targets(text, open(f"{folder}/Makefile").read())
        if missing:
            raise Failure(f"README.md names targets that the Makefile does not have: {', '.join(missing)}")
        if arguments.program:
            prepare(folder, arguments)
        check_places(run_all(run, folder, work, environment(), bool(arguments.program)), folder)
        for line, reason in left_out:
            print(f"  left out ({reason}): {line}")
        print(f"test-readme: {len(run)} commands run as written, {len(left_out)} left out")


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        print(f"test-readme: {failure}", file=sys.stderr)
        sys.exit(1)
