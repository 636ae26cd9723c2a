#!/usr/bin/env python3
"""Checks that each `unsafe` expression says who owns the memory, and until when.

A comment with `Memory:` counts when it is
- in the documentation comment of an enclosing type, or
- in the documentation comment or the body of the enclosing function, initializer or property, above the expression or on its line.

A stored property of a pointer type needs such a comment on its type. `nonisolated(unsafe)` is about threads, not about memory.

Scopes are found by indentation, which swift-format enforces.

Usage: check-unsafe.py [folder or file]...   (default: Sources)
"""

import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from swift_files import files  # noqa: E402

NOTE = "Memory:"
TOKEN = re.compile(r"(?<![.\w`])unsafe(?![\w`:])")
THREADS = re.compile(r"nonisolated\(unsafe\)")
MODIFIERS = r"(?:(?:@\w+(?:\([^)]*\))?|[a-z]\w*(?:\(\w+\))?)\s+)*"
TYPE = re.compile(rf"^{MODIFIERS}(?:class|struct|enum|actor|extension|protocol)\s+(?!func\b|var\b|let\b|subscript\b)\w")
PROPERTY = re.compile(rf"^{MODIFIERS}(?:let|var)\s+\w+\s*:\s*(?P<type>[^={{]*)(?P<rest>.*)$")
CASE = re.compile(r"^(?:indirect\s+)?case\s+(?P<type>\w+\(.*)$")
POINTER = re.compile(r"\b(?:Unsafe(?:Mutable)?(?:Raw)?(?:Buffer)?Pointer|OpaquePointer|Unmanaged)\b")
CONDITION = re.compile(r"^\s*#(?:if|elseif|else|endif)\b")
# What cannot end a piece of code, of a comment and of a string.
PLAIN = {"code": re.compile(r'[^"/#()]+'), "comment": re.compile(r"[^*/]+"), "string": re.compile(r'[^"\\\n]+')}
STORED_BLOCK = re.compile(r"^\{\s*(?:didSet|willSet)\b")


def split(text):
    """Separates code from comments.

    Returns two lists with one text a line: code with strings and comments blanked out, and comments. A third list tells which lines
    begin inside a string or a block comment, so that their indentation means nothing.
    """
    code, comments, inside = [""], [""], [False]
    # What surrounds the place: ("code", depth of parentheses), ("string", number of #, is it of many lines), ("comment", depth).
    stack = [("code", 0)]
    index = 0

    def put(piece, to):
        for part in re.split(r"(\n)", piece):
            if part == "\n":
                code.append("")
                comments.append("")
                inside.append(stack[-1][0] != "code" or len(stack) > 1)
            else:
                code[-1] += part if to == "code" else " " * len(part)
                if to == "comment":
                    comments[-1] += part

    while index < len(text):
        state = stack[-1]
        plain = PLAIN[state[0]].match(text, index)
        if plain:
            put(plain[0], state[0])
            index = plain.end()
            continue
        rest = text[index:index + 64]
        if state[0] == "code":
            opening = re.match(r'(#*)("""|")', rest)
            if rest.startswith("//"):
                end = text.find("\n", index)
                end = len(text) if end < 0 else end
                put(text[index:end], "comment")
                index = end
            elif rest.startswith("/*"):
                stack.append(("comment", 1))
                put("/*", "comment")
                index += 2
            elif opening:
                stack.append(("string", len(opening[1]), opening[2] == '"""'))
                put(opening[0], "string")
                index += len(opening[0])
            else:
                if len(stack) > 1 and rest[0] in "()":
                    depth = state[1] + (1 if rest[0] == "(" else -1)
                    stack.pop()
                    if depth > 0:
                        stack.append(("code", depth))
                put(rest[0], "code")
                index += 1
        elif state[0] == "comment":
            if rest.startswith("/*") or rest.startswith("*/"):
                depth = state[1] + (1 if rest[0] == "/" else -1)
                stack.pop()
                if depth > 0:
                    stack.append(("comment", depth))
                put(rest[:2], "comment")
                index += 2
            else:
                put(rest[0], "comment")
                index += 1
        else:
            hashes = "#" * state[1]
            closing = ('"""' if state[2] else '"') + hashes
            escape = "\\" + hashes
            if rest.startswith(closing):
                stack.pop()
                put(closing, "string")
                index += len(closing)
            elif rest.startswith(escape + "("):
                # An interpolation is code.
                stack.append(("code", 1))
                put(escape + "(", "string")
                index += len(escape) + 1
            elif rest.startswith(escape):
                piece = text[index:index + len(escape) + 1]
                put(piece, "string")
                index += len(piece)
            elif rest[0] == "\n" and not state[2]:
                raise ValueError(f"line {len(code)}: a string without an end")
            else:
                put(rest[0], "string")
                index += 1
    return code, comments, inside


class Source:
    """The lines of one file and their scopes."""

    def __init__(self, text):
        self.code, self.comments, inside = split(text)
        # Only lines that begin a piece of code have an indentation that means something.
        self.indents = [
            None if isInside or not line.strip() or CONDITION.match(line) else len(line) - len(line.lstrip())
            for line, isInside in zip(self.code, inside)
        ]

    def start(self, number):
        """Where the statement or declaration begins of which a line such as `) throws {` or `} else {` is a part."""
        while re.match(r"[)\]}>]|else\b|where\b|->|\{", self.code[number].lstrip()):
            before = next((i for i in range(number - 1, -1, -1) if self.indents[i] == self.indents[number]), None)
            if before is None:
                return number
            number = before
        return number

    def scopes(self, number):
        """The lines that enclose a line, from the innermost to the outermost. The line's own statement is first."""
        while number > 0 and self.indents[number] is None:
            number -= 1
        if self.indents[number] is None:
            return []
        number = self.start(number)
        found = [number]
        level = self.indents[number]
        for other in range(number - 1, -1, -1):
            indent = self.indents[other]
            if indent is not None and indent < level:
                start = self.start(other)
                found.append(start)
                level = indent
                if level == 0:
                    break
        return found

    def is_type(self, number):
        return TYPE.match(self.code[number].strip()) is not None

    def documentation(self, number):
        """The comments on the lines directly above a declaration, attributes between them allowed."""
        text = self.comments[number]
        for other in range(number - 1, -1, -1):
            line = self.code[other].strip()
            if self.comments[other] and not line or line.startswith("@") and self.indents[other] == self.indents[number]:
                text += self.comments[other]
            else:
                break
        return text

    def is_explained(self, number):
        scopes = self.scopes(number)
        types = [place for place in scopes if self.is_type(place)]
        if any(NOTE in self.documentation(place) for place in types):
            return True
        # The outermost declaration that is no type: a function with all that is nested in it.
        member = None
        for place in scopes:
            if self.is_type(place):
                break
            member = place
        if member is None:
            return NOTE in self.comments[number]
        return NOTE in self.documentation(member) or any(NOTE in text for text in self.comments[member:number + 1])

    def stored_pointer(self, number):
        """Whether a line declares a stored property, or a case with a value, of a pointer type."""
        line = self.code[number].strip()
        scopes = self.scopes(number)
        if self.indents[number] is None or scopes[0] != number:
            return False
        if len(scopes) > 1 and not self.is_type(scopes[1]):
            return False
        case = CASE.match(line)
        if case:
            return POINTER.search(case["type"]) is not None
        found = PROPERTY.match(line)
        if not found or POINTER.search(found["type"]) is None:
            return False
        rest = found["rest"].strip()
        if not rest.startswith("{"):
            return True
        following = self.code[number + 1].strip() if number + 1 < len(self.code) else ""
        return STORED_BLOCK.match(f"{rest} {following}") is not None

    def type_is_explained(self, number):
        types = [place for place in self.scopes(number)[1:] if self.is_type(place)]
        return any(NOTE in self.documentation(place) for place in types)


def problems(text):
    """The line numbers, from 1, that lack an explanation, each with what is wrong."""
    source = Source(text)
    for number, line in enumerate(source.code):
        if TOKEN.search(THREADS.sub("", line)) and not source.is_explained(number):
            yield number + 1, f"`unsafe` without a comment `{NOTE}` that says who owns the memory, and until when"
        elif source.stored_pointer(number) and not source.type_is_explained(number):
            yield number + 1, f"a stored pointer in a type without `{NOTE}` in its documentation comment"


def main(paths):
    count = 0
    for path in files(paths):
        with open(path, encoding="utf8") as file:
            text = file.read()
        try:
            for number, problem in problems(text):
                print(f"{path}:{number}: {problem}")
                count += 1
        except ValueError as error:
            print(f"{path}: {error}")
            count += 1
    if count > 0:
        print(f"{count} places. State owner and lifetime, such as `// {NOTE} the path is borrowed for the call.`")
    return 1 if count > 0 else 0


if __name__ == "__main__":
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    sys.exit(main(sys.argv[1:] or [os.path.relpath(os.path.join(root, "Sources"))]))
