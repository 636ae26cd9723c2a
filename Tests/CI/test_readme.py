#!/usr/bin/env python3
"""Tests how Tests/README/run.py reads README.md, and that each block of it is tagged."""

import importlib.util
import os
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SPEC = importlib.util.spec_from_file_location("readme", f"{ROOT}/Tests/README/run.py")
readme = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(readme)

PAGE = """
```sh daemon
make run   # starts
```
```text
not a command
```
```sh
# only a comment
one --with \\
two
```
```sh builds
make test
```
```sh on-the-pi
sudo reboot
```
"""


class Commands(unittest.TestCase):
    def test_lines_in_order_with_what_is_left_out(self):
        run, left_out = readme.commands(PAGE, compiles=False)
        self.assertEqual(run, [("daemon", "make run   # starts"), ("command", "one --with two")])
        self.assertEqual(left_out, [("make test", "it compiles"), ("sudo reboot", "it needs a Raspberry Pi")])
        self.assertIn(("command", "make test"), readme.commands(PAGE, compiles=True)[0])

    def test_a_block_without_a_known_tag_is_rejected(self):
        for tag in ("", "bash", "sh perhaps"):
            with self.assertRaises(readme.Failure):
                readme.commands(f"```{tag}\nmake run\n```\n", compiles=True)

    def test_a_line_that_leans_on_the_shell_before_it_is_rejected(self):
        with self.assertRaises(readme.Failure):
            readme.commands("```sh\ncd elsewhere\n```\n", compiles=True)

    def test_targets_that_do_not_exist_are_found(self):
        self.assertEqual(readme.missing_targets("`make run`, `make moon ARCH=arm64`", "run: build\n"), ["moon"])

    def test_the_places_of_every_command_are_compared(self):
        said = [("status", "settings: /x/settings.yaml, data: /x/var (base_dir: …)\n")]
        readme.check_places(said, "/x")
        with self.assertRaises(readme.Failure):
            readme.check_places([*said, ("doctor", "settings: /x/settings.yaml, data: /data (base_dir: default)\n")], "/x")

    def test_the_page_itself(self):
        with open(f"{ROOT}/README.md") as file:
            run, _ = readme.commands(file.read(), compiles=False)
        self.assertEqual([kind for kind, _ in run].count("daemon"), 1)


if __name__ == "__main__":
    unittest.main()
