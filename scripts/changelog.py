#!/usr/bin/env python3
"""changelog.py VERSION: prints what CHANGELOG.md says of a version: from its heading ("## 0.1.0", "## [0.1.0] - 2026-12-01") to the next."""

import os
import re
import sys

PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../CHANGELOG.md")


def extract(text, version):
    lines = text.split("\n")
    heading = re.compile(rf"## (\[{re.escape(version)}\]|{re.escape(version)})([ (].*)?")
    start = next((index for index, line in enumerate(lines) if heading.fullmatch(line.rstrip())), None)
    if start is None:
        return None
    # The links of the headings stand at the end of the file.
    end = next((index for index in range(start + 1, len(lines)) if re.match(r"## |\[[^]]+\]: ", lines[index])), len(lines))
    return "\n".join(lines[start:end]).strip() + "\n"


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    with open(PATH) as file:
        text = extract(file.read(), sys.argv[1])
    if text is None:
        sys.exit(f"changelog: CHANGELOG.md has no heading \"## {sys.argv[1]}\"; write what is new in this version")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
