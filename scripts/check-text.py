#!/usr/bin/env python3
"""Rejects searches of text by Swift's Character, in the sources of the program.

    check-text.py [PATH ...]

A Character is a grapheme cluster: "\\r\\n" is one, and so is a comma with a combining mark after it. A search for the Character "\\n" or
"," misses both, so a file with line ends of Windows is one line, and a peer can hide a separator or a quote. Sources/TextParts has what
to use instead; where it cannot be imported, search `utf8` or `unicodeScalars`. A check of a single Character that is meant so has
`// Characters:` with the reason on its line or on the line above.
"""

import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from swift_files import files  # noqa: E402

NOTE = "Characters:"
ONE = r'"(?:[^"\\\n]|\\[^(u]|\\u\{[0-9A-Fa-f]+\}|\\r\\n)"'
TEXT = r'"(?:[^"\\]|\\.)*"'
# Bytes and scalars may be searched.
VIEW = r"(?<!utf8)(?<!unicodeScalars)(?<!utf8\?)(?<!unicodeScalars\?)"
HELP = {
    "split": "use `parts(at:)`, `lines()` or `words()`",
    "index": "use `halves(at:)`, `halves(atLast:)` or `before(_:)`",
    "contains": "use `holds(_:)`",
    "replace": "use `replacingText(_:with:)`",
    "closure": "search `utf8` or `unicodeScalars`",
    "end": "compare `utf8` or `unicodeScalars`",
}
RULES = [
    # Bytes are split at `UInt8(ascii:)` or a number, and `CO2Lines.split` is a function of the program.
    (re.compile(rf'(?:(?<![\w.)\]"])|{VIEW})(?<!CO2Lines)\.split(?: \{{(?! \$0 [!=]= 0x)|\((?!separator: (?:UInt8\(|0x)))'), "split"),
    (re.compile(r"\.components\(separatedBy|\.enumerateLines|\.isNewline\b"), "split"),
    (re.compile(rf"{VIEW}\.(?:first|last)Index\(of: {TEXT}\)"), "index"),
    (re.compile(rf"{VIEW}\.(?:firstRange|range|ranges)\(of: {TEXT}"), "index"),
    (re.compile(rf"{VIEW}\.contains\({TEXT}\)"), "contains"),
    (re.compile(r"\.replacingOccurrences|\.replacing\([^)\s]"), "replace"),
    (re.compile(rf"{VIEW}\.(?:prefix|suffix|drop|dropFirst|filter|contains|allSatisfy|first|last|firstIndex|lastIndex|trimming|map)"
                rf"(?:\((?:where|while): ?\{{|\(\{{| \{{)[^{{}}]*\$0 ?[!=]= ?{ONE}"), "closure"),
    (re.compile(rf"{VIEW}\.(?:first|last|popFirst\(\)|popLast\(\)) [!=]= {ONE}(?! as Unicode)"), "end"),
    (re.compile(r'\.has(?:Suffix|Prefix)\("(?:[^"\\]|\\.)*\\[nr]'), "end"),
]
COMMENT = re.compile(r"^\s*//")


def problems(text):
    """The line numbers, from 1, that search by Character, each with what to use."""
    lines = text.split("\n")
    for number, line in enumerate(lines):
        if COMMENT.match(line) or NOTE in line or number > 0 and COMMENT.match(lines[number - 1]) and NOTE in lines[number - 1]:
            continue
        code = re.sub(r"\s//.*$", "", line)
        # A call at the beginning of a line belongs to the line before.
        if code.lstrip().startswith(".") and number > 0:
            code = lines[number - 1].rstrip() + code.lstrip()
            start = len(lines[number - 1].rstrip())
        else:
            start = 0
        for pattern, kind in RULES:
            if any(found.start() >= start for found in pattern.finditer(code)):
                yield number + 1, HELP[kind]
                break


def main(paths):
    count = 0
    for path in files(paths):
        with open(path, encoding="utf8") as file:
            text = file.read()
        for number, problem in problems(text):
            print(f"{path}:{number}: searches by Character: {problem}")
            count += 1
    return 1 if count > 0 else 0


if __name__ == "__main__":
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    sys.exit(main(sys.argv[1:] or [os.path.relpath(os.path.join(root, "Sources"))]))
