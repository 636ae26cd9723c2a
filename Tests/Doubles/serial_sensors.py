"""CO2 sensors on pseudo terminals, by their makers' protocols.

    serial_sensors.py FOLDER

It makes FOLDER/s8, FOLDER/mhz19 and FOLDER/explorir, links to the terminals, and prints `listening 0`. What FOLDER/mood says
decides how they answer: `well`, `silent`, `garbled`, or `broken`: then the S8 has an error bit in its meter status, the MH-Z19
says that it has just started (500 ppm, U = 15000), and the ExplorIR streams as after power-on. The value is 612 ppm (610 for
the ExplorIR, which counts tens).
"""

import os
import pty
import sys
import threading
import tty

FOLDER = sys.argv[1]


def mood():
    try:
        return open(f"{FOLDER}/mood").read().strip()
    except OSError:
        return "well"


def modbus(data):
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
    return bytes([crc & 0xFF, crc >> 8])


def s8(request):
    if len(request) < 8:
        return None
    # Senseair, TDE2067: input registers 1 to 4, the meter's status and the CO2 among them.
    assert request[:8] == bytes.fromhex("fe04000000 04e5c6".replace(" ", ""))
    status = 1 if mood() == "broken" else 0
    answer = bytes([0xFE, 4, 8, 0, status, 0, 0, 0, 0]) + (612).to_bytes(2, "big")
    return answer + modbus(answer)


def mhz19(request):
    if len(request) < 9:
        return None
    assert request[:9] == bytes.fromhex("ff0186000000000079")
    values = (500, 0x4701, 15000) if mood() == "broken" else (612, 0x4740, 10977)
    answer = bytes([0xFF, 0x86]) + b"".join(value.to_bytes(2, "big") for value in values)
    return answer + bytes([(256 - sum(answer[1:]) % 256) % 256])


def explorir(request):
    if not request.endswith(b"\r\n"):
        return None
    if mood() == "broken":
        return b" Z 00061 z 00061\r\n"
    return {b"K 2\r\n": b" K 00002\r\n", b".\r\n": b" . 00010\r\n", b"Z\r\n": b" Z 00061\r\n"}.get(request, b" ?\r\n")


def serve(name, answer_to):
    master, slave = pty.openpty()
    tty.setraw(slave)
    path = f"{FOLDER}/{name}"
    if os.path.lexists(path):
        os.unlink(path)
    os.symlink(os.ttyname(slave), path)

    def work():
        pending = b""
        while True:
            pending += os.read(master, 100)
            answer = answer_to(pending)
            if answer is None:
                continue
            pending = b""
            if mood() == "garbled":
                answer = bytes([answer[0] ^ 0x55]) + answer[1:]
            if mood() != "silent":
                os.write(master, answer)

    threading.Thread(target=work, daemon=True).start()


for name, answer_to in [("s8", s8), ("mhz19", mhz19), ("explorir", explorir)]:
    serve(name, answer_to)
print("listening 0", flush=True)
sys.stdin.read()
