"""Forecast fields: decoding against ecCodes, memory while collecting the globe, questions over a whole forecast."""

import calendar
import json
import os
import shutil
import subprocess
import tempfile
import time
import urllib.request

from harness import ROOT, SHM, TOOLS, Daemon
from nodes import percentile, wait

SERVERS = os.environ.get("EDGE_TEST_SERVERS", f"{ROOT}/var/test-servers")
COARSE = f"{SERVERS}/grib/gfs.t12z.pgrbf120.2p5deg.grib2"


def say(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def peak(daemon):
    for line in open(f"/proc/{daemon.process.pid}/status"):
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise SystemExit("no VmHWM")


def forecasts():
    """Decoding against ecCodes, memory while collecting the globe, questions over 41 steps"""
    folder = tempfile.mkdtemp(prefix="edge-bench-fields-", dir=SHM)
    libraries = subprocess.run(
        ["cc", "-O2", "-Wall", "-Wextra", "-o", f"{TOOLS}/grib", f"{ROOT}/Benchmarks/grib.c", "-leccodes", "-lg2c", "-lpng", "-lopenjp2", "-lm"],
        capture_output=True, text=True)
    if libraries.returncode:
        raise SystemExit(f"{libraries.stderr}\nforecasts: install libeccodes-dev, libeccodes-tools and libg2c-dev")
    say("swift", "build", "-c", "release", "--package-path", ROOT, "--product", "field-bench")
    files = []
    for name in ("10u", "10v"):
        say("grib_copy", "-w", f"shortName={name}", COARSE, f"{folder}/{name}")
        files.append(f"{folder}/{name[-1]}.grib2")
        say(f"{TOOLS}/grib", "make", f"{folder}/{name}", files[-1])
    # In turns, so that what else the machine does falls on both.
    theirs, ours = [], []
    for _ in range(7):
        theirs.append([float(word) for word in say(f"{TOOLS}/grib", "decode", files[0], "20").split()])
        ours.append([float(word) for word in say(f"{ROOT}/.build/release/field-bench", files[0], "20").split()])
    if abs(theirs[0][1] - ours[0][1]) > 0.01:
        raise SystemExit(f"the decoders do not agree: {theirs[0][1]} and {ours[0][1]}")
    median = lambda runs: sorted(run[0] for run in runs)[len(runs) // 2]
    results = {
        "grib_decode_ms": median(ours), "grib_decode_of_eccodes": median(ours) / median(theirs),
        "grib_message_kb": os.path.getsize(files[0]) / 1e3,
    }
    upstream = subprocess.Popen(
        ["python3", f"{ROOT}/Tests/Doubles/forecast_upstream.py", folder, *files], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True)
    base = f"http://127.0.0.1:{upstream.stdout.readline().split()[1]}"
    run = int(time.time()) // 21600 * 21600 - 21600
    stamp = time.strftime("%Y%m%d%H", time.gmtime(run))
    body = json.dumps({"runs": {stamp: 120}, "times": []}).encode()
    urllib.request.urlopen(urllib.request.Request(f"{base}/set", body, method="POST")).read()
    settings = dict(
        ANALYZE_RECORDINGS="false", CLOCK_WAIT_SEC=0, HISTORICAL_DAYS=0, FORECAST_DATA_TYPES="wind",
        NOAA_GFS_BASE_URL=f"{base}/noaa", NOAA_GFS_FILTER_URL="", FORECAST_REQUESTS_PER_MINUTE=1000)
    idle = Daemon(**settings)
    wait("the idle daemon's peace", lambda: idle.status()["uptime_seconds"] > 3)
    rss = idle.memory()[0]
    idle.stop()
    daemon = Daemon(FORECASTS="enabled", **settings)
    kinds = lambda: json.loads(daemon.get("/api/v1/forecasts"))["types"]
    started = time.monotonic()
    wait("the forecast", lambda: any(kind["collections_completed"] or kind["collections_failed"] for kind in kinds()))
    results["globe_collect_seconds"] = time.monotonic() - started
    results["globe_added_peak_rss_mb"] = (peak(daemon) - rss) / 1e6
    if not kinds()[0]["collections_completed"]:
        raise SystemExit(kinds())
    end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(run + 120 * 3600))
    begin = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(run))
    box = f"min_lat=55&max_lat=65&min_lon=0&max_lon=10&start_time={begin}&end_time={end}"
    results["box_of_41_steps_netcdf_p99_ms"], size = percentile(daemon, f"/v1/data/wind?{box}&format=netcdf", 500)
    if size < 41 * 41 * 41 * 8:
        raise SystemExit(f"an answer of {size} bytes")
    results["box_of_41_steps_json_p99_ms"], _ = percentile(daemon, f"/v1/data/wind?{box}&format=json", 200)
    results["place_of_41_steps_p99_ms"], _ = percentile(
        daemon, f"/v1/data/wind/point?lat=60.1&lon=5.1&start_time={begin}&end_time={end}", 200)
    daemon.stop()
    # The sea at its real size: 24 chunks of 512 by 2,048 values for each of three fields.
    hours = int(time.time() - calendar.timegm((1950, 1, 1, 0, 0, 0))) // 21600 * 6
    body = json.dumps({"times": [hours + 6 * step for step in range(3)], "full": True}).encode()
    urllib.request.urlopen(urllib.request.Request(f"{base}/set", body, method="POST")).read()
    settings.update(
        FORECAST_DATA_TYPES="ocean-currents", FORECAST_HOURS=12, COPERNICUS_USERNAME="skipper", COPERNICUS_PASSWORD="p&ss word",
        COPERNICUS_CONFIG_URL=f"{base}/cop/config", COPERNICUS_AUTH_URL=f"{base}/cop/auth/token")
    daemon = Daemon(FORECASTS="enabled", **settings)
    wait("the currents", lambda: any(kind["collections_completed"] or kind["collections_failed"] for kind in kinds()))
    if not kinds()[0]["collections_completed"]:
        raise SystemExit(kinds())
    results["globe_currents_added_peak_rss_mb"] = (peak(daemon) - rss) / 1e6
    daemon.stop()
    upstream.stdin.close()
    upstream.wait(10)
    shutil.rmtree(folder, ignore_errors=True)
    return results
