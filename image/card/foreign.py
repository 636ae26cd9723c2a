#!/usr/bin/env python3
"""Runs a command in which programs of another processor run too: foreign.py arm64 COMMAND...

A user name space of its own gets a registration of qemu's user mode emulation (binfmt_misc, Linux 6.7 or later); the machine
itself is left as it is. On a machine of that very processor the command simply runs.
"""

import ctypes
import os
import platform
import subprocess
import sys

NEWUSER, NEWNS, NEWPID = 0x10000000, 0x00020000, 0x20000000
#: The head of a 64-bit little-endian ELF program of AArch64 (ELF for the Arm 64-bit Architecture: e_machine 183).
AARCH64 = (r":edge-aarch64:M:0:\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
           r":\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:/usr/bin/qemu-aarch64-static:FOC")


def fail(text):
    print(f"foreign: {text}", file=sys.stderr)
    os._exit(69)


def inside(command):
    for words in (["mount", "--make-rprivate", "/"], ["mount", "-t", "proc", "proc", "/proc"],
                  ["mount", "-t", "binfmt_misc", "binfmt_misc", "/proc/sys/fs/binfmt_misc"]):
        if subprocess.run(words).returncode != 0:
            fail(f"{' '.join(words)} failed: this needs user name spaces and Linux 6.7 or later")
    try:
        with open("/proc/sys/fs/binfmt_misc/register", "w") as file:
            file.write(AARCH64)
    except OSError as error:
        fail(f"qemu-aarch64-static cannot be registered ({error}): apt-get install qemu-user-static")
    os.execvp(command[0], command)


def main():
    wanted, command = sys.argv[1], sys.argv[2:]
    own = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine())
    if wanted == own:
        os.execvp(command[0], command)
    if wanted != "arm64":
        fail(f"programs of {wanted} cannot be run here")
    libc = ctypes.CDLL(None, use_errno=True)
    mapped_read, mapped_write = os.pipe()
    ready_read, ready_write = os.pipe()
    child = os.fork()
    if child == 0:
        if libc.unshare(NEWUSER | NEWNS | NEWPID) != 0:
            fail(f"no user name space: {os.strerror(ctypes.get_errno())}")
        os.write(ready_write, b"x")
        os.read(mapped_read, 1)
        os.setgid(0)
        os.setuid(0)
        first = os.fork()
        if first == 0:
            inside(command)
        os._exit(os.waitstatus_to_exitcode(os.waitpid(first, 0)[1]))
    if os.read(ready_read, 1):
        for name in ("uid_map", "gid_map"):
            with open(f"/proc/{child}/{name}", "w") as file:
                file.write("0 0 4294967294")
        os.write(mapped_write, b"x")
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


if __name__ == "__main__":
    main()
