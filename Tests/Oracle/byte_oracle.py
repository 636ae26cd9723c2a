"""The byte oracle: sends the daemon random sound that can be sent again, and compares everything that it keeps.

    byte_oracle.py PROGRAM [--seed N | --seeds 1-20] [--seconds S] [--round R] [--keep] [--skip NAMES]

Each round starts a daemon with settings of its own, streams and uploads to it from several clients at the same time,
and compares every kept byte, every analyzed window and every absence with what was sent. The same seed and round send
the same bytes, though not at the same moments: what depends on them may need several tries. `--seconds` is shared by the seeds; a round that has begun is finished, and each seed has at least one.
Only 127.0.0.1 is talked to.
"""

import argparse
import concurrent.futures
import random
import sys
import time

sys.dont_write_bytecode = True

import checks
import daemon
import native
import neighbors
import patience
import streams
import uploads


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--seed", type=int, help="default: 1")
    parser.add_argument("--seeds", help="several, such as 1-20")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--round", type=int, help="only this round of the seed")
    parser.add_argument("--keep", action="store_true", help="keep the folder of a round that fails")
    parser.add_argument("--skip", default="", help=f"checks to leave out: {', '.join(checks.OPTIONAL)}")
    arguments = parser.parse_args()
    skipped = {name for name in arguments.skip.split(",") if name}
    if not skipped <= set(checks.OPTIONAL):
        parser.error(f"--skip knows {', '.join(checks.OPTIONAL)}")
    first, _, last = (arguments.seeds or str(arguments.seed if arguments.seed is not None else 1)).partition("-")
    seeds = range(int(first), int(last or first) + 1)
    work = daemon.temporary_folder()
    counts, rounds, failures = checks.Counts(), 0, 0
    try:
        double = native.build(work)
        for seed in seeds:
            end = time.monotonic() + arguments.seconds / len(seeds)
            number = arguments.round or 0
            while True:
                failed = run_round(arguments, double, seed, number, counts, skipped)
                rounds, failures, number = rounds + 1, failures + failed, number + 1
                if failed or arguments.round is not None or time.monotonic() >= end:
                    break
    finally:
        daemon.remove(work)
    print(f"{rounds} rounds of seeds {seeds[0]} to {seeds[-1]}: {counts}; {failures} rounds with a difference", flush=True)
    return 1 if failures else 0


def run_round(arguments, double, seed, number, counts, skipped):
    """Returns whether something was found."""
    chance = random.Random(f"{seed}/{number}")
    settings = daemon.Settings.draw(chance)
    print(f"seed {seed}, round {number}: {settings}", flush=True)
    cases = draw_cases(seed, number, settings, chance)
    folder, running, failure = daemon.temporary_folder(), None, None
    try:
        running = daemon.Daemon(arguments.program, settings, double, folder)
        beside = neighbors.Neighbors(running, f"{seed}/{number}")
        try:
            send(running, cases)
            patience.until("all is received and analyzed", running.is_quiet, running.check, 0.2)
            for case in (case for group in cases for case in group if isinstance(case, streams.StreamCase)):
                case.was_heard_by(time.monotonic())
        finally:
            beside.stop()
        failure = check(running, cases, beside, counts, skipped)
        running.check()
        running.stop()
    except (daemon.DaemonFault, patience.TooSlow, OSError) as error:
        found = explain(running, error)
        failure = f"{failure}\n{found}" if failure else found
    finally:
        if running is not None:
            running.kill()
        if not (failure and arguments.keep):
            daemon.remove(folder)
    if failure is None:
        return False
    print(f"DIFFERENCE in seed {seed}, round {number}: {failure}")
    if arguments.keep:
        print(f"kept: {folder}")
    skip = f" --skip {arguments.skip}" if arguments.skip else ""
    print(f"again: python3 {sys.argv[0]} {arguments.program} --seed {seed} --round {number}{skip}", flush=True)
    return True


def draw_cases(seed, number, settings, chance):
    """Lists of cases, one a listener; those of one list are sent one after the other or, marked, at the same time."""
    groups = []
    for place in range(chance.randint(5, 9)):
        own = random.Random(f"{seed}/{number}/{place}")
        listener = f"listener{place}"
        if own.random() < 0.25:
            groups.append([uploads.UploadCase(own, settings, listener)])
            continue
        count = own.choice((1, 1, 1, 2, 3))
        groups.append([streams.StreamCase(own, settings, listener) for _ in range(count)])
    if chance.random() < 0.1:
        groups.append([streams.StreamCase(random.Random(f"{seed}/{number}/stalled"), settings, "stalled", streams.STALLED)])
    for group in groups:
        for case in group:
            print(f"  {case.describe()}", flush=True)
    return groups


def send(running, groups):
    def send_group(group, is_at_once):
        if is_at_once:
            with concurrent.futures.ThreadPoolExecutor(len(group)) as pool:
                list(pool.map(lambda case: case.send(running), group))
        else:
            for case in group:
                case.send(running)

    with concurrent.futures.ThreadPoolExecutor(len(groups)) as pool:
        sending = [pool.submit(send_group, group, index % 2 == 0) for index, group in enumerate(groups)]
        errors = [error for one in sending if (error := one.exception()) is not None]
    if errors:
        running.check()
        raise errors[0] if isinstance(errors[0], OSError) else ConnectionError(f"a case could not be sent: {errors[0]!r}")


def check(running, groups, beside, counts, skipped):
    """Everything that is not as it must be, at most one difference a listener."""
    found, told = checks.Round(running, counts, skipped), []
    for group in groups:
        try:
            if isinstance(group[0], uploads.UploadCase):
                found.check_upload(group[0])
            else:
                found.check_streams(group[0].listener, group)
        except checks.Difference as difference:
            told.append(f"{difference}\n" + "\n".join(f"  case: {case.describe()}" for case in group))
    try:
        found.check_rest([group[0].listener for group in groups], beside.marker)
    except checks.Difference as difference:
        # After another difference, what belongs to its listener is left over.
        if not told:
            told.append(str(difference))
    if beside.requests == 0:
        told.append("no other client was answered")
    return "\n".join(told) or None


def explain(running, error):
    """The daemon's end tells more than the broken connection that it caused."""
    if running is not None and not isinstance(error, daemon.DaemonFault):
        try:
            time.sleep(0.5)
            running.check()
        except daemon.DaemonFault as fault:
            return f"{fault}\n  (seen by a client as: {error!r})"
        return f"{error!r}\nits log ends:\n{running.log()[-2000:]}"
    return str(error)


if __name__ == "__main__":
    sys.exit(main())
