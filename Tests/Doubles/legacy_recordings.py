#!/usr/bin/env python3
"""Files as the replaced receiver left them on the disk, and another program's view of them.

    legacy_recordings.py make FOLDER KIND:LISTENER:STAMP:SAMPLES ...
    legacy_recordings.py read PATH          prints frames, rate, channels, bits and sha256 of the sound, by Python's wave
    legacy_recordings.py hold PATH          opens a file to write on, says so, and waits for the end of its standard input

FOLDER is its base folder: finished recordings are in recordings/, LISTENER_STAMP.wav, unfinished ones in recordings_tmp/, with .tmp at the
end. STAMP is UTC, as in 20260101T120000Z. All sound is 16 bits, mono, 48 kHz; sample n has the value n modulo 65536.

Kinds: finished; uploaded (an upload keeps its suffix, here WAV, and its chunks); unsized (finished, the sizes in the header are 0);
unfinished (the header of a stream that sent none: sizes of 0); headed (unfinished, with the header of 450 bytes that the listener sent,
whose sizes are those of another file); odd (unfinished, with half a sample at the end).
"""

import array
import calendar
import hashlib
import os
import struct
import sys
import time
import wave


def sound(samples):
    values = array.array("H", (n & 0xFFFF for n in range(samples)))
    if sys.byteorder == "big":
        values.byteswap()
    return values.tobytes()


def header(riff, data, between=b""):
    return (
        b"RIFF" + struct.pack("<I", riff) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 48000, 96000, 2, 16)
        + between + b"data" + struct.pack("<I", data)
    )


def content(kind, samples):
    pcm = sound(samples)
    listing = b"LIST" + struct.pack("<I", 398) + b" " * 398
    if kind == "finished":
        return header(36 + len(pcm), len(pcm)) + pcm
    if kind == "uploaded":
        after = b"LIST" + struct.pack("<I", 4) + b"INFO"
        return header(36 + len(listing) + len(pcm) + len(after), len(pcm), listing) + pcm + after
    if kind == "headed":
        return header(36 + len(listing) + 1933312, 1933312, listing) + pcm
    return header(0, 0) + pcm + (b"\x7f" if kind == "odd" else b"")


def make(folder, orders):
    for order in orders:
        kind, listener, stamp, samples = order.split(":")
        is_finished = kind in ("finished", "uploaded", "unsized")
        name = f"{listener}_{stamp}" + (".WAV" if kind == "uploaded" else ".wav") + ("" if is_finished else ".tmp")
        place = os.path.join(folder, "recordings" if is_finished else "recordings_tmp")
        os.makedirs(place, exist_ok=True)
        path = os.path.join(place, name)
        with open(path, "wb") as file:
            file.write(content(kind, int(samples)))
        seconds = calendar.timegm(time.strptime(stamp, "%Y%m%dT%H%M%SZ")) + int(samples) / 48000
        os.utime(path, (seconds, seconds))


def main(command, *rest):
    if command == "make":
        make(rest[0], rest[1:])
    elif command == "read":
        with wave.open(rest[0], "rb") as file:
            frames = file.getnframes()
            pcm = file.readframes(frames)
            digest = hashlib.sha256(pcm).hexdigest()
            print(len(pcm) // 2, file.getframerate(), file.getnchannels(), file.getsampwidth() * 8, digest)
    elif command == "hold":
        with open(rest[0], "ab"):
            print("held", flush=True)
            sys.stdin.read()
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(*sys.argv[1:])
