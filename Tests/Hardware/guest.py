"""Process 1 of the machine under test: sets the hardware up, and does what it is told over port 9000, a JSON line at a time.

Everything that it changes is in memory: the host's files are seen through an overlay.
"""

import json
import os
import re
import signal
import socketserver
import subprocess
import sys
import time

import chips
from mcp2221 import MCP2221

SIM = "/sys/kernel/config/gpio-sim/pi"
#: Lines of the simulated chip, under the label of a Raspberry Pi 4.
LINES = {17: "GPIO17", 18: "GPIO18", 22: "GPIO22", 23: "GPIO23", 24: "GPIO24", 27: "GPIO27"}
bench = MCP2221(chips.all_chips())
processes = {}


def sh(command):
    done = subprocess.run(["bash", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return {"code": done.returncode, "text": done.stdout}


def put(path, text):
    with open(path, "w") as file:
        file.write(str(text))


def make_lines():
    for line, name in LINES.items():
        os.makedirs(f"{SIM}/bank0/line{line}")
    put(f"{SIM}/bank0/num_lines", 54)
    put(f"{SIM}/bank0/label", "pinctrl-bcm2711")
    for line, name in LINES.items():
        put(f"{SIM}/bank0/line{line}/name", name)
    put(f"{SIM}/live", 1)


def line_file(line, name):
    device = open(f"{SIM}/dev_name").read().strip()
    chip = open(f"{SIM}/bank0/chip_name").read().strip()
    return f"/sys/devices/platform/{device}/{chip}/sim_gpio{line}/{name}"


def pull(line, level):
    put(line_file(line, "pull"), "pull-up" if level else "pull-down")


def run(request):
    """One request; its answer."""
    kind = request["do"]
    if kind == "sh":
        return sh(request["command"])
    if kind == "start":
        environment = dict(os.environ, **request["environment"])
        log = open(f"/edge-machine/{request['name']}.log", "ab")
        processes[request["name"]] = subprocess.Popen(
            request["command"], env=environment, stdin=subprocess.PIPE, stdout=log, stderr=log)
        return {"pid": processes[request["name"]].pid}
    if kind == "stop":
        process = processes.pop(request["name"])
        process.send_signal(getattr(signal, request.get("signal", "SIGTERM")))
        return {"code": process.wait(60)}
    if kind == "log":
        return {"text": open(f"/edge-machine/{request['name']}.log", errors="replace").read()[-8000:]}
    if kind == "fault":
        bench.chips[int(request["address"], 16)].fault = request["fault"]
        return {}
    if kind == "stuck":
        bench.is_stuck = True
        return {}
    if kind == "held low":
        bench.is_held_low = request["is_held_low"]
        return {}
    if kind == "unplug":
        bench.unplug()
        return {}
    if kind == "plug":
        bench.plug()
        return {}
    if kind == "bench line":
        bench.values[request["line"]] = request["level"]
        return {}
    if kind == "recalibrated":
        return {"ppm": bench.chips[0x62].recalibrated}
    if kind == "transactions":
        return {"count": bench.transactions}
    if kind == "pull":
        pull(request["line"], request["level"])
        return {}
    if kind == "value":
        return {"value": int(open(line_file(request["line"], "value")).read())}
    if kind == "cpu":
        pid = processes[request["name"]].pid
        fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
        memory = re.search(r"Anonymous: +(\d+)", open(f"/proc/{pid}/smaps_rollup").read()).group(1)
        return {"at": time.monotonic(), "seconds": (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), "anonymous": int(memory) * 1024}
    raise ValueError(f"unknown request {kind}")


class Requests(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            try:
                answer = run(json.loads(line))
            except Exception as error:  # It goes to the one who asked.
                answer = {"error": repr(error)}
            self.wfile.write(json.dumps(answer).encode() + b"\n")


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


def main():
    for command in ["modprobe -a configfs uhid hid_mcp2221 i2c_dev gpio-sim snd_aloop",
                    "mount -t configfs none /sys/kernel/config", "mkdir -p /dev/pts && mount -t devpts none /dev/pts"]:
        done = sh(command)
        if done["code"] != 0 and "already mounted" not in done["text"]:
            print("guest:", command, done, flush=True)
    make_lines()
    bench.plug()
    server = Server(("", 9000), Requests)
    print("guest: ready", flush=True)
    server.serve_forever()


main()
