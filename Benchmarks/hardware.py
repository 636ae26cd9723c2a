"""A fully loaded box: eight sensors on I2C, four counters at 1 kHz, two serial ports, health every ten seconds; against the same
daemon with none of them. In an emulated machine whose clock is its own instructions: the figures do not depend on the host.

    hardware.py RIG_FOLDER PRODUCTS_FOLDER
"""

import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "Tests", "Hardware"))
from machine import ROOT, Machine  # noqa: E402

PRODUCTS = os.path.abspath(sys.argv[2])
#: Half a thousand million instructions a second: a core of a Raspberry Pi 4 does at least as many.
NANOSECONDS_AN_INSTRUCTION = 2
BASE = "/edge-machine/edge"
SECONDS = int(os.environ.get("EDGE_BENCH_SECONDS", "60"))
COMMON = f"""\
base_dir: {BASE}
listen: ["0.0.0.0:8000"]
require_api_token: "no"
metrics_port: 0
analyze_recordings: false
min_free_disk_bytes: 1000000
log_level: warning
"""
LOADED = """\
health_interval_sec: 10
sensors:
  hut: scd4x bus=MCP2221 interval=10
  cave: scd30 bus=MCP2221 interval=10
  air: bme280 bus=MCP2221 interval=10
  panel: ina219 bus=MCP2221 interval=10
  load: ina226 bus=MCP2221 address=0x41 interval=10
  leaf: sht4x bus=MCP2221 interval=10
  sky: bh1750 bus=MCP2221 interval=10
  cell: max17048 bus=MCP2221 interval=10
  one: gpio_counter line=GPIO17 interval=10
  two: gpio_counter line=GPIO18 interval=10
  three: gpio_counter line=GPIO24 interval=10
  four: gpio_counter line=GPIO27 interval=10
  s8: senseair_s8 port=/edge-machine/serial/s8 interval=10
  gss: explorir port=/edge-machine/serial/explorir interval=10
"""


def measure(machine, settings, work):
    machine.sh(f"rm -rf {BASE}; mkdir -p {BASE}; cat >{BASE}/settings.yaml <<'E'\n{COMMON}{settings}E")
    machine.ask("start", name="daemon", command=[f"{PRODUCTS}/edge-aggregator", "run"],
                environment={"CONFIG_PATH": f"{BASE}/settings.yaml"})
    machine.wait("ready", lambda: machine.api("/healthz")[0] == 200, 300)
    # What is done once is no part of it.
    machine.sh("sleep 12")
    before = machine.ask("cpu", name="daemon")
    answer = work()
    after = machine.ask("cpu", name="daemon")
    share = (after["seconds"] - before["seconds"]) / (after["at"] - before["at"])
    return share, after["anonymous"], answer


def main():
    machine = Machine(sys.argv[1], NANOSECONDS_AN_INSTRUCTION)
    try:
        machine.stream.settimeout(900)
        machine.sh("mkdir -p /edge-machine/serial")
        machine.ask("start", name="serial", command=["python3", f"{ROOT}/Tests/Doubles/serial_sensors.py", "/edge-machine/serial"], environment={})
        idle_share, idle_bytes, _ = measure(machine, "health_interval_sec: 0\n", lambda: machine.sh(f"sleep {SECONDS}"))
        machine.ask("stop", name="daemon")
        loaded_share, loaded_bytes, pulses = measure(
            machine, LOADED, lambda: json.loads(machine.sh(f"{PRODUCTS}/gpio-pulses {SECONDS * 1000} 1000 17 18 24 27")))
        machine.sh("sleep 11")
        sensors = {sensor["name"]: sensor for sensor in machine.json("/api/v1/sensors")["sensors"]}
        counted = [sensors[name]["edges"] for name in ["one", "two", "three", "four"]]
        well = sum(sensor["state"] == "ok" for sensor in sensors.values())
        print(json.dumps({
            "loaded_box_core_share": loaded_share - idle_share, "idle_core_share": idle_share,
            "loaded_box_added_mb": (loaded_bytes - idle_bytes) / 1e6, "edges_missed": 4 * SECONDS * 1000 - sum(counted),
            "edges_hertz": pulses["hertz"], "edges_late_us": pulses["late_us"], "sensors_well": well}))
    finally:
        machine.off()


main()
