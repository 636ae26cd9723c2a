#!/usr/bin/env python3
"""Draws docs/pictures/*.svg: how each kind of sensor is wired to a Raspberry Pi's header.

    scripts/draw-wiring.py
"""

import html
import os

FOLDER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "docs", "pictures")
#: The header, as it is printed on the board's plan: number to name.
HEADER = {1: "3V3", 2: "5V", 3: "GPIO2 SDA", 4: "5V", 5: "GPIO3 SCL", 6: "GND", 7: "GPIO4", 8: "GPIO14 TXD", 9: "GND", 10: "GPIO15 RXD",
          11: "GPIO17", 12: "GPIO18", 13: "GPIO27", 14: "GND", 15: "GPIO22", 16: "GPIO23", 17: "3V3", 18: "GPIO24", 19: "GPIO10",
          20: "GND", 21: "GPIO9", 22: "GPIO25", 23: "GPIO11", 24: "GPIO8", 25: "GND", 26: "GPIO7"}
COLOURS = {"3V3": "#d1242f", "5V": "#d1242f", "GND": "#24292f", "SDA": "#0969da", "SCL": "#bf8700", "data": "#1a7f37",
           "TXD": "#8250df", "RXD": "#1a7f37"}
I2C = [(1, "VDD", "3V3"), (6, "GND", "GND"), (3, "SDA", "SDA"), (5, "SCL", "SCL")]
#: File, title, notes, wires (pin of the header, the sensor's pin, colour), resistors (between two of the header's pins).
DRAWINGS = [
    ("scd4x", "Sensirion SCD40, SCD41", ["I2C 0x62, 2.4 to 5.5 V", "up to 205 mA for a moment: short wires"], I2C, None),
    ("scd30", "Sensirion SCD30", ["I2C 0x61, 3.3 to 5.5 V", "SEL open or to GND chooses I2C", "stretches the clock: i2c_arm_baudrate=50000"],
     [(2, "VDD", "5V"), (6, "GND", "GND"), (3, "RX/SDA", "SDA"), (5, "TX/SCL", "SCL")], None),
    ("bme280", "Bosch BME280, BMP280", ["I2C 0x76 with SDO to GND, 0x77 with SDO to VDD", "CSB to VDD chooses I2C"], I2C, None),
    ("sht", "Sensirion SHT3x, SHT4x", ["I2C 0x44; SHT3x 0x45 with ADDR to VDD"], I2C, None),
    ("bh1750", "ROHM BH1750", ["I2C 0x23 with ADDR to GND, 0x5C with ADDR to VDD"], I2C, None),
    ("ina219", "Texas Instruments INA219, INA226", ["I2C 0x40 with A0, A1 to GND", "the load's plus goes through VIN+ and VIN-", "grounds of load and Pi together"], I2C, None),
    ("max17048", "Maxim MAX17048", ["I2C 0x36", "its VDD is the cell's plus, never the Pi's 3.3 V", "grounds together"],
     [(6, "GND", "GND"), (3, "SDA", "SDA"), (5, "SCL", "SCL")], None),
    ("ds3231", "Maxim DS3231", ["I2C 0x68", "a cell in its holder, unless the board charges it"], I2C, None),
    ("ds18b20", "Maxim DS18B20", ["1-Wire, dtoverlay=w1-gpio", "4.7 kΩ between data and 3.3 V, once for all"],
     [(1, "VDD", "3V3"), (7, "DQ", "data"), (6, "GND", "GND")], (1, 7, "4.7 kΩ")),
    ("senseair", "Senseair S8, K30", ["serial, 9600 baud, 3.3 V levels", "enable_uart=1, no console on the port"],
     [(2, "G+", "5V"), (6, "G0", "GND"), (8, "UART_RxD", "TXD"), (10, "UART_TxD", "RXD")], None),
    ("mhz19", "Winsen MH-Z19", ["serial, 9600 baud, 3.3 V levels", "enable_uart=1, no console on the port"],
     [(2, "Vin", "5V"), (6, "GND", "GND"), (8, "RXD", "TXD"), (10, "TXD", "RXD")], None),
    ("explorir", "GSS ExplorIR-W", ["serial, 9600 baud, 3.3 V", "enable_uart=1, no console on the port"],
     [(1, "3V3", "3V3"), (6, "GND", "GND"), (8, "Rx", "TXD"), (10, "Tx", "RXD")], None),
    ("gpio_counter", "Rain gauge, any contact that pulses", ["line=GPIO17 pull=up edge=falling debounce_ms=20", "no more than 3.3 V at the pin"],
     [(11, "contact", "data"), (9, "contact", "GND")], None),
    ("gpio_input", "Door contact, float", ["line=GPIO27 pull=up active=low", "no more than 3.3 V at the pin"],
     [(13, "contact", "data"), (14, "contact", "GND")], None),
    ("output", "Relay board, sensor power", ["line=GPIO22 active=low", "the coil's current never comes from the pin"],
     [(2, "VCC", "5V"), (6, "GND", "GND"), (15, "IN", "data")], None),
]


def draw(name, title, notes, wires, resistor):
    rows = 13
    height = 96 + rows * 22
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 620 {height}" width="620" height="{height}" '
             'font-family="DejaVu Sans, sans-serif" font-size="11">',
             f'<title>{html.escape(title)}</title>', '<rect width="100%" height="100%" fill="#ffffff"/>',
             f'<text x="16" y="26" font-size="16" font-weight="bold" fill="#24292f">{html.escape(title)}</text>']
    # The header: odd pins left, even pins right, pin 1 at the top.
    parts.append(f'<rect x="112" y="48" width="48" height="{rows * 22 + 8}" rx="4" fill="#1f2328"/>')
    places = {}
    used = {pin for pin, _, _ in wires}
    for pin, label in HEADER.items():
        x, y = (125 if pin % 2 else 147), 63 + (pin - 1) // 2 * 22
        places[pin] = (x, y)
        colour = "#f6c344" if pin in used else "#57606a"
        shape = (f'<rect x="{x - 6}" y="{y - 6}" width="12" height="12" fill="{colour}"/>' if pin == 1
                 else f'<circle cx="{x}" cy="{y}" r="6" fill="{colour}"/>')
        parts.append(shape)
        anchor, at = ("end", 106) if pin % 2 else ("start", 166)
        weight = "bold" if pin in used else "normal"
        parts.append(f'<text x="{at}" y="{y + 4}" text-anchor="{anchor}" font-weight="{weight}" fill="#24292f">{label}</text>')
    # The sensor.
    top = 150
    parts.append(f'<rect x="440" y="{top - 22}" width="150" height="{len(wires) * 30 + 24}" rx="8" fill="#eaf5ee" stroke="#1a7f37"/>')
    for number, (pin, label, colour) in enumerate(wires):
        x, y = places[pin]
        end = top + number * 30
        stroke = COLOURS[colour]
        # Out of the header between two rows, down a track of its own, and over to the sensor.
        track = 380 - number * 26
        out = y - 8 if pin % 2 else y + 8
        path = f"M {x} {y} L {x} {out} L {track} {out} L {track} {end} L 440 {end}"
        parts.append(f'<path d="{path}" fill="none" stroke="#ffffff" stroke-width="5"/>')
        parts.append(f'<path d="{path}" fill="none" stroke="{stroke}" stroke-width="2.5"/>')
        parts.append(f'<circle cx="440" cy="{end}" r="5" fill="{stroke}"/>')
        parts.append(f'<text x="452" y="{end + 4}" fill="#24292f">{html.escape(label)}</text>')
    if resistor:
        first, second, value = resistor
        tracks = {pin: (0, top + n * 30) for n, (pin, _, _) in enumerate(wires)}
        (_, a), (_, b) = tracks[first], tracks[second]
        parts.append(f'<path d="M 410 {a} L 410 {b}" stroke="#24292f" stroke-width="2"/>')
        parts.append(f'<rect x="404" y="{(a + b) / 2 - 8}" width="12" height="16" fill="#ffffff" stroke="#24292f"/>')
        parts.append(f'<text x="392" y="{a - 8}" fill="#24292f">{value}</text>')
        parts += [f'<circle cx="410" cy="{y}" r="3.5" fill="#24292f"/>' for y in (a, b)]
    for number, note in enumerate(notes):
        parts.append(f'<text x="300" y="{top + len(wires) * 30 + 46 + number * 20}" fill="#57606a">{html.escape(note)}</text>')
    parts.append("</svg>\n")
    with open(f"{FOLDER}/{name}.svg", "w") as file:
        file.write("\n".join(parts))


for drawing in DRAWINGS:
    draw(*drawing)
