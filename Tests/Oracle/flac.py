"""FLAC (RFC 9639): a small encoder for uploads, and the reading of recordings."""

import hashlib

import formats
import native

BLOCK = 4096


class Damaged(Exception):
    pass


def _crc8(data):
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x07) & 0xFF if crc & 0x80 else crc << 1
    return crc


def _coded_number(value):
    """As UTF-8 codes characters."""
    return chr(value).encode("utf-8", "surrogatepass")


def _signed(form, sound):
    """8-bit samples are signed in FLAC."""
    return bytes(sound).translate(bytes(value ^ 0x80 for value in range(256))) if form.encoding == formats.UNSIGNED8 else bytes(sound)


def encode(form, sound):
    """Verbatim subframes: no compression, every sample as it is."""
    width, channels = form.bytes_per_sample, form.channels
    signed = _signed(form, sound)
    frames = len(signed) // form.bytes_per_frame
    info = BLOCK.to_bytes(2, "big") * 2 + bytes(6)
    info += (form.rate << 44 | (channels - 1) << 41 | (width * 8 - 1) << 36 | frames).to_bytes(8, "big") + hashlib.md5(signed).digest()
    parts = [b"fLaC", b"\x80", len(info).to_bytes(3, "big"), info]
    size_code = {1: 1, 2: 4, 3: 6}[width]
    for number, start in enumerate(range(0, frames, BLOCK)):
        block = signed[start * form.bytes_per_frame:(start + BLOCK) * form.bytes_per_frame]
        count = len(block) // form.bytes_per_frame
        head = b"\xff\xf8" + bytes([7 << 4, (channels - 1) << 4 | size_code << 1]) + _coded_number(number) + (count - 1).to_bytes(2, "big")
        frame = bytearray(head + bytes([_crc8(head)]))
        for channel in range(channels):
            samples = bytearray(count * width)
            for byte in range(width):
                samples[width - 1 - byte::width] = block[channel * width + byte::form.bytes_per_frame]
            frame += b"\x02" + samples
        parts.append(bytes(frame) + native.crc16(frame).to_bytes(2, "big"))
    return b"".join(parts)


def decode(data):
    """The format and the sound of a file, as it would stand in a WAV file. Everything that can be checked is."""
    if data[:4] != b"fLaC":
        raise Damaged("it does not begin with fLaC")
    at, info, is_last = 4, None, False
    while not is_last:
        if at + 4 > len(data):
            raise Damaged(f"its metadata blocks are cut off after {len(data)} bytes")
        is_last, kind, length = data[at] >> 7, data[at] & 0x7F, int.from_bytes(data[at + 1:at + 4], "big")
        if kind == 0:
            info = data[at + 4:at + 4 + length]
        at += 4 + length
    if info is None or len(info) != 34:
        raise Damaged("it has no whole STREAMINFO block")
    packed = int.from_bytes(info[10:18], "big")
    rate, channels, bits, total = packed >> 44, (packed >> 41 & 7) + 1, (packed >> 36 & 31) + 1, packed & (1 << 36) - 1
    width = bits // 8
    form = formats.Format({1: formats.UNSIGNED8, 2: formats.SIGNED16, 3: formats.SIGNED24}[width], channels, rate)
    samples, count = native.flac_decode(data[at:], channels, bits, total)
    if count != total:
        raise Damaged(f"it says {total} sample frames, and can be decoded up to {count if count >= 0 else -1 - count}")
    signed = bytearray(len(samples) // 4 * width)
    for byte in range(width):
        signed[byte::width] = samples[byte::4]
    if any(info[18:34]) and hashlib.md5(signed).digest() != info[18:34]:
        raise Damaged("its MD5 is not that of its sound")
    return form, _signed(form, signed)
