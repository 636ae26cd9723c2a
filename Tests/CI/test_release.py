#!/usr/bin/env python3
"""Tests scripts/changelog.py and scripts/compare-release.py, and that every identifier of image/card/genimage.cfg is filled in."""

import importlib.util
import os
import re
import struct
import subprocess
import tempfile
import unittest

PROJECT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")


def module(name):
    spec = importlib.util.spec_from_file_location(name.replace("-", "_"), f"{PROJECT}/scripts/{name}.py")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


class ChangelogTests(unittest.TestCase):
    TEXT = "# Changelog\n\n## [Unreleased]\n\n- new\n\n## [1.10.0] - 2026-12-01\n\n- ten\n\n## 1.1.0\n\n- one\n\n[1.10.0]: https://localhost/\n"

    def test_sections(self):
        extract = module("changelog").extract
        self.assertEqual(extract(self.TEXT, "1.10.0"), "## [1.10.0] - 2026-12-01\n\n- ten\n")
        self.assertEqual(extract(self.TEXT, "1.1.0"), "## 1.1.0\n\n- one\n")
        # "1.1" is no version that is there, and a dot is a dot.
        for version in ("1.1", "1.10", "1x1.0"):
            self.assertIsNone(extract(self.TEXT, version))


class CompareTests(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        for name in ("a", "b"):
            os.mkdir(f"{self.folder.name}/{name}")

    def tearDown(self):
        self.folder.cleanup()

    def write(self, name, left, right):
        for folder, content in (("a", left), ("b", right)):
            if content is not None:
                with open(f"{self.folder.name}/{folder}/{name}", "wb") as file:
                    file.write(content)

    def compare(self):
        done = subprocess.run([f"{PROJECT}/scripts/compare-release.py", f"{self.folder.name}/a", f"{self.folder.name}/b"],
                              capture_output=True, text=True)
        return done.returncode, done.stdout

    @staticmethod
    def bundle(content, behind):
        """Squashfs has its magic number at 0 and the number of bytes used at 40, and is filled up to 4 KiB."""
        head = b"hsqs" + bytes(36) + struct.pack("<Q", 96 + len(content)) + bytes(48)
        return (head + content).ljust(4096, b"\0") + behind

    def test_files(self):
        self.write("x.deb", b"same", b"same")
        self.assertEqual(self.compare(), (0, "x.deb: identical\n"))
        self.write("y.img", b"0123", b"012345")
        self.write("z.deb", b"only", None)
        code, text = self.compare()
        self.assertEqual(code, 1)
        self.assertIn("y.img: DIFFERENT from byte 4 on", text)
        self.assertIn("z.deb: ONLY in", text)

    def test_bundles(self):
        self.write("u.raucb", self.bundle(b"system", b"salt 1"), self.bundle(b"system", b"salt 2"))
        self.assertEqual(self.compare(), (0, "u.raucb: identical but for the 6 bytes of hash tree and signature behind its file system\n"))
        self.write("u.raucb", self.bundle(b"system", b"salt"), self.bundle(b"sYstem", b"salt"))
        self.assertEqual(self.compare(), (1, "u.raucb: its file system is DIFFERENT from byte 97 on\n"))


class CardTests(unittest.TestCase):
    def test_identifiers(self):
        with open(f"{PROJECT}/image/card/genimage.cfg") as file:
            text = file.read()
        # One for the disk and for each partition: what has none gets a random one.
        partitions = re.findall(r"\tpartition (\w+) \{", text)
        self.assertEqual(re.findall(r'\tpartition-uuid = "@(\w+)@"', text), partitions)
        self.assertIn('disk-uuid = "@DISK@"', text)
        with open(f"{PROJECT}/image/card/build.sh") as file:
            self.assertIn(f"for partition in {' '.join(partitions)}; do", file.read())


if __name__ == "__main__":
    unittest.main()
