"""A card in an emulated box, and a stand-in for the Raspberry Pi's firmware: it reads autoboot.txt as that does."""

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, f"{os.path.dirname(HERE)}/Hardware")
from machine import Failure, Machine, die_with_parent, free_port  # noqa: E402


class Firmware:
    """What a Pi's firmware does with a card: picks a boot partition, and reads kernel and command line there."""

    def __init__(self, card):
        self.card = card
        table = json.loads(subprocess.run(["sfdisk", "-J", card], check=True, stdout=subprocess.PIPE).stdout)["partitiontable"]
        self.starts = {part["name"]: int(part["start"]) * 512 for part in table["partitions"]}

    def read(self, partition, name):
        done = subprocess.run(["mtype", "-i", f"{self.card}@@{self.starts[partition]}", f"::{name}"], check=True, stdout=subprocess.PIPE)
        return done.stdout

    def slot(self, is_try):
        text = self.read("config", "autoboot.txt").decode()
        section = re.search(r"(?s)\[%s\](.*?)(\[|$)" % ("tryboot" if is_try else "all"), text).group(1)
        return {"2": "bootA", "3": "bootB"}[re.search(r"boot_partition=(\d)", section).group(1)]

    def load(self, is_try, folder):
        slot = self.slot(is_try)
        for name in ("kernel8.img", "initramfs8", "cmdline.txt"):
            with open(f"{folder}/{name}", "wb") as file:
                file.write(self.read(slot, name))
        return slot, open(f"{folder}/cmdline.txt").read().strip()


class Card(Machine):
    """The card, starting again whenever the box resets, as long as it is on."""

    ARCHITECTURES = {
        "amd64": ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-M", "q35"],
        "arm64": ["qemu-system-aarch64", "-accel", "tcg,thread=multi", "-M", "virt"],
    }

    def __init__(self, image, arch="amd64", extra="", memory=2048, disks=(), processor="cortex-a72", kernel=None):
        """`kernel`: a folder whose vmlinuz and initrd are started in the place of the card's, as a Pi 5 takes kernel_2712.img."""
        self.processor, self.kernel = processor, kernel
        self.image, self.arch, self.extra, self.memory, self.disks = os.path.abspath(image), arch, extra, memory, disks
        self.temporary = tempfile.TemporaryDirectory(prefix="edge-card-")
        self.folder = self.temporary.name
        self.control_port, self.api_port = free_port(), free_port()
        self.console, self.slots, self.process = [], [], None
        self.lock = threading.Lock()
        self.is_on = False
        self.stream = None

    def on(self):
        self.is_on = True
        threading.Thread(target=self.live, daemon=True).start()

    def live(self):
        """Starts whenever the box resets, as the firmware does. One thread for all: a machine ends with the thread that started it."""
        is_try = False
        while self.is_on:
            process = self.process = self.boot(is_try)
            is_try = False
            for text in process.stdout:
                self.console.append(text.rstrip())
                # The kernel's words for the argument of reboot(2), which the firmware of a Pi gets to see.
                if "Restarting system with command '0 tryboot'" in text:
                    is_try = True
            process.wait()
            self.stream = None

    def boot(self, is_try):
        slot, line = Firmware(self.image).load(is_try, self.folder)
        self.slots.append(slot)
        console = "ttyS0" if self.arch == "amd64" else "ttyAMA0"
        line = re.sub(r"console=\S+ ", "", line) + f" console={console} {self.extra}"
        kernel, initrd = f"{self.folder}/kernel8.img", f"{self.folder}/initramfs8"
        if self.kernel:
            kernel, initrd = f"{self.kernel}/vmlinuz", f"{self.kernel}/initrd"
        processor = ["-cpu", self.processor] if self.arch == "arm64" else []
        watchdog = ["-device", "i6300esb", "-action", "watchdog=reset"]
        command = [*self.ARCHITECTURES[self.arch], *processor, "-m", str(self.memory), "-smp", "2", "-nographic", "-nodefaults", "-no-reboot",
                   "-serial", "stdio", "-kernel", kernel, "-initrd", initrd,
                   "-drive", f"file={self.image},format=raw,if=virtio,cache=writethrough",
                   *[word for disk in self.disks for word in ("-drive", f"file={disk},format=raw,if=virtio,readonly=on")],
                   "-device", "virtio-net-pci,netdev=n,romfile=", "-netdev",
                   f"user,id=n,restrict=on,hostfwd=tcp:127.0.0.1:{self.control_port}-:9000,hostfwd=tcp:127.0.0.1:{self.api_port}-:8000",
                   *watchdog, "-append", line]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                text=True, errors="replace", preexec_fn=die_with_parent)

    def ask(self, do=None, **request):
        with self.lock:
            try:
                if self.stream is None:
                    self.stream = socket.create_connection(("127.0.0.1", self.control_port), timeout=10)
                    self.file = self.stream.makefile("rwb")
                self.stream.settimeout(request.get("seconds", 300) + 10)
                self.file.write(json.dumps(request).encode() + b"\n")
                self.file.flush()
                line = self.file.readline()
                if not line:
                    raise OSError("the box closed the connection")
                answer = json.loads(line)
            except (OSError, ValueError):
                self.stream = None
                raise
        if "error" in answer:
            raise Failure(f"{request}: {answer['error']}")
        return answer

    def sh(self, command, check=True, seconds=300):
        answer = self.ask(command=command, seconds=seconds)
        if check and answer["code"] != 0:
            raise Failure(f"{command}: {answer['text']}")
        return answer["text"]

    def up(self, seconds=180):
        """Until the box does what it is asked."""
        def answers():
            if not self.is_on:
                raise Failure("it is off")
            return self.ask(command="true")["code"] == 0
        try:
            self.wait("the box is up", answers, seconds)
        except Failure as failure:
            raise Failure(f"{failure}\n" + "\n".join(self.console[-40:]))

    def cut(self):
        """Power off, at once."""
        self.is_on = False
        self.stream = None
        if self.process is not None:
            self.off()
