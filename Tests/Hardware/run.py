"""`make test-hardware`: the daemon in a machine of its own, with real kernel drivers and emulated chips, asked from outside.

    run.py RIG_FOLDER PRODUCTS_FOLDER

Every expected value is the emulated chip's datasheet's, or was made by this test.
"""

import base64
import json
import math
import os
import re
import struct
import subprocess
import sys
import time

import chips
from machine import HERE, ROOT, Failure, Machine

DAEMON = f"{os.path.abspath(sys.argv[2])}/edge-aggregator"
BASE = "/edge-machine/edge"
SETTINGS = f"""\
base_dir: {BASE}
listen: ["0.0.0.0:8000"]
require_api_token: "no"
metrics_port: 0
analyze_recordings: false
min_free_disk_bytes: 1000000
health_interval_sec: 1
log_level: info
sound_cards:
  porch: device=hw:Loopback,1,0 rate=48000 channels=1
outputs:
  relay: line=GPIO22 active=low
  probe_power: line=GPIO24 initial=on
  dog: line=GPIO23 mode=watchdog period=0.2
sensors:
  hut: scd4x bus=MCP2221 interval=0.5 altitude_m=340 co2_offset=-20
  cave: scd30 bus=MCP2221 interval=0.5
  air: bme280 bus=MCP2221 interval=0.5 power=probe_power
  panel: ina219 bus=MCP2221 interval=0.5 shunt_ohms=0.1
  clock: ds3231 bus=MCP2221 interval=0.5
  leaf: sht4x bus=MCP2221 interval=0.5
  sky: bh1750 bus=MCP2221 interval=0.5
  load: ina226 bus=MCP2221 address=0x41 interval=0.5
  cell: max17048 bus=MCP2221 interval=0.5
  rain: gpio_counter line=GPIO17 debounce_ms=5 per_pulse=0.2794 quantity=rain unit=mm interval=1
  wheel: gpio_counter chip=pinctrl-bcm2711 offset=18 interval=0.2
  door: gpio_input line=GPIO27 debounce_ms=20 interval=3600
  float: gpio_input chip=mcp2221_gpio offset=2 interval=3600
  s8: senseair_s8 port=/edge-machine/serial/s8 interval=0.5
  nobody: bme280 bus=MCP2221 address=0x77 interval=0.5
"""
started = time.monotonic()


def check(what, isTrue, detail=""):
    if not isTrue:
        raise Failure(f"{what}: {detail}")
    print(f"{time.monotonic() - started:6.1f}  {what}", flush=True)


class Box:
    """The daemon in the machine."""

    def __init__(self, machine):
        self.machine = machine

    def start(self):
        self.machine.ask("start", name="daemon", command=[DAEMON, "run"], environment={"CONFIG_PATH": f"{BASE}/settings.yaml"})
        self.machine.wait("the daemon is ready", lambda: self.machine.api("/healthz")[0] == 200)

    def stop(self):
        return self.machine.ask("stop", name="daemon")["code"]

    def sensors(self):
        return {sensor["name"]: sensor for sensor in self.machine.json("/api/v1/sensors")["sensors"]}

    def sensor(self, name):
        return self.sensors()[name]

    def value(self, name, quantity):
        return self.sensor(name)["values"].get(quantity, {}).get("value")

    def observations(self, source, quantity, limit=1000):
        page = self.machine.json(f"/api/v1/observations?source={source}&quantity={quantity}&limit={limit}")
        return page["observations"]

    def wait_state(self, name, state, seconds=120):
        return self.machine.wait(f"{name} is {state}", lambda: self.sensor(name)["state"] == state and self.sensor(name), seconds)


def readings(machine, box):
    box.wait_state("panel", "ok")
    box.wait_state("air", "ok")
    check("INA219: 11.98 V, 0.1 A over 0.1 ohm", abs(box.value("panel", "voltage") - 11.98) < 1e-9
          and abs(box.value("panel", "current") - 0.1) < 1e-9, box.sensor("panel"))
    check("BME280: the datasheet's 25.08 degrees C and 1006.53 hPa", abs(box.value("air", "temperature") - 25.08) < 0.005
          and abs(box.value("air", "pressure") - 1006.5327) < 0.01, box.sensor("air"))
    wanted = chips.bme280_humidity()
    check(f"BME280: humidity as by the formula in floating point, {wanted:.2f} %",
          abs(box.value("air", "humidity") - wanted) < 0.05, box.sensor("air"))
    for name in ["clock", "leaf", "sky", "load", "cell"]:
        box.wait_state(name, "ok")
    check("DS3231: 100 s ahead, to half a second; 25.25 degrees C", abs(box.value("clock", "clock_offset") - 100) < 1.5
          and box.value("clock", "temperature") == 25.25, box.sensor("clock"))
    check("SHT4x: 25.0 degrees C, 50 %", abs(box.value("leaf", "temperature") - 25) < 0.01
          and abs(box.value("leaf", "humidity") - 50) < 0.01, box.sensor("leaf"))
    check("BH1750: the datasheet's 28067 lx", abs(box.value("sky", "illuminance") - 28067) < 1, box.sensor("sky"))
    check("INA226: 12 V, 25 mA", abs(box.value("load", "voltage") - 12) < 1e-9 and abs(box.value("load", "current") - 0.025) < 1e-9,
          box.sensor("load"))
    check("MAX17048: 4 V, 75 %", abs(box.value("cell", "voltage") - 4) < 1e-9 and box.value("cell", "battery") == 75, box.sensor("cell"))
    # Ten seconds of warming up.
    box.wait_state("hut", "ok")
    box.wait_state("cave", "ok")
    hut = box.sensor("hut")["values"]
    check("SCD4x: the datasheet's 500 ppm, 25.0 degrees C, 37 %; corrected by -20, the raw value kept",
          hut["co2"]["value"] == 480 and hut["co2"]["raw"] == 500 and abs(hut["temperature"]["value"] - 25) < 0.01
          and abs(hut["humidity"]["value"] - 37) < 0.01, hut)
    check("SCD4x: its serial number", box.sensor("hut").get("identity") == "serial f8969f073bbe", box.sensor("hut"))
    check("SCD30: the datasheet's 439.09 ppm, 27.2 degrees C, 48.8 %", abs(box.value("cave", "co2") - 439.09) < 0.01
          and abs(box.value("cave", "temperature") - 27.2) < 0.05 and abs(box.value("cave", "humidity") - 48.8) < 0.05,
          box.sensor("cave"))
    check("who is not there is absent, and says so", box.sensor("nobody")["state"] == "absent", box.sensor("nobody"))
    kept = machine.wait("observations", lambda: box.observations("hut", "co2"))
    check("readings are in the store", kept[0]["value"] == 480 and kept[0]["raw"] == 500, kept[0])
    metrics = machine.api("/metrics")[1]
    check("readings are metrics", 'edge_aggregator_sensor_value{quantity="voltage",sensor="panel",unit="V"} 11.98' in metrics)
    latest = machine.json("/api/v1/observations?source=board&quantity=uptime&limit=1")["observations"]
    check("the board tells of itself", len(latest) == 1, latest)


def command(machine, *words):
    """The program's own command line, here, asking the daemon there."""
    done = subprocess.run([DAEMON, *words, "--url", f"http://127.0.0.1:{machine.api_port}"], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, env={"PATH": "/usr/bin:/bin", "CONFIG_PATH": f"{HERE}/settings.yaml"})
    return done.stdout


def recalibration(machine, box):
    status, body = machine.api("/api/v1/sensors/hut/recalibrate?co2=480", "POST")
    check("an SCD4x is recalibrated by command", status == 200 and machine.ask("recalibrated")["ppm"] == 480, body)
    text = command(machine, "sensors", "--recalibrate", "cave", "--co2", "450") + command(machine, "sensors")
    check("the same on the command line", '"co2_ppm":450' in text.replace(" ", "") and "panel: ina219 at /dev/i2c-0 0x40, ok; current" in text, text)
    status, body = machine.api("/api/v1/sensors/panel/recalibrate?co2=480", "POST")
    check("who cannot be recalibrated says so", status == 409 and "cannot" in body, body)


def pulse(machine, box, number):
    machine.ask("pull", line=18, level=1)
    machine.wait(f"pulse {number}", lambda: box.sensor("wheel")["edges"] == number, 10)
    machine.ask("pull", line=18, level=0)


def lines(machine, box):
    machine.wait("the lines are open", lambda: box.sensor("rain")["state"] == "ok" and box.sensor("wheel")["state"] == "ok")
    # One after the other is counted: an emulated processor stands still now and then, and the kernel's thread for edges
    # takes two for one when it is late. How many a second are counted without loss is a figure of `make bench`.
    for number in range(1, 21):
        pulse(machine, box, number)
    check("20 pulses are 20, on a line found by label and offset", box.sensor("wheel")["missed_edges"] == 0, box.sensor("wheel"))
    # What was tried on the line before may have left it high.
    machine.ask("pull", line=17, level=0)
    time.sleep(2)
    # Two tips of the gauge, each with a bounce of a millisecond at both ends; what they come to lasts until it is seen.
    # Each request takes some milliseconds here: the bounces may be longer than the 5 ms. The tips may not be lost.
    for tip in range(1, 3):
        for level, pause in [(1, 0.001), (0, 0.001), (1, 0)]:
            machine.ask("pull", line=17, level=level)
            time.sleep(pause)
        machine.wait(f"tip {tip}", lambda: box.sensor("rain")["edges"] >= tip, 30)
        for level, pause in [(0, 0.001), (1, 0.001), (0, 2)]:
            machine.ask("pull", line=17, level=level)
            time.sleep(pause)
    edges = box.sensor("rain")["edges"]
    def rained():
        return sum(o["raw"] for o in box.observations("rain", "rain"))
    machine.wait("the gauge's pulses are observations", lambda: rained() == edges, 10)
    amount = sum(o["value"] for o in box.observations("rain", "rain"))
    check("a pulse of the gauge is 0.2794 mm", abs(amount - edges * 0.2794) < 1e-6, amount)
    before = len(box.observations("door", "state"))
    asked = time.time()
    machine.ask("pull", line=27, level=1)
    machine.wait("the door is open", lambda: box.value("door", "state") == 1, 10)
    machine.ask("pull", line=27, level=0)
    machine.wait("the door is shut", lambda: box.value("door", "state") == 0, 10)
    states = machine.wait("both are kept", lambda: (lambda s: len(s) >= before + 2 and s)(box.observations("door", "state")))
    check("a door's changes are kept at once, each at its own time", [o["value"] for o in states[:2]] == [0, 1], states[:3])
    machine.ask("bench line", line=2, level=1)
    machine.wait("a line without interrupts is looked at", lambda: box.value("float", "state") == 1, 10)
    check("a line without interrupts works as well", True)


def outputs(machine, box):
    def relay():
        return machine.ask("value", line=22)["value"]
    check("a relay that is active low rests high", relay() == 1, relay())
    status, body = machine.api("/api/v1/outputs/relay?state=on", "POST")
    check("it is switched by command", status == 200 and relay() == 0, body)
    machine.api("/api/v1/outputs/relay?state=off", "POST")
    check("and back", relay() == 1)
    text = command(machine, "outputs", "relay", "on")
    check("the same on the command line", "relay: switch at GPIO22, on" in text and relay() == 0, text)
    machine.api("/api/v1/outputs/relay?state=off", "POST")
    status, body = machine.api("/api/v1/outputs/dog?state=on", "POST")
    check("a watchdog's line is not switched by command", status == 409, body)
    seen = set()
    machine.wait("the watchdog's line toggles", lambda: seen.add(machine.ask("value", line=23)["value"]) or len(seen) == 2, 10)
    check("a watchdog's line toggles", True)


def faults(machine, box):
    machine.ask("fault", address="0x62", fault="crc")
    sensor = box.wait_state("hut", "faulty")
    check("a wrong checksum is a fault, with its reason", "checksum" in sensor["reason"], sensor)
    check("it disturbs nobody else", box.sensor("panel")["state"] == "ok" and box.sensor("cave")["state"] == "ok")
    machine.ask("fault", address="0x62", fault="")
    machine.ask("fault", address="0x61", fault="short")
    sensor = box.wait_state("cave", "faulty")
    check("an answer that breaks off is a fault", "checksum" in sensor["reason"], sensor)
    machine.ask("fault", address="0x61", fault="")
    machine.ask("fault", address="0x40", fault="nack")
    sensor = box.wait_state("panel", "absent")
    check("no acknowledgement is an absence", "nothing answers" in sensor["reason"], sensor)
    machine.ask("fault", address="0x40", fault="")
    box.wait_state("panel", "ok")
    check("it comes back by itself", True)
    # What is no reading is none: a light sensor that lets go, one that reads 0 because the line is shorted, a brown-out.
    machine.ask("fault", address="0x23", fault="ones")
    sensor = box.wait_state("sky", "faulty")
    check("ones alone are no light", "54612" in sensor["reason"], sensor)
    machine.ask("fault", address="0x23", fault="")
    box.wait_state("sky", "ok")
    machine.ask("held low", is_held_low=True)
    sensor = box.wait_state("sky", "faulty")
    check("a data line that is held at 0 is a fault", "held at 0" in sensor["reason"], sensor)
    machine.ask("held low", is_held_low=False)
    for name in ["sky", "panel", "load", "cell", "clock", "leaf", "air"]:
        box.wait_state(name, "ok")
    check("no light sensor was in the dark", all(o["value"] > 28000 for o in box.observations("sky", "illuminance")))
    before = box.sensor("air")["readings"]
    machine.ask("fault", address="0x76", fault="brownout")
    machine.wait("it is read again", lambda: box.sensor("air")["readings"] > before + 2)
    check("a BME280 is reset before it measures: never 700 hPa", all(
        abs(o["value"] - 1006.5327) < 0.01 for o in box.observations("air", "pressure")), box.sensor("air"))
    # The power of a sensor that fails goes off and on again.
    machine.ask("fault", address="0x76", fault="error")
    machine.wait("its power is off", lambda: machine.ask("value", line=24)["value"] == 0)
    machine.wait("its power is on", lambda: machine.ask("value", line=24)["value"] == 1)
    check("a sensor that fails again and again loses its power for a moment", True)
    machine.ask("fault", address="0x76", fault="")
    box.wait_state("hut", "ok", 60)
    box.wait_state("cave", "ok", 60)
    check("both CO2 sensors are well again, after warming up anew", True)


def stuck(machine, box):
    before = box.sensor("s8")["readings"]
    machine.ask("stuck")
    machine.wait("a stuck bus is noticed", lambda: "in time" in (box.sensor("panel").get("reason") or ""), 60)
    pulse(machine, box, 21)
    machine.wait("the serial port goes on", lambda: box.sensor("s8")["readings"] > before)
    check("a stuck bus holds up neither lines nor serial ports", box.sensor("s8")["state"] in ("ok", "warming"), box.sensor("s8"))
    def resets():
        match = re.search(r'edge_aggregator_bus_resets_total\{bus="MCP2221"\} (\d+)', machine.api("/metrics")[1])
        return match and int(match.group(1))
    machine.wait("the bus is reset", resets, 100)
    box.wait_state("panel", "ok", 60)
    check("a bus on which nothing answers any more is set up anew, and works again", True)


def sound(machine, box):
    def card():
        return machine.json("/api/v1/sound_cards")["sound_cards"][0]
    machine.wait("the card listens", lambda: card()["is_open"])
    # A sine of 1000 Hz at half of full scale: -9.03 dBFS.
    seconds = 4
    path = "/edge-machine/tone.raw"
    machine.sh(f"python3 - <<'E'\nimport math, struct\none = b''.join(struct.pack('<h', round(16384 * math.sin(2 * math.pi * 1000 * i / 48000))) for i in range(48000))\nopen('{path}', 'wb').write(one * {seconds})\nE")
    machine.ask("start", name="aplay", command=["aplay", "-q", "-D", "hw:Loopback,0,0", "-f", "S16_LE", "-r", "48000", "-c", "1", path], environment={})
    level = machine.wait("the tone is heard", lambda: (card()["rms_dbfs"] or -200) > -20 and card(), 20)
    machine.wait("it is over", lambda: machine.ask("stop", name="aplay")["code"] == 0)
    check("a sound card is a listener with levels: -9.0 dBFS", abs(level["peak_dbfs"] + 6.02) < 0.1, level)
    names = [listener["id"] for listener in machine.json("/api/v1/listeners")["listeners"]]
    check("it is among the listeners", "porch" in names, names)
    recordings = machine.wait("recordings", lambda: machine.json("/api/v1/recordings?listener=porch")["recordings"])
    # The card goes and comes back.
    machine.sh("echo snd_aloop.0 >/sys/bus/platform/drivers/snd_aloop/unbind")
    reason = machine.wait("the card is gone", lambda: not card()["is_open"] and card().get("reason"), 20)
    machine.sh("echo snd_aloop.0 >/sys/bus/platform/drivers/snd_aloop/bind")
    machine.wait("the card listens again", lambda: card()["is_open"], 20)
    check(f"a card that is pulled out and put back listens again ({reason})", True)
    # The daemon is frozen for longer than the card's buffer: an overrun.
    pid = machine.sh("pgrep -f 'edge-aggregator run' | head -n 1").strip()
    machine.ask("start", name="aplay", command=["aplay", "-q", "-D", "hw:Loopback,0,0", "-f", "S16_LE", "-r", "48000", "-c", "1", path], environment={})
    time.sleep(0.5)
    machine.sh(f"kill -STOP {pid}; sleep 2; kill -CONT {pid}")
    machine.wait("an overrun", lambda: card()["overruns"] >= 1, 20)
    machine.ask("stop", name="aplay")
    def gaps():
        return [entry for entry in machine.json("/api/v1/ledger?listener=porch")["ledger"] if entry["kind"] == "gap"]
    gap = machine.wait("a gap in the ledger", gaps, 60)[0]
    check(f"an overrun is a gap in the ledger: {gap['seconds']} s", 1 < gap["seconds"] < 6, gap)


CLOCK = """
import ctypes, struct, time
class Timex(ctypes.Structure):
    _fields_ = [("modes", ctypes.c_uint), ("offset", ctypes.c_long), ("freq", ctypes.c_long), ("maxerror", ctypes.c_long),
                ("esterror", ctypes.c_long), ("status", ctypes.c_int), ("rest", ctypes.c_byte * 256)]
# ADJ_STATUS, ADJ_MAXERROR, ADJ_ESTERROR; STA_UNSYNC is 64.
state = Timex(modes=0x10 | 0x4 | 0x8, status=0 if %d else 64, maxerror=1000, esterror=1000)
ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(state))
"""


def clock(machine):
    """The machine's real clock: 1970, then set two years ahead and known to be right, then back by an hour."""
    def set_clock(seconds, is_known):
        machine.sh(f"date -s @{seconds} >/dev/null; python3 - <<'E'\n{CLOCK % is_known}\nE")
    # One sensor alone: the adapter's driver lets go only when everything on its way has timed out.
    settings = re.sub(r"(?s)sound_cards:.*", "sensors:\n  panel: ina219 bus=MCP2221 interval=0.5\n", SETTINGS)
    machine.sh(f"rm -rf {BASE}; mkdir {BASE}; cat >{BASE}/settings.yaml <<'E'\n{settings.replace('interval_sec: 1', 'interval_sec: 0')}E")
    set_clock(1000, False)
    box = Box(machine)
    box.start()
    box.wait_state("panel", "ok")
    machine.ask("unplug")
    box.wait_state("panel", "absent")
    check("an adapter that is pulled out is an absence", True)
    machine.ask("plug")
    box.wait_state("panel", "ok")
    check("it is found again by its name", True)
    def kept():
        return box.observations("panel", "voltage")
    machine.wait("readings in 1970", lambda: len(kept()) >= 3)
    early = kept()
    check("without a clock they are marked", all(o["time_quality"] == "unsynchronised" for o in early), early[0])
    right = 1_858_800_000
    set_clock(right, True)
    machine.wait("readings in 2028", lambda: any(o["at"] > "2028" and o["time_quality"] == "live" for o in kept()))
    moved = machine.wait("they are moved", lambda: (lambda all_: all(o["at"] > "2028" for o in all_) and all_)(kept()))
    check("what was heard in 1970 has its right time once the clock is known", len(moved) >= len(early) + 1, moved[-1])
    set_clock(right - 3600, True)
    machine.wait("it goes on an hour before", lambda: any("T" in o["at"] and o["at"] < moved[0]["at"] for o in kept()[:1]) or len(kept()) > len(moved) + 3)
    after = kept()
    check("none is there twice", len({o["at"] for o in after}) == len(after), len(after))
    # The clock was right before it was set back wrongly: nothing that was stamped by it is moved.
    times = {o["at"] for o in after}
    check("what was right stays", {o["at"] for o in moved} <= times)
    check("and the daemon ends as it should", box.stop() == 0)


def ends(machine, box):
    check("the daemon ends as it should", box.stop() == 0, machine.ask("log", name="daemon")["text"][-2000:])
    names = machine.sh(f"ls {BASE}/recordings/porch").split()
    check("the card's recordings are on the disk", len(names) >= 1, names)
    # The player may be late in an emulated machine, and leave silence; what is heard between must be the tone.
    periods = []
    for name in names:
        data = base64.b64decode(machine.sh(f"base64 {BASE}/recordings/porch/{name}"))[44:]
        values = struct.unpack(f"<{len(data) // 2}h", data)
        crossings = [i for i in range(1, len(values)) if values[i - 1] < 0 <= values[i]]
        periods += [b - a for a, b in zip(crossings, crossings[1:])]
    share = sum(1 for period in periods if 47 <= period <= 49) / max(1, len(periods))
    check(f"{len(periods)} periods of the tone, {share:.1%} of them 48 samples long", len(periods) > 50 and share > 0.95, names)


def doctor(machine, wanted):
    text = machine.ask("sh", command=f"CONFIG_PATH={BASE}/settings.yaml {DAEMON} doctor")["text"]
    for words in wanted:
        check(f"doctor says: {words}", words in text, text)


def main():
    machine = Machine(sys.argv[1])
    try:
        print(f"{time.monotonic() - started:6.1f}  the machine is up ({machine.accel})", flush=True)
        machine.sh(f"mkdir -p {BASE} /edge-machine/serial && cat >{BASE}/settings.yaml <<'E'\n{SETTINGS}E")
        machine.ask("start", name="serial", command=["python3", f"{ROOT}/Tests/Doubles/serial_sensors.py", "/edge-machine/serial"], environment={})
        machine.wait("serial sensors", lambda: machine.sh("ls /edge-machine/serial/s8"))
        for library in ["1", "2"]:
            text = machine.sh(f"{os.path.abspath(sys.argv[2])}/gpio-check-{library}")
            check(f"the shim over {text.splitlines()[0]}", "all well" in text, text)
        box = Box(machine)
        box.start()
        readings(machine, box)
        recalibration(machine, box)
        lines(machine, box)
        outputs(machine, box)
        sound(machine, box)
        faults(machine, box)
        stuck(machine, box)
        doctor(machine, ["MCP2221 usb-i2c bridge", "GPIO17 (edge-aggregator)", "voltage 11.98 V, says the running daemon"])
        ends(machine, box)
        doctor(machine, [
            "(MCP2221 usb-i2c bridge): 0x23, 0x36, 0x40, 0x41, 0x44, 0x61, 0x62, 0x68, 0x76 answer",
            "chip=pinctrl-bcm2711 (now gpiochip0), 54 lines, named GPIO17 GPIO18 GPIO22", "chip=mcp2221_gpio", "sensor panel: ina219 at /dev/i2c-0 0x40: voltage 11.98",
            "nothing answers; is it wired, is this its address", "device=hw:CARD=Loopback,DEV=1"])
        clock(machine)
        print(f"{time.monotonic() - started:6.1f}  hardware: all well", flush=True)
    except Exception:
        try:
            print(machine.ask("log", name="daemon")["text"][-6000:])
        except Exception as error:
            print(error)
        print("\n".join(machine.console[-30:]))
        raise
    finally:
        machine.off()


main()
