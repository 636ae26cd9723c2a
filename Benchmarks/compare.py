#!/usr/bin/env python3
"""Compares two programs at reception, interleaved in one run: CPU of a gigabyte received and stored, and memory.

    Benchmarks/compare.py OLD NEW [ROUNDS]

Each round runs both, by turns the old or the new one first. Printed are the medians of the rounds' ratios, new ÷ old. Needs what
Benchmarks/run.sh builds (.build/bench/load).
"""

import json
import statistics
import sys

import harness

MEGABYTES, LISTENERS = 60, 8


def measure(program):
    """CPU seconds for each gigabyte; resident bytes at the end."""
    harness.DAEMON = program
    daemon = harness.Daemon(ANALYZE_RECORDINGS="false")
    try:
        before = daemon.cpu_seconds()
        load = harness.run_json(f"{harness.TOOLS}/load", str(daemon.port), str(LISTENERS), str(MEGABYTES), "pushed")
        assert load["answered"] == LISTENERS, load
        return (daemon.cpu_seconds() - before) / load["bytes"] * 1e9, daemon.memory()[0]
    finally:
        daemon.stop()


def main():
    old, new = sys.argv[1:3]
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 9
    ratios = {"cpu": [], "memory": []}
    for number in range(rounds):
        figures = {}
        for program in (old, new) if number % 2 == 0 else (new, old):
            figures[program] = measure(program)
        for index, name in enumerate(ratios):
            ratios[name].append(figures[new][index] / figures[old][index])
        print(f"round {number + 1}: cpu {ratios['cpu'][-1]:.3f}, memory {ratios['memory'][-1]:.3f}", flush=True)
    print(json.dumps({f"{name}_ratio_median": round(statistics.median(all_), 3) for name, all_ in ratios.items()}))


if __name__ == "__main__":
    main()
