"""The machine under test, as seen from outside: a Debian kernel in qemu."""

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))


class Failure(Exception):
    pass


def die_with_parent():
    # PR_SET_PDEATHSIG: the machine never outlives the test, however that ends.
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Machine:
    def __init__(self, rig, nanoseconds_an_instruction=None):
        """With `nanoseconds_an_instruction` the machine has one core whose time is what it executes, whatever else the host does:
        1, 2, 4, 8."""
        self.rig = os.path.abspath(rig)
        self.temporary = tempfile.TemporaryDirectory(prefix="edge-machine-")
        initrd = f"{self.temporary.name}/initrd.gz"
        subprocess.run([f"{HERE}/initrd.sh", self.rig, initrd], check=True)
        self.control_port, self.api_port = free_port(), free_port()
        # Without the machine's own virtualisation, which is not everywhere, and not everywhere whole.
        accel = os.environ.get("EDGE_ACCEL") or "tcg"
        self.accel = accel
        cores, timing = 2, []
        if nanoseconds_an_instruction:
            accel, cores = "tcg,thread=single", 1
            timing = ["-icount", f"shift={nanoseconds_an_instruction.bit_length() - 1},sleep=on"]
        command = ["qemu-system-x86_64", *timing, "-accel", "tcg,thread=multi" if accel == "tcg" else accel,
                   "-cpu", "host" if accel == "kvm" else "max", "-M", "q35", "-m", "2048", "-smp", str(cores),
                   "-nographic", "-no-reboot", "-nodefaults", "-serial", "stdio",
                   "-kernel", f"{self.rig}/vmlinuz", "-initrd", initrd,
                   "-virtfs", "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap",
                   "-device", "virtio-net-pci,netdev=n,romfile=", "-netdev", f"user,id=n,restrict=on,hostfwd=tcp:127.0.0.1:{self.control_port}-:9000,"
                           f"hostfwd=tcp:127.0.0.1:{self.api_port}-:8000",
                   "-append", f"console=ttyS0 quiet panic=-1 mitigations=off edge.here={HERE} edge.modules={self.rig}/modules"]
        self.console = []
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        text=True, errors="replace", preexec_fn=die_with_parent)
        ready = threading.Event()
        self.is_up = False

        def listen():
            for line in self.process.stdout:
                self.console.append(line.rstrip())
                if "guest: ready" in line:
                    self.is_up = True
                    ready.set()
            ready.set()
        threading.Thread(target=listen, daemon=True).start()
        if not ready.wait(120) or not self.is_up:
            self.off()
            raise Failure(f"the machine did not start ({accel}): " + "\n".join(self.console[-30:]))
        self.stream = socket.create_connection(("127.0.0.1", self.control_port), timeout=120)
        self.file = self.stream.makefile("rwb")
        self.lock = threading.Lock()

    def ask(self, do, stream=None, **request):
        """Tells the guest to do something."""
        with self.lock:
            self.file.write(json.dumps(dict(request, do=do)).encode() + b"\n")
            self.file.flush()
            answer = json.loads(self.file.readline())
        if "error" in answer:
            raise Failure(f"{do} {request}: {answer['error']}")
        return answer

    def sh(self, command):
        answer = self.ask("sh", command=command)
        if answer["code"] != 0:
            raise Failure(f"{command}: {answer['text']}")
        return answer["text"]

    #: What the API of the daemon asks for.
    token = ""

    def api(self, path, method="GET", body=None, headers=None):
        headers = dict(headers or {})
        if self.token:
            headers.setdefault("Authorization", f"Bearer {self.token}")
        request = urllib.request.Request(f"http://127.0.0.1:{self.api_port}{path}", method=method, data=body, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def json(self, path, method="GET"):
        status, body = self.api(path, method)
        if status != 200:
            raise Failure(f"{path}: {status} {body}")
        return json.loads(body)

    def wait(self, what, condition, seconds=60):
        """Until it is so; what it says then."""
        end, last = time.monotonic() + seconds, None
        while time.monotonic() < end:
            try:
                last = condition()
                if last:
                    return last
            except (OSError, Failure) as error:
                last = error
            time.sleep(0.05)
        raise Failure(f"{what}: not in {seconds} s; last {last}")

    def off(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
