#!/usr/bin/env python3
"""Tests what the set-up of the cross build says to bad input and faults, and that it damages nothing. Root's parts are skipped for others."""

import os
import shutil
import subprocess
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CROSS = f"{ROOT}/scripts/cross"


def run(*command, **environment):
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout


class Input(unittest.TestCase):
    def test_another_release_or_processor_is_named(self):
        for release, arch, word in (("sarge", "arm64", "sarge"), ("trixie", "riscv64", "riscv64"), ("trixie", "", '""')):
            status, text = run(f"{CROSS}/check.sh", release, arch)
            self.assertEqual(status, 64, text)
            self.assertIn(word, text)
            self.assertIn("trixie" if word == "sarge" else "arm64", text)


@unittest.skipUnless(os.geteuid() == 0, "needs root")
class Faults(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="edge-cross-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def test_not_root(self):
        os.chmod(self.folder, 0o755)
        shutil.copytree(CROSS, f"{self.folder}/cross")
        status, text = run("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", f"{self.folder}/cross/check.sh", "trixie", "arm64")
        self.assertEqual(status, 77, text)
        self.assertIn("run as root", text)

    def in_mounts_of_its_own(self, script):
        return run("unshare", "--mount", "--propagation", "private", "bash", "-c", script, "bash", self.folder, CROSS)

    @unittest.skipUnless(shutil.which("mmdebstrap"), "mmdebstrap is not installed (scripts/setup-image.sh)")
    def test_no_room(self):
        status, text = self.in_mounts_of_its_own('mount -t tmpfs -o size=50m tmpfs "$1" && exec "$2/toolchain.sh" "$1"')
        self.assertEqual(status, 69, text)
        self.assertIn("needs 9000 MB of disk", text)
        self.assertIn("CROSS=", text)

    @unittest.skipUnless(shutil.which("mmdebstrap"), "mmdebstrap is not installed (scripts/setup-image.sh)")
    def test_no_network(self):
        # A mount with room, whatever the machine has.
        status, text = self.in_mounts_of_its_own(
            'mount -t tmpfs -o size=20g tmpfs "$1" && export http_proxy=http://127.0.0.1:1 https_proxy=http://127.0.0.1:1 && exec "$2/toolchain.sh" "$1"')
        self.assertEqual(status, 69, text)
        self.assertIn("could not be fetched", text)
        self.assertIn("is there a network?", text)

    def test_a_leftover_mount_is_never_deleted_through(self):
        os.makedirs(f"{self.folder}/other")
        with open(f"{self.folder}/other/precious", "w") as file:
            file.write("kept")
        status, text = self.in_mounts_of_its_own(
            'mkdir -p "$1/cross/toolchain/src" && mount --bind "$1/other" "$1/cross/toolchain/src" && mount -t tmpfs -o size=20g tmpfs /mnt &&'
            ' me=test && . "$2/common.sh" && remove "$1/cross/toolchain"')
        self.assertEqual(status, 73, text)
        self.assertIn("is still mounted", text)
        self.assertIn("umount", text)
        with open(f"{self.folder}/other/precious") as file:
            self.assertEqual(file.read(), "kept")


if __name__ == "__main__":
    unittest.main()
