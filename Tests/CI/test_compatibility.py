#!/usr/bin/env python3
"""Tests that docs/compatibility.md names a test in each row, and only tests that exist; and that docs/migrating.md has its parts."""

import glob
import importlib.util
import os
import re
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def text(path):
    with open(f"{ROOT}/{path}") as file:
        return file.read()


def rows(page):
    """The cells of each row of its tables, without heads and headings in bold."""
    found = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("|")]
    return [cells for cells in found if not cells[0].startswith(("**", "---")) and cells[0] != "there"]


def functions(source):
    """Suite.function of each test of a file."""
    heads = re.finditer(r"^(?:@Suite(?:\([^\n]*\))?\s+)?(?:final )?(?:struct|class|extension) (\w+)", source, re.M)
    suites = [(found.start(), found[1]) for found in heads]
    names = set()
    for found in re.finditer(r"@Test\b[\s\S]*?\bfunc (\w+)", source):
        owners = [name for start, name in suites if start < found.start()]
        names.add(f"{owners[-1]}.{found[1]}" if owners else found[1])
    return names


class Compatibility(unittest.TestCase):
    def test_functions_are_found(self):
        source = ("@Suite(.serialized) struct AaaTests {\n    @Test func one() {}\n    @Test(arguments: [0, 1])\n    func two(n: Int) {}\n"
                  "    func helper() {}\n}\nstruct BbbTests {\n    @Test(arguments: [(\"(\", 1)]) func three() {}\n}\n")
        self.assertEqual(functions(source), {"AaaTests.one", "AaaTests.two", "BbbTests.three"})

    def test_each_row_names_tests_that_exist(self):
        known = set()
        for path in glob.glob(f"{ROOT}/Tests/**/*.swift", recursive=True):
            with open(path) as file:
                known |= functions(file.read())
        targets = set(re.findall(r"^([a-z][a-z-]*):", text("Makefile"), re.M))
        page = rows(text("docs/compatibility.md"))
        self.assertGreater(len(page), 60)
        for cells in page:
            self.assertEqual(len(cells), 3, cells)
            named = re.findall(r"`([^`]+)`", cells[2])
            self.assertTrue(named, f"no test is named for {cells[0]}")
            for name in named:
                with self.subTest(name):
                    self.assertTrue(name.removeprefix("make ") in targets if name.startswith("make ") else name in known,
                                    f"{name} does not exist; docs/compatibility.md names it")

    def test_decisions_name_tests_that_exist(self):
        sources = "".join(text(os.path.relpath(path, ROOT)) for path in glob.glob(f"{ROOT}/Tests/**/*.swift", recursive=True))
        for number in ("0040", "0041", "0042"):
            (path,) = glob.glob(f"{ROOT}/docs/decisions/{number}-*.md")
            for suite, function in re.findall(r"`(\w+Tests)(?:\.(\w+))?`", text(os.path.relpath(path, ROOT))):
                self.assertIn(f"struct {suite}", sources)
                self.assertIn(f"func {function}(" if function else suite, sources)


class Migrating(unittest.TestCase):
    def test_its_parts_sections_and_tags(self):
        spec = importlib.util.spec_from_file_location("migration", f"{ROOT}/Tests/Migration/run.py")
        migration = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(migration)
        for part, (run, _) in migration.parts(text("docs/migrating.md")).items():
            for section in ("What to copy", "How to verify", "How to go back"):
                self.assertTrue([line for name, line in run if name == section], f"{part}: no command in \"{section}\"")

    def test_links_lead_somewhere(self):
        for page in ("migrating.md", "compatibility.md"):
            for target in re.findall(r"\]\(([^)#]+)", text(f"docs/{page}")):
                if "://" not in target:
                    self.assertTrue(os.path.exists(f"{ROOT}/docs/{target}"), f"docs/{page}: {target}")


if __name__ == "__main__":
    unittest.main()
