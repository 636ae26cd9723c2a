"""Sensors as their datasheets describe them, on an emulated I2C bus. Nothing here is shared with the code under test."""

import struct
import time


def crc8(data):
    """Sensirion: polynomial 0x31, start 0xFF."""
    crc = 0xFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x31 if crc & 0x80 else crc << 1) & 0xFF
    return crc


def words(*values):
    data = b""
    for value in values:
        own = struct.pack(">H", value)
        data += own + bytes([crc8(own)])
    return data


class Chip:
    """One address. `fault` is what it does wrong: nack, crc, short, error, zeros, ones; empty for nothing."""

    def __init__(self):
        self.fault = ""
        self.answer = b""

    def write(self, data):
        """What the master writes. Returns whether it is acknowledged."""
        if self.fault == "nack":
            return False
        self.take(data)
        return True

    def read(self, count):
        """What the master reads; None when nobody acknowledges, "error" when the adapter fails."""
        if self.fault == "nack":
            return None
        if self.fault == "error":
            return "error"
        if self.fault in ("zeros", "ones"):
            return (b"\x00" if self.fault == "zeros" else b"\xff") * count
        data = (self.give(count) + b"\xff" * count)[:count]
        if self.fault == "crc" and count >= 3:
            data = data[:2] + bytes([data[2] ^ 0x55]) + data[3:]
        if self.fault == "short":
            # It lets the line go in the middle: the master reads ones.
            data = data[: count // 2] + b"\xff" * (count - count // 2)
        return data

    def take(self, data):
        raise NotImplementedError

    def give(self, count):
        answer, self.answer = self.answer, b""
        return answer


class SCD4x(Chip):
    """Datasheet 1.4: the example of §3.5.2 is 500 ppm, 25 degrees C, 37 %."""

    def __init__(self):
        super().__init__()
        self.reading = (500, 0x6667, 0x5EB9)
        self.measures = False
        self.recalibrated = None

    def take(self, data):
        command = struct.unpack(">H", data[:2])[0] if len(data) >= 2 else 0
        if command == 0x3F86:
            self.measures = False
        elif command == 0x21B1:
            self.measures = True
        elif command == 0x3682:
            self.answer = words(0xF896, 0x9F07, 0x3BBE)
        elif command == 0xE4B8:
            self.answer = words(0x8006 if self.measures else 0x8000)
        elif command == 0xEC05:
            self.answer = words(*self.reading)
        elif command == 0x362F and crc8(data[2:4]) == data[4]:
            # §3.7.1: the example's correction, -50 ppm.
            self.recalibrated = struct.unpack(">H", data[2:4])[0]
            self.answer = words(0x7FCE)


class SCD30(Chip):
    """Interface description §1.5: CO2 439.09 ppm, 27.2 degrees C, 48.8 %."""

    def __init__(self):
        super().__init__()
        self.measures = False

    def take(self, data):
        command = struct.unpack(">H", data[:2])[0] if len(data) >= 2 else 0
        if command == 0x0010:
            self.measures = True
        elif command == 0x0202:
            self.answer = words(1 if self.measures else 0)
        elif command == 0x0300:
            self.answer = words(0x43DB, 0x8C2E, 0x41D9, 0xE7FF, 0x4243, 0x3A1B)


class Registers(Chip):
    """A chip of registers: the first byte written says which."""

    def __init__(self, registers):
        super().__init__()
        self.registers = dict(registers)
        self.at = 0

    def take(self, data):
        self.at = data[0] if data else 0
        for offset, byte in enumerate(data[1:]):
            self.registers[self.at + offset] = byte

    def set(self, register, data):
        self.registers.update({register + offset: byte for offset, byte in enumerate(data)})

    def give(self, count):
        return bytes(self.registers.get(self.at + offset, 0) for offset in range(count))


class BME280(Registers):
    """Soft reset, forced mode, and data registers that hold nothing before a measurement (BST-BME280-DS002, Table 18, §5.4).

    `fault` may be "brownout": it converts, and its pressure is near 700 hPa until a soft reset (github.com/esphome/issues 3383).
    """

    #: Near 700 hPa with the calibration of the example.
    SICK_PRESSURE = bytes([0x90, 0xF0, 0x00])

    def __init__(self, registers, data):
        super().__init__(registers)
        self.data = data
        self.reset()

    def reset(self):
        self.set(0xF2, bytes(5))
        self.set(0xF7, bytes([0x80, 0, 0, 0x80, 0, 0, 0x80, 0]))

    def take(self, data):
        super().take(data)
        if data == b"\xe0\xb6":
            self.reset()
            if self.fault == "brownout":
                self.fault = ""
        elif len(data) == 2 and data[0] == 0xF4 and data[1] & 3 in (1, 2):
            self.set(0xF7, self.data if self.registers[0xF2] & 7 else self.data[:6] + b"\x80\x00")
            if self.fault == "brownout":
                self.set(0xF7, self.SICK_PRESSURE)
            # It sleeps after the measurement.
            self.registers[0xF4] = data[1] & 0xFC


def bme280():
    """BST-BMP280-DS001 §3.12's example: raw 519888 and 415148 are 25.08 degrees C and 1006.53 hPa."""
    calibration = struct.pack("<HhhHhhhhhhhh", 27504, 26435, -1000, 36477, -10685, 3024, 2855, 140, -7, 15500, -14600, 6000)
    registers = {0x88 + i: byte for i, byte in enumerate(calibration)}
    registers[0xD0] = 0x60
    # H1 75, H2 362, H3 0, H4 313, H5 50, H6 30.
    registers[0xA1] = 75
    for i, byte in enumerate(struct.pack("<hB", 362, 0) + bytes([313 >> 4, 313 & 0xF | (50 & 0xF) << 4, 50 >> 4, 30])):
        registers[0xE1 + i] = byte
    pressure, temperature = 415148, 519888
    data = [pressure >> 12, pressure >> 4 & 0xFF, pressure << 4 & 0xF0, temperature >> 12, temperature >> 4 & 0xFF,
            temperature << 4 & 0xF0, 28000 >> 8, 28000 & 0xFF]
    return BME280(registers, bytes(data))


def bme280_humidity():
    """The same by the datasheet's formula in floating point (BST-BME280-DS002 §8.1)."""
    fine = 128422.2869948
    value = fine - 76800
    value = (28000 - (313 * 64 + 50 / 16384 * value)) * (
        362 / 65536 * (1 + 30 / 67108864 * value * (1 + 0 / 67108864 * value)))
    return value * (1 - 75 * value / 524288)


class Words(Chip):
    """Registers of two bytes, the high one first."""

    def __init__(self, registers):
        super().__init__()
        self.registers = dict(registers)
        self.at = 0

    def take(self, data):
        self.at = data[0] if data else 0
        if len(data) == 3:
            self.registers[self.at] = struct.unpack(">H", data[1:])[0]

    def give(self, count):
        return struct.pack(">H", self.registers.get(self.at, 0))


class SHT4x(Chip):
    def take(self, data):
        if data[:1] == b"\xfd":
            self.answer = words(0x6666, 0x72B0)


class BH1750(Chip):
    def take(self, data):
        # §"Measurement sequence example": 0x8390 is 28067 lx.
        self.answer = b"\x83\x90"

    def give(self, count):
        return b"\x83\x90"


class DS3231(Chip):
    """The machine's own time and so many seconds more; 25.25 degrees C."""

    def __init__(self, offset=0):
        super().__init__()
        self.offset = offset

    def take(self, data):
        pass

    def give(self, count):
        now = time.gmtime(int(time.time()) + self.offset)
        decimal = lambda value: value // 10 << 4 | value % 10
        registers = [decimal(now.tm_sec), decimal(now.tm_min), decimal(now.tm_hour), now.tm_wday + 1, decimal(now.tm_mday),
                     decimal(now.tm_mon), decimal(now.tm_year % 100)] + [0] * 10 + [0x19, 0x40]
        return bytes(registers)


def all_chips():
    return {
        0x62: SCD4x(), 0x61: SCD30(), 0x76: bme280(),
        # INA219 (SBOS448G §8.6): 11.98 V and a finished conversion; 10 mV over 0.1 ohm.
        0x40: Words({0x00: 0x399F, 0x02: 2995 << 3 | 2, 0x01: 1000}),
        # INA226 (SBOS547A §7.6): 12 V, 2.5 mV over 0.1 ohm, conversions that are done.
        0x41: Words({0xFE: 0x5449, 0x00: 0x4127, 0x06: 0x0008, 0x02: 9600, 0x01: 1000}),
        # MAX17048: 4 V, 75 %; it was reset, as at each start of its power.
        0x36: Words({0x08: 0x0012, 0x02: 51200, 0x04: 0x4B00, 0x1A: 0x0100}),
        0x44: SHT4x(), 0x23: BH1750(), 0x68: DS3231(100),
    }
