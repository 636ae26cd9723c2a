#!/usr/bin/env python3
"""Tests that what Package.swift sets for all targets reaches each of them, also those that are added later."""

import json
import os
import subprocess
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def targets(**environment):
    """Targets with Swift code of the program, by name."""
    text = subprocess.run(("swift", "package", "dump-package"), cwd=ROOT, env={**os.environ, **environment}, check=True,
                          stdout=subprocess.PIPE).stdout
    found = {target["name"]: target for target in json.loads(text)["targets"]}
    folders = {name for name in os.listdir(f"{ROOT}/Sources") if name != "System"}
    return {name: found[name] for name in folders}


def settings(target):
    return {name: value for setting in target["settings"] for name, value in setting["kind"].items()}


class Targets(unittest.TestCase):
    def test_every_target_is_compiled_with_strict_memory_safety(self):
        for name, target in targets().items():
            self.assertIn("strictMemorySafety", settings(target), name)

    def test_the_thread_sanitizer_sees_the_mutexes_of_every_target(self):
        for name, target in targets(EDGE_THREAD_SANITIZER="1").items():
            self.assertIn("SanitizerMutex", [part[0] for kind in target["dependencies"] for part in kind.values()], name)
            self.assertEqual(settings(target)["define"]["_0"], "EDGE_THREAD_SANITIZER", name)

    def test_kernels_and_c_code_are_optimized_in_debug_builds(self):
        text = subprocess.run(("swift", "package", "dump-package"), cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
        found = [target for target in json.loads(text)["targets"] if target["type"] == "regular"]
        wanted = {target["name"]: "-O2" for target in found if (target.get("path") or "").startswith("Sources/System/")} | {"AudioDSP": "-O"}
        self.assertGreater(len(wanted), 3)
        for target in found:
            if target["name"] in wanted:
                flags = [setting["kind"]["unsafeFlags"]["_0"] for setting in target["settings"]
                         if "unsafeFlags" in setting["kind"] and (setting.get("condition") or {}).get("config") == "debug"]
                self.assertIn(wanted[target["name"]], sum(flags, []), target["name"])

    def test_other_builds_take_the_standard_mutex(self):
        for name, target in targets(EDGE_THREAD_SANITIZER="").items():
            self.assertNotIn("define", settings(target), name)


if __name__ == "__main__":
    unittest.main()
