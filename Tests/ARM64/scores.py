"""Compares the scores of two programs: scores.py [--windows N] NATIVE EMULATED MODELS ARM64_MODELS SAMPLE.wav

NATIVE and EMULATED are the same program for this machine's processor and for arm64. Without --windows: `doctor` of the emulated one has
no failure, and `analyze` finds the same birds in the sample, with scores that differ by 1e-5 at the most. With --windows N:
N windows of the sample at other volumes and offsets, with noise, every score from the lowest confidence on, within 1e-4.
"""

import argparse
import array
import json
import os
import random
import subprocess
import sys
import tempfile
import wave

LOWEST = 0.01


def check(what, is_true, detail=""):
    if not is_true:
        print(f"FAILED: {what}: {detail}", file=sys.stderr)
        sys.exit(1)
    print(f"  {what}", flush=True)


def environment(folder, models, **settings):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EDGE_")}
    os.makedirs(f"{folder}/data", exist_ok=True)
    with open(f"{folder}/settings.yaml", "w"):
        pass
    return kept | {"PATH": os.environ["PATH"], "BASE_DIR": f"{folder}/data", "CONFIG_PATH": f"{folder}/settings.yaml", "MODELS_DIR": os.path.realpath(models),
                   "LISTEN": "127.0.0.1:0", "METRICS_PORT": "0"} | settings


def detections(program, models, folder, sound, **settings):
    """Of one file: {(start, label): confidence}."""
    done = subprocess.run([program, "analyze", "--json", sound], env=environment(folder, models, **settings), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        check("analyze ends well", False, done.stderr[-2000:])
    return {(found["start_seconds"], found["scientific_name"]): found["confidence"]
            for line in done.stdout.splitlines() for found in json.loads(line)["detections"]}


def variations(sample, count, path):
    """Writes `count` windows: the sample at another offset and volume, with noise. The seed is printed."""
    seed = int(os.environ.get("EDGE_SEED", random.randrange(2**32)))
    print(f"  seed {seed}")
    dice = random.Random(seed)
    with wave.open(sample) as sound:
        assert sound.getsampwidth() == 2
        samples = array.array("h", sound.readframes(sound.getnframes()))[::sound.getnchannels()]
        rate = sound.getframerate()
    with wave.open(path, "w") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        for _ in range(count):
            offset, volume, noise = dice.randrange(len(samples)), 10 ** dice.uniform(-2, 0), 10 ** dice.uniform(0, 2.5)
            out.writeframes(array.array("h", (
                max(-32768, min(32767, round(samples[(offset + index) % len(samples)] * volume + dice.gauss(0, noise))))
                for index in range(3 * rate))).tobytes())


def compare(here, there, limit):
    # A score beside the lowest confidence may be on its other side there.
    alone = {key: here.get(key, there.get(key)) for key in here.keys() ^ there.keys()}
    unexplained = [key for key, score in alone.items() if score > LOWEST + limit]
    check("the same windows and labels", here and not unexplained, f"{len(here)} and {len(there)}, {unexplained[:5]}")
    worst = max(abs(here[key] - there[key]) for key in here.keys() & there.keys())
    check(f"{len(here)} scores differ by {worst:.1e} at the most (allowed {limit:.0e})", worst <= limit)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--windows", type=int)
    parser.add_argument("paths", nargs=5)
    arguments = parser.parse_args()
    native, emulated, models, arm64_models, sample = arguments.paths
    with tempfile.TemporaryDirectory() as folder:
        if arguments.windows:
            sound = f"{folder}/windows.wav"
            variations(sample, arguments.windows, sound)
            settings = {"MIN_CONFIDENCE": str(LOWEST)}
            compare(detections(native, models, folder, sound, **settings), detections(emulated, arm64_models, folder, sound, **settings), 1e-4)
            return
        doctor = subprocess.run([emulated, "doctor"], env=environment(folder, arm64_models), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        failures = [line for line in doctor.stdout.splitlines() if "FAIL" in line]
        check("doctor finds no failure", not failures and "ok" in doctor.stdout.lower(), doctor.stdout[-3000:])
        settings = {"MIN_CONFIDENCE": str(LOWEST), "OVERLAP_SEC": "1.5"}
        compare(detections(native, models, folder, sample, **settings), detections(emulated, arm64_models, folder, sample, **settings), 1e-5)


main()
