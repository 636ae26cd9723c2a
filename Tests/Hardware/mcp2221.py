"""A Microchip MCP2221 that is not there: HID reports over /dev/uhid, to which the kernel's own driver binds. It makes a real
I2C adapter and a GPIO chip of four lines without interrupts.

The reports are those of the MCP2221 datasheet (DS20005565, §3.1). The adapter takes one message, or a write and a read, a call.
"""

import os
import select
import struct
import threading

CREATE2, DESTROY, START, OUTPUT, GET_REPORT, GET_REPORT_REPLY, INPUT2 = 11, 1, 2, 6, 9, 10, 12
# Vendor-defined, 64 bytes each way.
DESCRIPTOR = bytes([0x06, 0x00, 0xFF, 0x09, 0x01, 0xA1, 0x01, 0x09, 0x02, 0x15, 0x00, 0x26, 0xFF, 0x00, 0x75, 0x08, 0x95, 0x40,
                    0x81, 0x02, 0x09, 0x03, 0x15, 0x00, 0x26, 0xFF, 0x00, 0x75, 0x08, 0x95, 0x40, 0x91, 0x02, 0xC0])


class MCP2221:
    def __init__(self, chips):
        self.chips = chips
        #: It answers nothing. Its driver, bound anew, finds it well again.
        self.is_stuck = False
        #: The data line is held at 0: each address is acknowledged, each byte reads as 0.
        self.is_held_low = False
        self.values = [0, 0, 0, 0]
        self.directions = [1, 1, 1, 1]
        self.transactions = 0
        self._file = None
        self._written = b""
        self._read = b""
        self._has_nack = False

    def plug(self):
        self._file = os.open("/dev/uhid", os.O_RDWR | os.O_CLOEXEC)
        event = struct.pack("<I128s64s64sHHIIII4096s", CREATE2, b"emulated MCP2221", b"", b"", len(DESCRIPTOR), 3, 0x04D8, 0x00DD,
                            0, 0, DESCRIPTOR)
        os.write(self._file, event)
        threading.Thread(target=self._serve, args=(self._file,), daemon=True).start()

    def unplug(self):
        os.write(self._file, struct.pack("<I", DESTROY))
        os.close(self._file)
        self._file = None

    def _serve(self, file):
        while True:
            try:
                event = os.read(file, 4380)
            except OSError:
                return
            kind = struct.unpack_from("<I", event)[0]
            if kind == START:
                self.is_stuck = False
            elif kind == GET_REPORT:
                number = struct.unpack_from("<I", event, 4)[0]
                os.write(file, struct.pack("<IIHH", GET_REPORT_REPLY, number, 5, 0))
            elif kind == OUTPUT and not self.is_stuck:
                size = struct.unpack_from("<H", event, 4 + 4096)[0]
                reply = self._answer(event[4:4 + size].ljust(64, b"\0"))
                try:
                    os.write(file, struct.pack("<IH", INPUT2, 64) + bytes(reply).ljust(64, b"\0"))
                except OSError:
                    return

    def _answer(self, report):
        command = report[0]
        reply = bytearray(64)
        reply[0] = command
        count = report[1] | report[2] << 8
        address = report[3] >> 1
        if command == 0x10:  # Status, set parameters.
            reply[3] = report[3]
            if self._has_nack:
                reply[20] = 0x40
                self._has_nack = False
        elif command in (0x90, 0x94):  # Write; write without a stop.
            self._written += bytes(report[4:4 + min(60, count - len(self._written))])
            if len(self._written) >= count:
                data, self._written = self._written, b""
                self.transactions += 1
                chip = self.chips.get(address)
                self._has_nack = not self.is_held_low and (chip is None or not chip.write(data))
        elif command in (0x91, 0x93):  # Read; read after a repeated start.
            self._written = b""
            self.transactions += 1
            chip = self.chips.get(address)
            self._read = bytes(count) if self.is_held_low else None if chip is None else chip.read(count)
            if self._read is None:
                self._has_nack, self._read = False, b""
                reply[1], reply[2] = 1, 0x25
        elif command == 0x40:  # Get what was read.
            if self._read == "error" or not self._read:
                # The kernel's driver asks for ever where it is given nothing, and no error.
                reply[2], reply[3] = 0x54, 127
            else:
                piece, self._read = self._read[:60], self._read[60:]
                reply[2], reply[3] = (0x54 if self._read else 0x55), len(piece)
                reply[4:4 + len(piece)] = piece
        elif command == 0x51:  # Get GPIO.
            for line in range(4):
                reply[2 + 2 * line], reply[3 + 2 * line] = self.values[line], self.directions[line]
        elif command == 0x50:  # Set GPIO.
            for line in range(4):
                alter_value, value, alter_direction, direction = report[2 + 4 * line:6 + 4 * line]
                reply[2 + 4 * line:6 + 4 * line] = report[2 + 4 * line:6 + 4 * line]
                if alter_value:
                    self.values[line] = value
                if alter_direction:
                    self.directions[line] = direction
        return reply
