"""A machine for one part of docs/migrating.md: a root folder, a network and processes of its own, which end with the process that made it.

Its programs and libraries are those of this machine, mounted read-only. /etc is a copy; /var, /srv, /data, /run and /tmp are new. `make install`
has put the daemon, its unit and its settings below /machine. Names and addresses of other machines lead to the machine itself.
"""

import ctypes
import fcntl
import os
import shutil
import socket
import struct
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.realpath(f"{HERE}/../..")
# Folders of the root that are the machine's own. All others are this machine's.
OWN = ("data", "etc", "machine", "mnt", "proc", "run", "srv", "tmp", "var")
# As image/container/setup numbers it.
USER = ("edge-aggregator", 990)
# Of containers, in the order in which they are made.
CONTAINERS = ("172.17.0.2", "172.17.0.3")
# Other machines that the old systems' settings and the page name.
HOSTS = ("box", "broker.example", "s3.example", "influx.example", "postgres", "minio", "redis")
PATH = "/machine/bin:/machine/shims:/machine/servers:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_libc = ctypes.CDLL(None, use_errno=True)


def _mount(source, target, kind=None, flags=0):
    text = [None if value is None else os.fsencode(value) for value in (source, target, kind)]
    if _libc.mount(*text, ctypes.c_ulong(flags), None) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), target)


BIND, RECURSIVE, READ_ONLY, REMOUNT = 4096, 16384, 1, 32


def bind(source, target):
    """Shows a folder or file at another place of the machine, read-only."""
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        open(target, "a").close()
    _mount(source, target, flags=BIND | RECURSIVE)
    _mount(None, target, flags=BIND | REMOUNT | READ_ONLY)


def add_address(address, number=[0]):
    """Gives the loopback device one more address."""
    number[0] += 1
    name = f"lo:{number[0]}".encode()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        # SIOCSIFADDR, SIOCSIFNETMASK
        for request, value in ((0x8916, address), (0x891C, "255.255.255.255")):
            fcntl.ioctl(control, request, struct.pack("16sHH4s8x", name, socket.AF_INET, 0, socket.inet_aton(value)))


def _start_network():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        # SIOCSIFFLAGS: up and running
        fcntl.ioctl(control, 0x8914, struct.pack("16sH14x", b"lo", 0x41))


def _make_etc(root):
    shutil.copytree("/etc", f"{root}/etc", symlinks=True, dirs_exist_ok=True, ignore_dangling_symlinks=True,
                    ignore=shutil.ignore_patterns("shadow*", "gshadow*", "ssh", "systemd"))
    name, number = USER
    for file, line in (("passwd", f"{name}:x:{number}:{number}::/var/lib/{name}:/usr/sbin/nologin"), ("group", f"{name}:x:{number}:")):
        path = f"{root}/etc/{file}"
        lines = [known for known in open(path).read().splitlines() if not known.startswith(f"{name}:")]
        with open(path, "w") as out:
            out.write("\n".join([*lines, line]) + "\n")
    with open(f"{root}/etc/hosts", "w") as out:
        out.write("127.0.0.1 localhost\n" + "".join(f"127.0.0.1 {host}\n" for host in HOSTS))
    with open(f"{root}/etc/nsswitch.conf", "w") as out:
        out.write("passwd: files\ngroup: files\nhosts: files\n")


def enter(folder, program, models, servers):
    """Makes the machine in an empty folder, and becomes a process of it. The caller has name spaces of its own for mounts, network and
    processes (unshare)."""
    _mount(None, "/", flags=RECURSIVE | 1 << 18)  # private
    _start_network()
    for address in CONTAINERS:
        add_address(address)
    root = f"{folder}/root"
    os.makedirs(root, mode=0o755)
    os.chmod(root, 0o755)
    # A mount of its own, so that name spaces can be made inside.
    _mount(root, root, flags=BIND)
    for name in sorted(os.listdir("/")):
        if name in OWN or name == "lost+found":
            continue
        if os.path.islink(f"/{name}"):
            os.symlink(os.readlink(f"/{name}"), f"{root}/{name}")
        elif os.path.isdir(f"/{name}"):
            bind(f"/{name}", f"{root}/{name}")
    for name in OWN:
        os.mkdir(f"{root}/{name}")
    for name in ("var/lib", "var/log", "var/tmp", "run/machine", "machine/servers"):
        os.makedirs(f"{root}/{name}")
    for name in ("tmp", "var/tmp"):
        os.chmod(f"{root}/{name}", 0o1777)
    _mount("proc", f"{root}/proc", "proc")
    _make_etc(root)
    subprocess.run([f"{ROOT}/image/install.sh", os.path.realpath(program)], check=True, stdout=subprocess.DEVNULL,
                   env=dict(os.environ, DESTDIR=root, PREFIX="/machine"))
    shutil.copy(f"{ROOT}/image/container/start", f"{root}/machine/bin/edge-aggregator-start")
    shutil.copytree(f"{HERE}/bin", f"{root}/machine/shims", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(f"{ROOT}/Dockerfile", f"{root}/machine/Dockerfile")
    if not os.path.isdir(f"{root}{ROOT}"):
        bind(ROOT, f"{root}{ROOT}")
    for source, target in ((models, "models"), (servers, "test-servers")):
        bind(os.path.realpath(source), f"{root}/machine/{target}")
    os.symlink("../test-servers/postgres/usr/lib/postgresql/15/bin/psql", f"{root}/machine/servers/psql")
    os.chroot(root)
    os.chdir("/")
    os.environ.clear()
    os.environ.update(PATH=PATH, HOME="/root", LANG="C.UTF-8", EDGE_TEST_SERVERS="/machine/test-servers")
