"""Sound formats, WAV headers, and where sound comes from."""

import dataclasses
import struct

import native

UNSIGNED8, SIGNED16, SIGNED24, SIGNED32, FLOAT32 = range(5)
NAMES = ("unsigned8", "signed16", "signed24", "signed32", "float32")
WIDTHS = (1, 2, 3, 4, 4)
RATES = (8000, 11025, 16000, 22050, 32000, 44100, 48000, 48000, 48000, 96000, 192000, 384000)
# The highest byte of a float between -2 and 2 that is neither tiny nor infinite.
_FLOAT_TOP = bytes((0x3C + (value & 3)) | (value & 0x80) for value in range(256))


@dataclasses.dataclass(frozen=True)
class Format:
    encoding: int
    channels: int
    rate: int

    @property
    def bytes_per_sample(self):
        return WIDTHS[self.encoding]

    @property
    def bytes_per_frame(self):
        return WIDTHS[self.encoding] * self.channels

    @property
    def bytes_per_second(self):
        return self.bytes_per_frame * self.rate

    @property
    def silence(self):
        return 0x80 if self.encoding == UNSIGNED8 else 0

    @property
    def is_flac_capable(self):
        return self.encoding in (UNSIGNED8, SIGNED16, SIGNED24)

    def nanoseconds(self, frames):
        return frames * 1_000_000_000 // self.rate

    def __str__(self):
        return f"{NAMES[self.encoding]} x{self.channels} at {self.rate} Hz"


def draw_format(chance):
    return Format(
        chance.choice((UNSIGNED8, SIGNED16, SIGNED16, SIGNED24, SIGNED32, FLOAT32)), chance.choice((1, 1, 1, 1, 2, 2, 3, 4, 6, 8)),
        chance.choice(RATES))


def _chunk(tag, body):
    return tag + struct.pack("<I", len(body)) + body + b"\0" * (len(body) & 1)


def fmt_chunk(form, extensible=False, tag=None, bits=None):
    tag = tag if tag is not None else 3 if form.encoding == FLOAT32 else 1
    bits = bits if bits is not None else form.bytes_per_sample * 8
    align = bits // 8 * form.channels
    body = struct.pack("<HHIIHH", 0xFFFE if extensible else tag, form.channels, form.rate, form.rate * align, align, bits)
    if extensible:
        body += struct.pack("<HHIH", 22, bits, 0, tag) + bytes.fromhex("000000001000800000aa00389b71")
    return _chunk(b"fmt ", body)


STYLES = ("plain", "plain", "list", "junk", "extensible", "odd", "rf64")


def wav_header(form, chance=None, data_bytes=0, most_extra=6000, styles=STYLES):
    """Everything before the sound; with `chance`, in one of the forms that recorders write."""
    before = between = b""
    start, extensible = b"RIFF", False
    if chance is not None:
        style = chance.choice(styles)
        extensible = style == "extensible"
        filler = bytes(chance.choices(b"abcdefgh RIFFWAVEfmt", k=chance.randrange(1, most_extra)))
        if style == "list":
            between = _chunk(b"LIST", filler)
        if style == "junk":
            before = _chunk(b"JUNK", filler)
        if style == "odd":
            before, between = _chunk(b"PAD ", filler[: len(filler) // 2 * 2] + b"x"), _chunk(b"note", b"\1\2\3")
        if style == "rf64":
            start, before = b"RF64", _chunk(b"ds64", bytes(28))
    body = b"WAVE" + before + fmt_chunk(form, extensible) + between + b"data" + struct.pack("<I", data_bytes)
    return start + struct.pack("<I", (len(body) + data_bytes) & 0xFFFFFFFF) + body


class Source:
    """Sound without end in one format.

    `random`: any bytes, to be cut at whole sample frames only; `smooth`: what tells where a sample begins, so that it may
    be cut anywhere; `tone`: what looks the same at every sample rate.
    """

    HERTZ = 220.0

    def __init__(self, chance, form, kind):
        self.chance, self.form, self.kind = chance, form, kind
        self.seed = chance.getrandbits(63)
        self.position = 0
        self.rest = b""

    def take(self, count):
        if count <= len(self.rest):
            taken, self.rest = self.rest[:count], self.rest[count:]
            return taken
        width = self.form.bytes_per_frame
        frames = -(-(count - len(self.rest)) // width)
        sound = self.rest + bytes(self._make(frames))
        self.rest = sound[count:]
        return sound[:count]

    def align(self):
        """Drops the rest of a sample frame that was begun."""
        self.rest = self.rest[len(self.rest) // self.form.bytes_per_frame * self.form.bytes_per_frame:]

    def _make(self, frames):
        form, position = self.form, self.position
        self.position += frames
        if self.kind == "smooth":
            return native.smooth(form.encoding, form.channels, position, frames, self.seed, form.bytes_per_frame)
        if self.kind == "tone":
            return native.tone(form.encoding, form.channels, form.rate, position, frames, self.HERTZ, form.bytes_per_frame)
        made = bytearray(self.chance.randbytes(frames * form.bytes_per_frame))
        if form.encoding == FLOAT32:
            made[3::4] = made[3::4].translate(_FLOAT_TOP)
        return made
