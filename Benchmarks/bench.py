"""Measures the daemon against the least that could do the same work, all in one run on one machine.

Each figure is a ratio, or has a limit of its own; nothing is compared with another machine. Usage: bench.py [NAME...]
"""

import json
import os
import platform
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time

import deliveries
import forecasts
import nodes
from harness import CORES, DAEMON, LIBRARY, MODEL, REFERENCE, ROOT, SAMPLES, SHM, TOOLS, Daemon, free_port, run_json
from relay import Relay


def sound(seconds, folder):
    """A WAV file of birds at 48 kHz: the sample's own values, told to be faster than they are. Its cost is what counts."""
    data = open(f"{SAMPLES}/birds_10s.wav", "rb").read()[44:]
    wanted = seconds * 96000
    data = (data * (wanted // len(data) + 1))[:wanted]
    path = f"{folder}/birds48.wav"
    with open(path, "wb") as file:
        file.write(b"RIFF" + struct.pack("<I", 36 + len(data)) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 48000, 96000, 2, 16))
        file.write(b"data" + struct.pack("<I", len(data)) + data)
    return path


def play(daemon, path, listeners, speed, files=1, wait=True):
    command = [DAEMON, "stream", path, "--listeners", str(listeners), "--stagger", "0", "--interval", "0", "--files",
               str(files), "--speed", str(speed), "--url", f"http://127.0.0.1:{daemon.port}/recordings_stream"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    return process.wait() if wait else process


def analysis():
    """CPU of a window, and windows a second, against bare runs of the model."""
    results = {}
    # CPU of a window: paced listeners, so that everything is paid for as it is in the field: reception, sync, conversion,
    # analysis, database. The bare runs come at the same pace, so that they find caches as cold, and in turns with the
    # daemon's, so that both have the same machine.
    def bare(runs, loops, every_ms=0):
        return run_json(REFERENCE, LIBRARY, MODEL, "bench", str(runs), str(loops), str(every_ms))
    listeners, seconds, rounds = 18, 12, 4
    daemon = Daemon(ANALYZER_WORKERS=1)
    path = sound(60, daemon.folder)
    cpu = windows = bare_cpu = bare_runs = 0
    for _ in range(rounds):
        beside = bare(seconds * listeners // 3, 1, 3000 // listeners)
        bare_cpu, bare_runs = bare_cpu + beside["cpu_seconds"], bare_runs + beside["runs"]
        player = play(daemon, path, listeners, 1, wait=False)
        time.sleep(5)
        windows_before, cpu_before = daemon.status()["analysis"]["windows"], daemon.cpu_seconds()
        time.sleep(seconds)
        windows += daemon.status()["analysis"]["windows"] - windows_before
        cpu += daemon.cpu_seconds() - cpu_before
        player.kill()
        player.wait()
        time.sleep(2)
    daemon.stop()
    bare_cpu /= bare_runs
    results["cpu_per_window_ratio"] = cpu / windows / bare_cpu
    results["bare_invoke_cpu_ms"] = bare_cpu * 1000
    # Windows a second with as many workers as cores: a backlog, so that they never wait for sound.
    before = bare(60, CORES)
    daemon = Daemon(ANALYZER_WORKERS=CORES)
    path = sound(600, daemon.folder)
    play(daemon, path, 2, "max")
    time.sleep(1)
    windows, wall = daemon.status()["analysis"]["windows"], time.monotonic()
    time.sleep(10)
    status = daemon.status()
    assert status["queues"]["backlog_recordings"] > 0, "the backlog was too short"
    windows, wall = status["analysis"]["windows"] - windows, time.monotonic() - wall
    daemon.stop()
    after = bare(60, CORES)
    rate = (before["runs"] + after["runs"]) / (before["wall_seconds"] + after["wall_seconds"])
    results["throughput_ratio"] = windows / wall / rate
    results["windows_per_second"] = windows / wall
    return results


def reception():
    """CPU of a gigabyte received and stored, against a bare socket-to-file server."""
    megabytes, listeners, rounds = 60, 8, 7
    bare_cpu = daemon_cpu = total = 0
    for _ in range(rounds):
        folder = tempfile.mkdtemp(prefix="edge-bare-", dir=SHM)
        bare = subprocess.Popen([f"{TOOLS}/bare_server", "18099", folder, str(listeners)], stdout=subprocess.PIPE, text=True)
        bare.stdout.readline()
        run_json(f"{TOOLS}/load", "18099", str(listeners), str(megabytes), "raw")
        bare_result = json.loads(bare.stdout.readline())
        bare.wait()
        shutil.rmtree(folder)
        daemon = Daemon(ANALYZE_RECORDINGS="false")
        cpu = daemon.cpu_seconds()
        load = run_json(f"{TOOLS}/load", str(daemon.port), str(listeners), str(megabytes), "pushed")
        assert load["answered"] == listeners, load
        daemon_cpu += daemon.cpu_seconds() - cpu
        total += load["bytes"]
        bare_cpu += bare_result["cpu_seconds"] * load["bytes"] / bare_result["bytes"]
        daemon.stop()
    return {"reception_cpu_ratio": daemon_cpu / bare_cpu, "reception_cpu_seconds_per_gb": daemon_cpu / total * 1e9}


def secured():
    """CPU of a gigabyte received over TLS, against the same without."""
    megabytes, listeners, rounds = 60, 8, 3
    folder = tempfile.mkdtemp(prefix="edge-tls-", dir=SHM)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                    "-subj", "/CN=localhost", "-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem"], check=True, capture_output=True)
    cpu, sent = {}, {}
    for _ in range(rounds):
        for way in ("plain", "tls"):
            tls_port = free_port()
            daemon = Daemon(ANALYZE_RECORDINGS="false", TLS_LISTEN=f"127.0.0.1:{tls_port}", TLS_CERTIFICATE_FILE=f"{folder}/cert.pem",
                            TLS_KEY_FILE=f"{folder}/key.pem")
            before = daemon.cpu_seconds()
            with Relay(tls_port) as relay:
                port = relay.port if way == "tls" else daemon.port
                load = run_json(f"{TOOLS}/load", str(port), str(listeners), str(megabytes), "pushed")
            assert load["answered"] == listeners, load
            cpu[way] = cpu.get(way, 0) + daemon.cpu_seconds() - before
            sent[way] = sent.get(way, 0) + load["bytes"]
            daemon.stop()
    shutil.rmtree(folder)
    plain, tls = (cpu[way] / sent[way] * 1e9 for way in ("plain", "tls"))
    return {"reception_tls_ratio": tls / plain, "reception_tls_cpu_seconds_per_gb": tls}


def thousand():
    """A thousand paced listeners, received and stored in memory."""
    seconds, listeners = 25, 1000
    daemon = Daemon(ANALYZE_RECORDINGS="false", MAX_LISTENERS=2000)
    cpu, wall, peak = daemon.cpu_seconds(), time.monotonic(), 0
    load = subprocess.Popen([f"{TOOLS}/load", str(daemon.port), str(listeners), str(seconds), "paced"],
                            stdout=subprocess.PIPE, text=True)
    while load.poll() is None:
        peak = max(peak, daemon.memory()[0])
        time.sleep(0.5)
    result = json.loads(load.stdout.read())
    share = (daemon.cpu_seconds() - cpu) / (time.monotonic() - wall)
    received = daemon.status()["listeners"]["bytes_received"]
    metrics = daemon.get("/metrics")
    missing = int(re.search(r"^edge_aggregator_missing_frames_total (\d+)", metrics, re.M).group(1))
    frames = int(re.search(r"^edge_aggregator_received_frames_total (\d+)", metrics, re.M).group(1))
    daemon.stop()
    lost = result["frames"] - frames + missing + (listeners - result["answered"])
    assert received >= result["bytes"]
    return {"thousand_listeners_core_share": share, "thousand_listeners_rss_mb": peak / 1e6, "thousand_listeners_lost": lost}


def memory():
    """Memory with the model and thirty paced listeners; and what a second worker adds."""
    results = {}
    for workers in [1, 2]:
        daemon = Daemon(ANALYZER_WORKERS=workers)
        path = sound(20, daemon.folder)
        process = play(daemon, path, 30, 1, wait=False)
        peak, anonymous = 0, 0
        while process.poll() is None:
            rss, anon = daemon.memory()
            peak, anonymous = max(peak, rss), max(anonymous, anon)
            time.sleep(0.5)
        daemon.stop()
        results[f"rss_mb_{workers}_worker"] = peak / 1e6
        results[f"anonymous_mb_{workers}_worker"] = anonymous / 1e6
    results["second_worker_mb"] = results["rss_mb_2_worker"] - results["rss_mb_1_worker"]
    return results


def lag():
    """From a window's last byte to its detection in the store: ten paced listeners."""
    daemon = Daemon(ANALYZER_WORKERS=CORES)
    path = sound(30, daemon.folder)
    play(daemon, path, 10, 1)
    metrics = daemon.get("/metrics")
    daemon.stop()
    buckets = [(float(bound), int(count)) for bound, count in re.findall(
        r'^edge_aggregator_detection_lag_seconds_bucket\{le="([\d.]+|\+Inf)"\} (\d+)', metrics.replace("+Inf", "1e9"), re.M)]
    total = buckets[-1][1]
    return {"detection_lag_p99_below_seconds": next(bound for bound, count in buckets if count >= 0.99 * total),
            "detection_lag_windows": total}


def start():
    """From the start of the process to ready; the median of five, files in memory."""
    results = {}
    for name, on in [("without_model", "false"), ("with_model", "true")]:
        times = []
        for _ in range(5):
            daemon = Daemon(ANALYZE_RECORDINGS=on)
            times.append(daemon.ready_seconds)
            daemon.stop()
        results[f"ready_seconds_{name}"] = sorted(times)[2]
    return results


def rows():
    """Observations a second, each on the disk before its writer goes on: three hundred sensors."""
    with tempfile.TemporaryDirectory(prefix="edge-bench-", dir=f"{ROOT}/.build") as folder:
        result = run_json(f"{ROOT}/.build/release/store-bench", folder, "300", "200")
    return {"observation_rows_per_second": result["rows"] / result["seconds"],
            "observation_rows_per_commit": result["rows"] / result["commits"]}


def hardware():
    """A fully loaded box in an emulated machine, against the same daemon without sensors. Needs `make test-hardware` once."""
    rig = os.environ.get("EDGE_HARDWARE_RIG", f"{ROOT}/var/hardware")
    if not os.path.exists(f"{rig}/vmlinuz"):
        print(f"  not measured: {rig} is not there; `make test-hardware` fetches it", file=sys.stderr)
        return {}
    done = subprocess.run([f"{ROOT}/Tests/Hardware/run.sh", rig, f"{ROOT}/Benchmarks/hardware.py"], check=True, text=True,
                          stdout=subprocess.PIPE, cwd=ROOT, env=dict(os.environ, CONFIGURATION="release"))
    return json.loads(done.stdout.splitlines()[-1])


LIMITS = {
    "cpu_per_window_ratio": ("<=", 1.05), "throughput_ratio": (">=", 0.95), "reception_cpu_ratio": ("<=", 1.3),
    "thousand_listeners_core_share": ("<=", 0.6), "thousand_listeners_rss_mb": ("<=", 150),
    "thousand_listeners_lost": ("<=", 0), "rss_mb_1_worker": ("<=", 220), "anonymous_mb_1_worker": ("<=", 150),
    "second_worker_mb": ("<=", 70), "detection_lag_p99_below_seconds": ("<=", 1),
    "ready_seconds_without_model": ("<=", 0.2), "ready_seconds_with_model": ("<=", 1),
    "week_offline_added_rss_mb": ("<=", 20), "week_catch_up_added_rss_mb": ("<=", 20),
    "influx_lines_per_cpu_second": (">=", 50_000), "s3_rate_of_curl": (">=", 0.7), "s3_added_rss_mb": ("<=", 40),
    "observation_rows_per_second": (">=", 20_000), "loaded_box_core_share": ("<=", 0.02), "loaded_box_added_mb": ("<=", 10),
    "edges_missed": ("<=", 0), "co2_pushes_per_second": (">=", 2000), "co2_times_folder_scans_10000_files": (">=", 10),
    "isems_lines_per_second": (">=", 20_000), "measurements_latest_p99_ms": ("<=", 10), "overlay_p99_ms": ("<=", 10),
    "piwardrive_answer_ms": ("<=", 1000), "piwardrive_rows_per_second": (">=", 100_000), "nodes_added_rss_mb": ("<=", 20),
    "grib_decode_of_eccodes": ("<=", 1.0), "globe_added_peak_rss_mb": ("<=", 40), "globe_currents_added_peak_rss_mb": ("<=", 40), "box_of_41_steps_netcdf_p99_ms": ("<=", 50),
    "box_of_41_steps_json_p99_ms": ("<=", 50),
}
PARTS = [start, reception, secured, thousand, memory, lag, analysis, deliveries.week, deliveries.lines, deliveries.files, rows, hardware, nodes.nodes, forecasts.forecasts]


def main():
    wanted = sys.argv[1:]
    results = {}
    for part in PARTS:
        if wanted and part.__name__ not in wanted:
            continue
        print(f"measuring {part.__name__}: {part.__doc__.splitlines()[0]}", file=sys.stderr)
        results.update(part())
    machine = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.machine())
    print(f"\n{machine}, {CORES} cores, {time.strftime('%Y-%m-%d')}\n")
    print(f"| figure | measured | to reach |\n|---|---|---|")
    for name, value in results.items():
        sign, limit = LIMITS.get(name, ("", ""))
        reached = "" if not sign else ("" if (value <= limit if sign == "<=" else value >= limit) else " (missed)")
        print(f"| {name.replace('_', ' ')} | {value:.3f}{reached} | {sign} {limit} |")
    os.makedirs(f"{ROOT}/.build", exist_ok=True)
    with open(f"{ROOT}/.build/bench.json", "w") as file:
        json.dump({"machine": machine, "cores": CORES, "date": time.strftime("%Y-%m-%d"), "figures": results}, file, indent=2)


if __name__ == "__main__":
    main()
