#!/usr/bin/env python3
"""The heavy test groups of continuous integration, and which of them one run takes. docs/testing.md describes the rules.

    groups.py choose        prints the chosen groups in the order in which they run: "NAME MINUTES always|optional REASON"
    groups.py steps NAME    prints the steps of a group: "LANE TRIES COMMAND". Lanes run side by side.

Environment: CI_BASE and CI_LOOK_BACK (see `base`), CI_GROUPS ("all", "none" or names) replaces the choice.
"""

import dataclasses
import fnmatch
import os
import subprocess
import sys

# Hours before the newest commit. Commits in this period count as the change under test if nothing names its base.
LOOK_BACK = 6


@dataclasses.dataclass(frozen=True)
class Step:
    command: str
    # 2: emulated machines, whose clock stops while the host is busy. A step that passes at the second try is reported as unsteady.
    # Kills, power cuts and sanitizers have 1: a failure there is a finding, even if it does not repeat.
    tries: int = 1


@dataclasses.dataclass(frozen=True)
class Group:
    name: str
    # Expected duration after the gate, on a fast machine with two cores.
    minutes: int
    # A change of one of these paths selects the group. "*" matches any text, also "/".
    paths: tuple[str, ...]
    # Lanes of steps. Lanes run side by side, the steps of a lane one after another.
    lanes: tuple[tuple[Step, ...], ...]


SANITIZED = ("Tests/Oracle/*", "Tests/Sanitizers/*", "scripts/test-sanitized.sh")

GROUPS = (
    Group(
        "threads", 30,
        SANITIZED + (
            "*/SanitizerMutex*", "Sources/EdgeAggregator/Analysis/*", "Sources/EdgeAggregator/Reception/*", "Sources/Store/Writer/*",
            "Sources/Uplink/Delivery/*", "Sources/Uplink/Transport/*"),
        ((Step("make test-sanitized SANITIZER=thread SEEDS=fixed MINUTES=5"),),)),
    Group(
        "addresses", 25,
        SANITIZED + (
            "Sources/AudioDSP/*", "Sources/EdgeAggregator/Reception/*", "Sources/EdgeAggregator/Recordings/*", "Sources/System/*",
            "Sources/TLS/*"),
        ((Step("make test-sanitized SANITIZER=address SEEDS=fixed MINUTES=10"),),)),
    Group(
        "arm64", 35,
        ("Tests/Embedded/*", "Tests/ARM64/*", "Tests/Appliance/arm64.*", "Tests/Appliance/pages.py", "Sources/Sensors/Drivers/*",
         "Sources/Sensors/Watch/*", "image/card/*", "image/deb/*", "scripts/cross/*", "scripts/packages", "scripts/fetch-kernel-16k.sh"),
        # The cross build starts from nothing: two minutes to fetch the compiler, ten to build.
        ((Step("make test-embedded"), Step("make test-arm64"), Step("make test-image", tries=2)),)),
    Group(
        "appliance", 25,
        ("Tests/Appliance/*", "Tests/Container/*", "Tests/Power/*", "image/*", "Dockerfile*", "balena.yml", "docker-compose*.yml",
         "Sources/EdgeAggregator/Appliance/*", "Sources/Store/Schema/*"),
        ((Step("make test-appliance", tries=2),), (Step("make test-power CUTS=50"), Step("make test-container")))),
    Group(
        "hardware", 6,
        ("Tests/Hardware/*", "scripts/fetch-hardware-rig.sh", "Sources/Sensors/*", "Sources/System/CAlsa/*", "Sources/System/CEdgeGPIO/*",
         "Sources/System/CGpiod/*", "Sources/EdgeAggregator/Observations/*", "Sources/EdgeAggregator/Reception/SoundCards/*"),
        ((Step("make test-hardware", tries=2),),)),
    Group(
        "faults", 30,
        ("Tests/Fuzz/*", "Tests/IntegrationTests/*KillTests.swift", "Tests/IntegrationTests/FullDiskTests.swift",
         "Tests/IntegrationTests/AttackTests.swift", "Tests/IntegrationTests/Bystander.swift", "Sources/FieldNodes/*",
         "Sources/TextParts/*", "Sources/Forecasts/*", "Sources/EdgeAggregator/Storage/*", "Sources/EdgeAggregator/Recordings/*",
         "Sources/EdgeAggregator/Nodes/*", "Sources/Store/Outbox/*", "Sources/Store/Files/*",
         "Sources/Store/Writer/*", "Tests/Power/kills.py", "Tests/Power/guest.py", "Sources/AudioDSP/Formats/*", "Sources/AudioDSP/Frames/*"),
        ((Step("make test-faults"), Step("make test-kills KILLS=50"), Step("make fuzz")),)),
)


def choose(count, changed, groups=GROUPS):
    """Returns (group, is it required, reason) for each group of a run, in the order in which they run.

    First the group whose turn it is by the number of commits, always; then each group with a changed path, the shortest first, so
    that as many as possible fit into the time budget.
    """
    turn = groups[count % len(groups)]
    chosen = [(turn, True, f"its turn at commit {count}")]
    for group in sorted(groups, key=lambda group: group.minutes):
        match = next((path for path in sorted(changed) if any(fnmatch.fnmatchcase(path, pattern) for pattern in group.paths)), None)
        if group is not turn and match is not None:
            chosen.append((group, False, f"changed: {match}"))
    return chosen


def requested(names, groups=GROUPS):
    """The groups that CI_GROUPS names, in the form of `choose`."""
    known = {group.name: group for group in groups}
    words = names.split()
    if words == ["none"]:
        return []
    if words == ["all"]:
        words = list(known)
    unknown = [word for word in words if word not in known]
    if unknown:
        raise SystemExit(f"groups: CI_GROUPS: unknown group {unknown[0]}; use all, none or names of {', '.join(known)}")
    return [(known[word], True, "requested") for word in words]


def git(*arguments):
    return subprocess.run(["git", *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def merge_base(name):
    """None if there is no such commit or if the histories are unrelated."""
    result = subprocess.run(["git", "merge-base", name, "HEAD"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return result.stdout.strip() if result.returncode == 0 else None


def base(environment):
    """The commit with which HEAD is compared, and how it was found.

    1. The merge base with CI_BASE, if that is set.
    2. The merge base with origin/main, if HEAD is ahead of it.
    3. Else HEAD is main itself and nothing records the last landing: the newest commit that is CI_LOOK_BACK hours older than HEAD.
       The time is HEAD's own, so a repeated run decides the same. None if the history is younger.
    """
    head = git("rev-parse", "HEAD")
    named = environment.get("CI_BASE")
    if named:
        commit = merge_base(named)
        if commit is None:
            raise SystemExit(f"groups: CI_BASE: {named} is not a commit that shares history with HEAD")
        return commit, f"CI_BASE {named}"
    main = merge_base("refs/remotes/origin/main")
    if main not in (None, head):
        return main, "origin/main"
    hours = float(environment.get("CI_LOOK_BACK") or LOOK_BACK)
    before = int(git("log", "-1", "--format=%ct", "HEAD")) - int(hours * 3600)
    return git("rev-list", "-1", "--first-parent", f"--before=@{before}", "HEAD") or None, f"{hours:g} hours before HEAD"


def changed_paths(commit):
    if commit is None:
        return git("ls-files", "-z").split("\0")
    return git("diff", "--name-only", "--no-renames", "-z", commit, "HEAD").split("\0")


def main(arguments):
    if arguments == ["choose"]:
        names = os.environ.get("CI_GROUPS")
        if names:
            chosen = requested(names)
        else:
            commit, source = base(os.environ)
            changed = [path for path in changed_paths(commit) if path]
            print(f"groups: {len(changed)} paths changed since {(commit or 'the first commit')[:12]} ({source})", file=sys.stderr)
            chosen = choose(int(git("rev-list", "--count", "HEAD")), changed)
        for group, is_required, reason in chosen:
            print(group.name, group.minutes, "always" if is_required else "optional", reason)
    elif len(arguments) == 2 and arguments[0] == "steps":
        for group in GROUPS:
            if group.name == arguments[1]:
                for number, lane in enumerate(group.lanes):
                    for step in lane:
                        print(number, step.tries, step.command)
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
