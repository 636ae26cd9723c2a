#!/usr/bin/env python3
"""Tests .ci/run, scripts/ci-test.sh and scripts/test-sanitized.sh with stand-ins for the commands that they run."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GATE = ["scripts/setup.sh", "make lint", "make build", "scripts/ci-test.sh", "make test-readme",
        "make test-appliance PARTS=first_start", "make test-power CUTS=10",
        "make test-sanitized SANITIZER=address SEEDS=fixed MINUTES=1 SUITES=none"]
# Notes its arguments in `calls`; fails as often as the file `fail-NAME` says; runs the file `do-NAME`.
STAND_IN = """#!/bin/bash
echo "$name $*" >>"$CALLS/calls"
key=$(echo "$name $*" | tr -c 'a-zA-Z0-9\\n' '-')
[ ! -f "$CALLS/do-$key" ] || . "$CALLS/do-$key"
count=$(cat "$CALLS/fail-$key" 2>/dev/null || echo 0)
[ "$count" -gt 0 ] || exit 0
echo $((count - 1)) >"$CALLS/fail-$key"
echo "$name does not work"
exit 3
"""
# Groups of the stand-in project; `choose` prints the file `chosen`.
GROUPS = """import os, sys
if sys.argv[1] == "choose":
    print(open(os.environ["CALLS"] + "/chosen").read(), end="")
elif sys.argv[2] == "pair":
    print("0 2 make emulated\\n1 1 make first\\n1 1 make second")
else:
    print("0 1 make " + sys.argv[2])
"""


class Project(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.calls_folder = f"{self.folder}/calls"
        os.makedirs(f"{self.folder}/bin")
        os.mkdir(self.calls_folder)
        self.environment = {name: value for name, value in os.environ.items()
                            if not re.match(r"CI_|EDGE_|FUZZ_|MAKE|BUILD$|SANITIZER|SEEDS|MINUTES|SUITES|.SAN_OPTIONS", name)}
        self.environment |= {"PATH": f"{self.folder}/bin:{os.environ['PATH']}", "CALLS": self.calls_folder}

    def copy(self, path):
        os.makedirs(os.path.dirname(f"{self.folder}/{path}"), exist_ok=True)
        shutil.copy(f"{ROOT}/{path}", f"{self.folder}/{path}")

    def write(self, path, text, mode=0o644):
        os.makedirs(os.path.dirname(f"{self.folder}/{path}"), exist_ok=True)
        with open(f"{self.folder}/{path}", "w") as file:
            file.write(text)
        os.chmod(f"{self.folder}/{path}", mode)

    def replace(self, path, old, new):
        with open(f"{self.folder}/{path}") as file:
            text = file.read()
        self.assertIn(old, text)
        self.write(path, text.replace(old, new), 0o755)

    def stand_in(self, path, name=None):
        self.write(path, STAND_IN.replace("$name", name or path), 0o755)

    def key(self, call):
        return re.sub("[^a-zA-Z0-9]", "-", call if " " in call else call + " ")

    def fail(self, call, times=99):
        self.write(f"calls/fail-{self.key(call)}", f"{times}\n")

    def act(self, call, script):
        self.write(f"calls/do-{self.key(call)}", script)

    def calls(self):
        try:
            with open(f"{self.calls_folder}/calls") as file:
                return [line.strip() for line in file]
        except FileNotFoundError:
            return []

    def run_command(self, *command, **environment):
        result = subprocess.run(command, cwd=self.folder, env=self.environment | environment, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True)
        self.output = result.stdout
        return result.returncode


class Run(Project):
    def setUp(self):
        super().setUp()
        self.copy(".ci/run")
        self.write(".ci/groups.py", GROUPS)
        self.stand_in("bin/make", "make")
        for script in ("setup", "ci-test"):
            self.stand_in(f"scripts/{script}.sh")
        self.act("scripts/ci-test.sh", 'echo "✔ Test run with 348 tests in 60 suites passed after 301.5 seconds."\necho end')
        self.choose("turn 30 always its turn at commit 126")

    def choose(self, *lines):
        self.write("calls/chosen", "".join(line + "\n" for line in lines))

    def ci(self, **environment):
        return self.run_command(".ci/run", **environment)

    def rows(self):
        """The table as a dictionary of steps to results."""
        rows = re.findall(r"(?m)^ci: +\d+\.\d  (.{24})  (.*)$", self.output)
        return {name: result.strip() for result, name in rows}

    def test_a_green_run(self):
        self.assertEqual(self.ci(), 0, self.output)
        self.assertEqual(self.calls(), GATE + ["make turn"])
        self.assertEqual(self.rows(), {name: "passed" for name in self.calls()})
        self.assertEqual(self.output.splitlines()[-2:], [
            "✔ Test run with 348 tests in 60 suites passed after 301.5 seconds.", "ci: 0 min: green"])

    def test_a_failed_gate_runs_to_its_end_and_no_group(self):
        self.fail("make lint")
        self.assertEqual(self.ci(), 1)
        self.assertEqual(self.calls(), GATE)
        self.assertEqual(self.rows()["make lint"], "FAILED (3)")
        self.assertEqual(self.rows()["group turn (its turn at commit 126)"], "not run: the gate failed")
        self.assertIn("make does not work", self.output.split("the last lines:")[1])
        self.assertEqual(self.output.splitlines()[-1], "ci: 0 min: FAILED (1)")

    def test_nothing_runs_after_a_failed_build(self):
        self.fail("make build")
        self.assertNotEqual(self.ci(), 0)
        self.assertEqual(self.calls(), GATE[:3])

    def test_a_second_try_of_emulated_machines_alone(self):
        self.fail("make test-appliance PARTS=first_start", 1)
        self.fail("make test-power CUTS=10", 1)
        self.assertNotEqual(self.ci(), 0)
        self.assertEqual(self.rows()["make test-appliance PARTS=first_start"], "passed (UNSTEADY)")
        self.assertEqual(self.rows()["make test-power CUTS=10"], "FAILED (3)")
        self.assertTrue(os.path.exists(f"{self.folder}/var/ci/make-test-appliance-PARTS-first-start-first-try.log"))

    def test_a_group_that_does_not_fit_is_postponed(self):
        self.choose("turn 30 always its turn", "small 5 optional changed: a", "large 40 optional changed: b", "tiny 1 optional changed: c")
        self.assertEqual(self.ci(CI_BUDGET="10"), 0)
        self.assertEqual(self.calls()[len(GATE):], ["make turn", "make small", "make tiny"])
        self.assertEqual(self.rows()["group large (changed: b); run it with CI_GROUPS=large .ci/run"], "POSTPONED")

    def test_a_failed_group_fails_the_run_and_the_others_go_on(self):
        self.choose("turn 30 always its turn", "small 5 optional changed: a")
        self.fail("make turn")
        self.assertEqual(self.ci(), 1)
        self.assertEqual(self.rows()["make small"], "passed")

    def test_lanes_run_side_by_side(self):
        self.choose("pair 30 always its turn")
        # Ends when `make second` has begun, in the other lane.
        self.act("make emulated", f'for _ in {{1..100}}; do [ ! -f "{self.folder}/begun" ] || break; sleep 0.1; done; [ -f "{self.folder}/begun" ] || exit 1')
        self.act("make second", f'touch "{self.folder}/begun"')
        self.fail("make first")
        self.assertEqual(self.ci(), 1)
        rows = self.rows()
        self.assertEqual([rows[f"make {name}"] for name in ("emulated", "first", "second")], ["passed", "FAILED (3)", "passed"])

    def test_a_step_at_the_limit_is_stopped_and_named(self):
        self.act("make turn", "sleep 600")
        self.replace(".ci/run", "limit * 60 - SECONDS", "3 - SECONDS")
        self.choose("turn 30 always its turn", "small 5 optional changed: a")
        self.assertEqual(self.ci(), 1)
        self.assertEqual(self.rows()["make turn"], "FAILED (time limit)")
        self.assertEqual(self.rows()["make small"], "FAILED (time limit)")

    def test_a_signal_stops_the_steps_and_prints_the_table(self):
        self.choose("pair 30 always its turn")
        self.act("make emulated", "sleep 600")
        self.act("make second", "sleep 600")
        process = subprocess.Popen([".ci/run"], cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, text=True)
        end = time.monotonic() + 20
        while not {"make emulated", "make second"} <= set(self.calls()) and time.monotonic() < end:
            time.sleep(0.05)
        begin = time.monotonic()
        process.send_signal(signal.SIGTERM)
        self.output = process.communicate(timeout=30)[0]
        self.assertLess(time.monotonic() - begin, 10)
        self.assertEqual(process.returncode, 143)
        self.assertEqual(self.rows()["make lint"], "passed")
        self.assertIn("FAILED (143)", self.output.splitlines()[-1])

    def test_a_choice_that_fails_fails_the_run(self):
        os.unlink(f"{self.folder}/calls/chosen")
        self.assertEqual(self.ci(), 1)

    def test_a_dry_run_runs_nothing(self):
        self.choose("turn 30 always its turn", "small 20 optional changed: a")
        self.assertEqual(self.ci(CI_DRY_RUN="1"), 0, self.output)
        self.assertEqual(self.calls(), [])
        self.assertEqual(self.rows()["make turn"], "dry run")
        # 35 for the gate, 30 for the turn, 20 for this one: over 80.
        self.assertIn("POSTPONED", self.rows().values())


class FailedTests(Project):
    """scripts/ci-test.sh"""

    def setUp(self):
        super().setUp()
        self.copy("scripts/ci-test.sh")
        self.stand_in("bin/make", "make")
        self.act("make test", 'echo "✘ Test takesAll(_:) with 3 test cases failed after 1 seconds."; exit 1')

    def test_passes_alone(self):
        self.act("make test-only", 'echo "$EDGE_FILTER" >>"$CALLS/filter"; echo "✔ Test run with 1 test passed"')
        self.assertEqual(self.run_command("scripts/ci-test.sh"), 0, self.output)
        with open(f"{self.calls_folder}/filter") as file:
            self.assertEqual(file.read(), "/(takesAll)\\(\n")
        self.assertIn("UNSTEADY: failed once, then passed alone: takesAll", self.output)

    def test_fails_twice(self):
        self.fail("make test-only")
        self.assertEqual(self.run_command("scripts/ci-test.sh"), 1)
        self.assertIn("FAILED twice: takesAll", self.output)

    def test_a_crash_is_not_repeated(self):
        self.act("make test", 'echo "error: unexpected signal 4"; exit 1')
        self.assertEqual(self.run_command("scripts/ci-test.sh"), 1)
        self.assertEqual(self.calls(), ["make test"])

    def test_another_command(self):
        self.stand_in("bin/other", "other")
        self.act("other a b", '[ -n "$EDGE_FILTER" ] || { echo "✘ Test it() failed after 1 seconds."; exit 1; }')
        self.assertEqual(self.run_command("scripts/ci-test.sh", "other", "a", "b"), 0, self.output)
        self.assertEqual(self.calls(), ["other a b", "other a b"])


class Sanitized(Project):
    """scripts/test-sanitized.sh, with stand-ins for `swift`, the daemon and the byte oracle."""

    DAEMON = """#!/bin/bash
case "$ASAN_OPTIONS$TSAN_OPTIONS" in help=1) echo "Available flags for {title}:" ;; esac
"""
    SWIFT = """#!/bin/bash
echo "swift $* | ${EDGE_THREAD_SANITIZER:-} | ${EDGE_FILTER:-}" >>"$CALLS/calls"
if [ "$1" = build ]; then
    [ ! -f "$CALLS/no-build" ] || { echo "error: it does not build"; exit 1; }
    case "$*" in *thread*) name=thread ;; *) name=address ;; esac
    mkdir -p ".build-$name/debug"
    cp "$CALLS/daemon-$name" ".build-$name/debug/edge-aggregator"
else
    . "$CALLS/suites"
fi
"""
    ORACLE = """#!/bin/bash
echo "oracle $*" >>"$CALLS/calls"
path=${ASAN_OPTIONS:-$TSAN_OPTIONS}; path=${path#*log_path=}; path=${path%%:*}
[ ! -f "$CALLS/report-$3" ] || printf 'ERROR: heap-use-after-free\\nSUMMARY: heap-use-after-free in flush\\n' >"$path.edge-aggregator.$$"
[ ! -f "$CALLS/differs-$3" ] || { echo "byte 7 differs"; exit 1; }
"""

    def setUp(self):
        super().setUp()
        for script in ("ci-test", "test-sanitized"):
            self.copy(f"scripts/{script}.sh")
        self.write("bin/swift", self.SWIFT, 0o755)
        self.write("bin/oracle", self.ORACLE, 0o755)
        self.write("calls/daemon-address", self.DAEMON.format(title="AddressSanitizer"), 0o755)
        self.write("calls/daemon-thread", self.DAEMON.format(title="ThreadSanitizer"), 0o755)
        self.write("calls/suites", "true\n")
        self.write("Tests/Oracle/seeds.txt", "# Seeds\n11\n12 90 # a slow one\n\n13   # a fast one\n")
        self.environment["ORACLE"] = "oracle"

    def sanitized(self, **environment):
        return self.run_command("scripts/test-sanitized.sh", **environment)

    def oracles(self):
        return [re.sub(r"oracle \S*/", "", call) for call in self.calls() if call.startswith("oracle")]

    def test_fixed_seeds_share_the_minutes(self):
        self.assertEqual(self.sanitized(SANITIZER="address", SEEDS="fixed", MINUTES="2", SUITES="none"), 0, self.output)
        self.assertEqual(self.oracles(), [f"edge-aggregator --seed {seed} --seconds {seconds}" for seed, seconds in ((11, 40), (12, 90), (13, 40))])
        self.assertEqual([call for call in self.calls() if "test" in call.split()], [])

    def test_both_sanitizers_and_the_suites(self):
        self.assertEqual(self.sanitized(SEEDS="fixed", MINUTES="0"), 0, self.output)
        swift = [call for call in self.calls() if call.startswith("swift")]
        self.assertEqual(swift, [
            "swift build --sanitize=address --scratch-path .build-address --product edge-aggregator |  |",
            "swift test --sanitize=address --scratch-path .build-address --filter IntegrationTests |  |",
            "swift build --sanitize=thread --scratch-path .build-thread --product edge-aggregator | 1 |",
            "swift test --sanitize=thread --scratch-path .build-thread --filter IntegrationTests | 1 |"])

    def test_new_seeds_are_printed(self):
        self.assertEqual(self.sanitized(SANITIZER="thread", MINUTES="0", SUITES="none"), 0, self.output)
        self.assertEqual(len(self.oracles()), 3)
        # A minute of new seeds, shortened: the clock of the script is bash's SECONDS.
        self.replace("scripts/test-sanitized.sh", "minutes * 60))\n    while", "2))\n    while")
        self.write("bin/oracle", self.ORACLE + "sleep 1\n", 0o755)
        self.write("Tests/Oracle/seeds.txt", "11\n")
        self.assertEqual(self.sanitized(SANITIZER="thread", SUITES="none"), 0, self.output)
        new = [call.split()[2] for call in self.oracles()[4:]]
        self.assertGreaterEqual(len(new), 1)
        self.assertEqual(len(set(new)), len(new))
        for seed in new:
            self.assertIn(f"thread: seed {seed} for", self.output)

    def test_a_difference_names_its_seed(self):
        self.write("calls/differs-12", "")
        self.write("Tests/Oracle/seeds.txt", "12\n13\n")
        self.assertEqual(self.sanitized(SANITIZER="address", SEEDS="fixed", MINUTES="1", SUITES="none"), 1, self.output)
        self.assertIn("byte 7 differs", self.output)
        self.assertIn('seed 12, exit code 1. After the fix, add the line "12 30  # what it found"', self.output)
        self.assertEqual(len(self.oracles()), 2)

    def test_a_report_fails_although_all_else_passes(self):
        self.write("calls/report-13", "")
        self.assertEqual(self.sanitized(SANITIZER="address", SEEDS="fixed", MINUTES="0", SUITES="none"), 1, self.output)
        self.assertIn("heap-use-after-free in flush", self.output)
        self.assertIn("1 processes wrote a report", self.output)
        # And it does not stay for the next run.
        os.unlink(f"{self.calls_folder}/report-13")
        self.assertEqual(self.sanitized(SANITIZER="address", SEEDS="fixed", MINUTES="0", SUITES="none"), 0, self.output)

    def test_failed_suites(self):
        self.write("calls/suites", 'echo "✘ Test it() failed after 1 seconds."\nexit 1\n')
        self.assertEqual(self.sanitized(SANITIZER="address", SEEDS="fixed", MINUTES="0"), 1, self.output)
        self.assertIn("FAILED twice: it", self.output)
        self.assertTrue(any("| /(it)\\(" in call for call in self.calls()), self.calls())

    def test_a_program_without_the_sanitizer(self):
        self.write("calls/daemon-thread", "#!/bin/bash\n", 0o755)
        self.assertEqual(self.sanitized(SANITIZER="thread", SEEDS="fixed", MINUTES="0", SUITES="none"), 1)
        self.assertIn("is not built with the sanitizer", self.output)
        self.assertEqual(self.oracles(), [])

    def test_a_failed_build(self):
        self.write("calls/no-build", "")
        self.assertEqual(self.sanitized(SEEDS="fixed", MINUTES="0"), 1)
        self.assertIn("error: it does not build", self.output)

    def test_wrong_arguments_and_seeds(self):
        for wrong in ({"SANITIZER": "memory"}, {"SEEDS": "old"}, {"MINUTES": "two"}, {"SEED_SECONDS": "0"}):
            self.assertEqual(self.sanitized(**wrong), 64, wrong)
        for text in ("", "# none\n", "1 2 3\n", "x\n"):
            self.write("Tests/Oracle/seeds.txt", text)
            self.assertEqual(self.sanitized(SANITIZER="address", SEEDS="fixed", SUITES="none"), 1, text)
            self.assertIn("cannot be read", self.output)


if __name__ == "__main__":
    unittest.main()
