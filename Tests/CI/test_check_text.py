#!/usr/bin/env python3
"""Tests scripts/check-text.py on small sources."""

import importlib.util
import os
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SCRIPT = os.path.join(ROOT, "scripts", "check-text.py")
sys.dont_write_bytecode = True
spec = importlib.util.spec_from_file_location("check_text", SCRIPT)
check_text = importlib.util.module_from_spec(spec)
spec.loader.exec_module(check_text)

REJECTED = r'''
text.split(separator: "\n")
text.split(separator: ",", maxSplits: 1, omittingEmptySubsequences: false)
text?.split(whereSeparator: \.isWhitespace)
text.split(whereSeparator: { $0 == ":" || $0 == " " })
text.split { $0 == " " }
text.split(
text.components(separatedBy: ",")
field.contains { $0 == "," || $0.isNewline }
line.firstIndex(of: ":")
line.lastIndex(of: "_")
text.range(of: "\r\n\r\n")
text.firstRange(of: "://")
text.firstRange(of: "<\(name)>")
name.contains("/")
text.contains("\n")
text.replacing("<", with: "&lt;")
text.replacing(secret, with: "")
text.replacingOccurrences(of: "a", with: "b")
rest.drop { $0 == " " }
text.prefix { $0 != "\0" && $0 != "\n" }
text.contains(where: { $0 == "\r\n" })
text.filter { !$0.isNumber || $0 == "T" }
text.last == "\n"
words[1].first == "/"
text.first != "\u{FEFF}"
text.hasSuffix("\r\n")
'''
ACCEPTED = r'''
text.utf8.split(separator: UInt8(ascii: "\n"))
bytes.split(separator: 0x0A, omittingEmptySubsequences: false)
line.split(separator: UInt8(ascii: ":"), maxSplits: 6)
answer.split { $0 == 0x20 || $0 == 0x0D }
text.unicodeScalars.split(separator: ",")
CO2Lines.split(bytes[...], isEnd: true) { print($0) }
text.utf8.firstIndex(of: UInt8(ascii: ":"))
text.unicodeScalars.first == "\u{FEFF}"
scalars.popFirst() == "\"" as Unicode.Scalar
text.parts(at: ",").first
bytes.contains(0x0A)
names.contains(name)
names.contains { $0 == "conf-patch" }
bytes.prefix { $0 != 0 }
parts.last == "data"
names.first(where: { $0.count == 3 })
path.hasPrefix("/")
path.hasSuffix(".json")
values.replacing(
// text.split(separator: "\n")
let a = 1  // text.split(separator: "\n")
text.contains("\n")  // Characters: the text is ours.
'''


def lines(source):
    return [number for number, _ in check_text.problems(source)]


class Text(unittest.TestCase):
    def test_searches_by_character_are_rejected(self):
        for line in REJECTED.strip().split("\n"):
            self.assertEqual(lines(line), [1], line)

    def test_bytes_scalars_and_others_are_accepted(self):
        for line in ACCEPTED.strip().split("\n"):
            self.assertEqual(lines(line), [], line)

    def test_a_reason_above_counts_and_a_call_on_the_next_line_is_seen(self):
        self.assertEqual(lines('// Characters: for people.\nlet a = text.contains("\\n")\nlet b = text\n    .contains("/")\n'), [4])
        self.assertEqual(lines('let b = text.utf8\n    .first == "/"\n'), [])

    def test_exit_status(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "A.swift")
            for text, status in (('let a = b.split(separator: ",")\n', 1), ('let a = b.parts(at: ",")\n', 0)):
                with open(path, "w", encoding="utf8") as file:
                    file.write(text)
                found = subprocess.run([sys.executable, SCRIPT, folder], capture_output=True, text=True, check=False)
                self.assertEqual(found.returncode, status)
                self.assertEqual(f"{path}:1: " in found.stdout, status == 1)


if __name__ == "__main__":
    unittest.main()
