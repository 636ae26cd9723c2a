#!/usr/bin/env python3
"""Tests the choice of groups in .ci/groups.py: by example for the rules, in temporary repositories for the changed paths."""

import fnmatch
import os
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(ROOT, ".ci"))
import groups  # noqa: E402
from groups import Group, Step, choose, requested  # noqa: E402

EXAMPLE = (
    Group("slow", 30, ("a/*", "*/shared.c"), ((Step("make slow"),),)),
    Group("quick", 5, ("b/*", "a/inner/*"), ((Step("make quick"),),)),
    Group("middle", 10, ("c.txt", "a/*"), ((Step("make middle"),),)),
)


def names(chosen):
    return [(group.name, is_required) for group, is_required, _ in chosen]


class Choice(unittest.TestCase):
    def test_each_group_has_its_turn(self):
        turns = [choose(count, [], EXAMPLE) for count in range(126, 132)]
        self.assertEqual([names(turn) for turn in turns], [[(name, True)] for name in ("slow", "quick", "middle") * 2])
        self.assertEqual(turns[0][0][2], "its turn at commit 126")

    def test_changed_groups_follow_the_turn_shortest_first(self):
        self.assertEqual(names(choose(2, ["a/inner/x"], EXAMPLE)), [("middle", True), ("quick", False), ("slow", False)])
        self.assertEqual(names(choose(0, ["a/x"], EXAMPLE)), [("slow", True), ("middle", False)])

    def test_patterns(self):
        for path, expected in (("c.txt", ["middle"]), ("c.txt.bak", []), ("d/e/shared.c", ["slow"]), ("shared.c", []), ("b", []), ("README.md", [])):
            chosen = choose(1, [path], EXAMPLE)
            self.assertEqual([name for name, _ in names(chosen)][1:], expected, path)

    def test_the_reason_names_a_changed_path(self):
        self.assertEqual(choose(1, ["z", "a/2", "a/1"], EXAMPLE)[1][2], "changed: a/1")

    def test_requested_groups(self):
        self.assertEqual(names(requested("middle slow", EXAMPLE)), [("middle", True), ("slow", True)])
        self.assertEqual(len(requested("all", EXAMPLE)), 3)
        self.assertEqual(requested("none", EXAMPLE), [])
        with self.assertRaises(SystemExit):
            requested("slow other", EXAMPLE)


class Table(unittest.TestCase):
    """The project's own groups."""

    def chosen_for(self, path):
        # Without the turn: each group that the path selects.
        return {group.name for count in range(len(groups.GROUPS)) for group, _, _ in choose(count, [path])[1:]}

    def test_examples(self):
        for path, expected in (
            ("README.md", set()),
            ("Sources/EdgeAggregator/API/Version.swift", set()),
            ("Sources/EdgeAggregator/Reception/StreamSession.swift", {"threads", "addresses"}),
            ("Sources/EdgeAggregator/Reception/SoundCards/X.swift", {"threads", "addresses", "hardware"}),
            ("Sources/Sensors/Drivers/X.swift", {"arm64", "hardware"}),
            ("Sources/Store/Schema/Schema.swift", {"appliance"}),
            ("image/card/build.sh", {"arm64", "appliance"}),
            ("Tests/Oracle/seeds.txt", {"threads", "addresses"}),
            ("Tests/IntegrationTests/Nodes/NodeKillTests.swift", {"faults"}),
        ):
            self.assertEqual(self.chosen_for(path), expected, path)

    def test_each_pattern_matches_a_file(self):
        files = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True,
                               stdout=subprocess.PIPE, text=True).stdout.splitlines()
        for group in groups.GROUPS:
            for pattern in group.paths:
                self.assertTrue(fnmatch.filter(files, pattern), f"{group.name}: no file matches {pattern}; did the folder move?")

    def test_each_step_is_a_make_target(self):
        with open(os.path.join(ROOT, "Makefile")) as file:
            targets = {line.split(":")[0] for line in file if ":" in line and not line[0].isspace()}
        for group in groups.GROUPS:
            for lane in group.lanes:
                for step in lane:
                    words = step.command.split()
                    self.assertEqual(words[0], "make")
                    self.assertIn(words[1], targets)
                    self.assertFalse(set(step.command) & set("'\"\\$"), "steps are split at spaces, without quoting")


class Base(unittest.TestCase):
    """Which commit HEAD is compared with."""

    HOUR = 3600
    START = 1_800_000_000

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(folder.name)
        self.git("init", "-q", "-b", "main")

    def git(self, *arguments, seconds=START):
        date = f"@{seconds} +0000"
        environment = dict(
            os.environ, GIT_AUTHOR_DATE=date, GIT_COMMITTER_DATE=date, GIT_AUTHOR_NAME="a", GIT_AUTHOR_EMAIL="a@example.org",
            GIT_COMMITTER_NAME="a", GIT_COMMITTER_EMAIL="a@example.org")
        return subprocess.run(["git", *arguments], check=True, env=environment, stdout=subprocess.PIPE, text=True).stdout.strip()

    def commit(self, name, hours):
        with open(name, "a") as file:
            file.write(f"{hours}\n")
        self.git("add", name)
        self.git("commit", "-q", "-m", name, seconds=self.START + int(hours * self.HOUR))
        return self.git("rev-parse", "HEAD")

    def changed(self, environment=None):
        return sorted(path for path in groups.changed_paths(groups.base(environment or {})[0]) if path)

    def test_a_clone_of_main_looks_back_from_the_time_of_its_newest_commit(self):
        self.commit("old", 0)
        landed = self.commit("landed", 10)
        self.commit("first", 16.5)
        self.commit("second", 20)
        self.assertEqual(groups.base({})[0], landed)
        self.assertEqual(self.changed(), ["first", "second"])
        self.assertEqual(self.changed({"CI_LOOK_BACK": "1"}), ["second"])
        self.assertEqual(self.changed({"CI_LOOK_BACK": "15"}), ["first", "landed", "second"])

    def test_all_paths_count_in_a_young_or_shallow_history(self):
        self.commit("first", 0)
        self.commit("second", 1)
        self.assertIsNone(groups.base({})[0])
        self.assertEqual(self.changed(), ["first", "second"])

    def test_merged_branches_count_when_they_are_merged(self):
        self.commit("old", 0)
        self.git("checkout", "-q", "-b", "side")
        self.commit("early", 1)
        self.git("checkout", "-q", "main")
        self.commit("landed", 2)
        self.git("merge", "-q", "--no-ff", "-m", "merge", "side", seconds=self.START + 20 * self.HOUR)
        self.assertEqual(self.changed(), ["early"])

    def test_origin_main_is_the_base_of_a_branch(self):
        self.commit("old", 0)
        landed = self.commit("landed", 1)
        self.git("update-ref", "refs/remotes/origin/main", landed)
        self.commit("mine", 2)
        self.assertEqual(groups.base({})[0], landed)
        self.assertEqual(self.changed(), ["mine"])

    def test_ci_base_is_used_first(self):
        first = self.commit("first", 0)
        self.commit("second", 1)
        self.git("update-ref", "refs/remotes/origin/main", "HEAD")
        self.commit("third", 2)
        self.assertEqual(self.changed({"CI_BASE": first}), ["second", "third"])
        with self.assertRaises(SystemExit):
            groups.base({"CI_BASE": "no-such-commit"})

    def test_removed_and_renamed_files_count(self):
        self.commit("kept", 0)
        self.commit("gone", 0)
        self.git("mv", "kept", "moved", seconds=self.START)
        self.git("rm", "-q", "gone")
        self.git("commit", "-q", "-m", "change", seconds=self.START + 20 * self.HOUR)
        self.assertEqual(self.changed(), ["gone", "kept", "moved"])


if __name__ == "__main__":
    unittest.main()
