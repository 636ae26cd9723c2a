"""What every measurement needs: the release build, run in a folder of its own in memory."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DAEMON = f"{ROOT}/.build/release/edge-aggregator"
REFERENCE = f"{ROOT}/.build/release/birdnet-reference"
TOOLS = f"{ROOT}/.build/bench"
MODELS = os.environ.get("EDGE_MODELS_DIR", f"{ROOT}/var/models")
SAMPLES = os.environ.get("EDGE_SAMPLES_DIR", f"{ROOT}/var/samples")
LIBRARY = f"{MODELS}/libtensorflowlite_c.so"
MODEL = f"{MODELS}/BirdNET_GLOBAL_6K_V2.4_Model_FP32.tflite"
CORES = os.cpu_count() or 1
SHM = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


class Daemon:
    """The release build, in a folder of its own in memory."""

    def __init__(self, folder=None, **settings):
        self.folder = folder or tempfile.mkdtemp(prefix="edge-bench-", dir=SHM)
        environment = {key: value for key, value in os.environ.items() if not key.startswith("EDGE_")}
        open(f"{self.folder}/settings.yaml", "w").close()
        environment.update(
            BASE_DIR=self.folder, LISTEN="127.0.0.1:0", METRICS_PORT="0", API_REQUESTS_PER_MINUTE="0", CONFIG_PATH=f"{self.folder}/settings.yaml",
            MODELS_DIR=MODELS, LOG_LEVEL="error", PRIVACY_THRESHOLD="1", MIN_FREE_DISK_BYTES="1000000")
        environment.update({key: str(value) for key, value in settings.items()})
        started = time.monotonic()
        self.process = subprocess.Popen(
            [DAEMON, "run"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        text = ""
        while "listeners POST" not in text:
            line = self.process.stdout.readline()
            if not line:
                raise SystemExit(f"the daemon did not start: {text}")
            text += line
        self.port = int(re.search(r"page +http://127.0.0.1:(\d+)/", text).group(1))
        while True:
            try:
                self.get("/readyz")
                break
            except urllib.error.HTTPError:
                time.sleep(0.005)
        self.ready_seconds = time.monotonic() - started

    def get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=60) as answer:
            return answer.read().decode()

    def status(self):
        return json.loads(self.get("/api/v1/status"))

    def cpu_seconds(self):
        fields = open(f"/proc/{self.process.pid}/stat").read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self):
        """Resident and anonymous bytes."""
        values = {}
        for line in open(f"/proc/{self.process.pid}/smaps_rollup"):
            match = re.match(r"(\w+): +(\d+) kB", line)
            if match:
                values[match.group(1)] = int(match.group(2)) * 1024
        return values["Rss"], values["Anonymous"]

    def stop(self, keep=False):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def run_json(*command):
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
