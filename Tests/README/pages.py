"""Finds the commands in the fenced blocks of a documentation page. Tests run them as they are written."""

import re


class Failure(Exception):
    pass


def blocks(text):
    """(tag, lines) of each fenced block. A line that ends with a backslash goes on in the next one."""
    found = re.findall(r"^```([^\n]*)\n(.*?)^```$", text, re.M | re.S)
    return [(tag.strip(), [line for line in body.replace("\\\n", "").splitlines() if line.strip() and not line.startswith("#")])
            for tag, body in found]


def commands(text, page, kinds, left_out):
    """((kind, command) to run, (command, reason) left out), each in the order of the page.

    kinds: tag -> kind of its commands. left_out: tag -> reason why its commands do not run. Blocks tagged `text` have no commands.
    """
    run, skipped = [], []
    for tag, lines in blocks(text):
        if tag == "text":
            continue
        if tag not in kinds and tag not in left_out:
            known = ", ".join(f"`{known}`" for known in ("text", *kinds, *left_out))
            raise Failure(f"{page}: a block is tagged `{tag}`; known tags are {known}")
        for line in lines:
            if re.match(r"(cd|export|source|\.)\s", line):
                raise Failure(f"{page}: `{line}`: each line runs in a shell of its own")
            if tag in left_out:
                skipped.append((line, left_out[tag]))
            else:
                run.append((kinds[tag], line))
    return run, skipped


def missing_targets(text, makefile):
    """Targets of `make` that the page names and the Makefile does not have."""
    named = set(re.findall(r"\bmake ([a-z][a-z-]*)\b", " ".join(re.findall(r"`([^`\n]+)`", text))))
    return sorted(named - set(re.findall(r"^([a-z][a-z-]*):", makefile, re.M)))
