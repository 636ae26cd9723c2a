#!/usr/bin/env python3
"""Tests scripts/check-unsafe.py on small sources, and that it sees every expression of the program."""

import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import textwrap
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SCRIPT = os.path.join(ROOT, "scripts", "check-unsafe.py")
sys.dont_write_bytecode = True
spec = importlib.util.spec_from_file_location("check_unsafe", SCRIPT)
check_unsafe = importlib.util.module_from_spec(spec)
spec.loader.exec_module(check_unsafe)


def lines(source):
    return [number for number, _ in check_unsafe.problems(textwrap.dedent(source))]


class Expressions(unittest.TestCase):
    def test_needs_a_comment(self):
        self.assertEqual(lines("""\
            func read() {
                let file = unsafe open(path, 0)
            }
            """), [2])

    def test_a_comment_above_in_the_body_or_on_the_line_counts(self):
        self.assertEqual(lines("""\
            func above() {
                // Memory: the path is borrowed for the call.
                let file = unsafe open(path, 0)
                if file < 0 {
                    unsafe again()
                }
            }
            func onTheLine() {
                unsafe close(file)  // Memory: nothing is passed.
            }
            """), [])

    def test_a_comment_below_or_of_another_function_does_not_count(self):
        self.assertEqual(lines("""\
            struct Reader {
                func first() {
                    // Memory: the path is borrowed for the call.
                    unsafe open(path, 0)
                }

                func second() {
                    unsafe open(path, 0)
                    // Memory: too late.
                }
            }
            """), [8])

    def test_the_documentation_of_the_function_counts(self):
        self.assertEqual(lines("""\
            extension Reader {
                /// Reads.
                ///
                /// Memory: the caller owns the bytes until the return.
                @inline(__always)
                private func read(
                    _ bytes: UnsafeRawPointer, _ count: Int
                ) throws(ReadError) -> Int {
                    guard count > 0 else {
                        return unsafe bytes.load(as: Int.self)
                    }
                    func nested() -> Int { unsafe bytes.load(as: Int.self) }
                    return nested()
                }

                /// Memory: the handle is closed here.
                deinit { unsafe close(handle) }

                var text: String { unsafe String(cString: name) }
            }
            """), [19])

    def test_the_documentation_of_an_enclosing_type_counts(self):
        self.assertEqual(lines("""\
            /// A file.
            ///
            /// Memory: `handle` is opened in `init` and closed in `deinit`.
            @safe public final class File: @unchecked Sendable {
                private let handle: OpaquePointer
                enum Kind {
                    static func find() { unsafe find() }
                }
                deinit { unsafe close(handle) }
            }
            struct Other {
                func find() { unsafe find() }
            }
            """), [12])

    def test_a_comment_with_a_gap_before_the_type_is_none_of_it(self):
        self.assertEqual(lines("""\
            // Memory: of something else.

            struct Other {
                func find() { unsafe find() }
            }
            """), [4])

    def test_comments_and_texts_are_no_code_but_interpolations_are(self):
        self.assertEqual(lines('''\
            func find() {
                // It is unsafe.
                /* unsafe /* unsafe */ unsafe */
                print("unsafe \\\\", #"unsafe " unsafe"#, .unsafe)
                print("""
            unsafe "text"
                    unsafe \\(unsafe name())
                """)
                print("an \\(f(")") + unsafe name()) unsafe")
            }
            nonisolated(unsafe) var count = 0
            '''), [7, 9])

    def test_conditions_and_continued_lines_end_no_scope(self):
        self.assertEqual(lines("""\
            struct Reader {
                // Memory: the path is borrowed for the call.
                func read()
                    -> Int
                {
            #if os(Linux)
                    guard isThere
                    else {
                        return unsafe open(path, 0)
                    }
            #endif
                    return try {
                        0
                    } as Int ?? unsafe open(path, 0)
                }
            }
            """), [])

    def test_a_string_without_an_end_is_told(self):
        with self.assertRaises(ValueError):
            lines('let text = "begun\n')


class StoredPointers(unittest.TestCase):
    def test_need_a_comment_on_their_type(self):
        self.assertEqual(lines("""\
            struct Slice {
                /// Memory: too little, as the type is what is passed on.
                private let base: UnsafeRawPointer
                var end: UnsafeMutablePointer<Int>? = nil
                var handle: OpaquePointer? {
                    didSet { count += 1 }
                }
                var first: UnsafePointer<Int> { make() }
                let name: String
                enum Kind {
                    case pointer(UnsafeRawBufferPointer)
                    case none
                }
                func find() {
                    let local: UnsafeRawPointer
                }
            }
            """), [3, 4, 5, 11])

    def test_have_a_comment_on_their_type(self):
        self.assertEqual(lines("""\
            /// Memory: the caller owns the base, and this value does not outlive the call.
            struct Slice {
                private let base: UnsafeRawPointer
            }
            """), [])


class Program(unittest.TestCase):
    def test_exit_status(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "A.swift")
            with open(path, "w", encoding="utf8") as file:
                file.write("func a() {\n    unsafe b()\n}\n")
            result = subprocess.run([sys.executable, SCRIPT, folder], capture_output=True, text=True, check=False)
            self.assertEqual(result.returncode, 1)
            self.assertIn(f"{path}:2: ", result.stdout)
            with open(path, "w", encoding="utf8") as file:
                file.write("// Memory: none.\nfunc a() {\n    unsafe b()\n}\n")
            self.assertEqual(subprocess.run([sys.executable, SCRIPT, folder], check=False).returncode, 0)

    def test_sees_every_expression_of_the_program(self):
        """Without its comments, each line of Sources with an `unsafe` must be reported."""
        seen = 0
        for path in check_unsafe.files([os.path.join(ROOT, "Sources")]):
            with open(path, encoding="utf8") as file:
                text = file.read()
            reported = set(lines(text.replace("Memory:", "")))
            for number, line in enumerate(text.split("\n"), 1):
                line = re.sub(r"nonisolated\(unsafe\)", "", line)
                if re.search(r"(?:^|[\s(])unsafe [\w(\"\[$]", line) and "//" not in line:
                    self.assertIn(number, reported, path)
                    seen += 1
        self.assertGreater(seen, 500)


if __name__ == "__main__":
    unittest.main()
