"""Random streams, and how each is sent."""

import json
import time

import formats
import model
import wire

KINDS = ("header and sound", "first byte", "ordinary", "ordinary", "ordinary", "tiny frames", "large frames", "cut samples", "cut samples", "lost bytes", "tone")
STALLED = "stalled"


class Script:
    """The frames of one connection, written as a sender would make them."""

    def __init__(self, chance, settings, kind):
        self.chance, self.settings, self.kind = chance, settings, kind
        self.frames = []
        self.steps = []
        self.form = settings.default_format
        self.number = chance.choice((0, 0, 0, 1, 77, 0xFFFFF0, 0xFFFFFD))
        self.last_audio = 0
        self.sound_seconds = 0.0
        # Where frames end in the middle of samples, the sound has to tell where they begin.
        self.is_cutting = kind in ("cut samples", "lost bytes")
        self.sound_kind = {"tone": "tone", "cut samples": "smooth", "lost bytes": "smooth"}.get(kind, "random")
        self._source = None

    @property
    def source(self):
        if self._source is None:
            self._source = formats.Source(self.chance, self.form, self.sound_kind)
        return self._source

    def say(self, text):
        if not self.steps or self.steps[-1] != text:
            self.steps.append(text)

    def put(self, payload):
        self.frames.append((self.number, bytes(payload)))
        self.number = (self.number + 1) % model.NUMBERS

    def header(self, sound_bytes=0, form=None):
        """A WAV header, alone or with sound behind it."""
        if form is not None:
            self.form, self._source = form, None
        self.source.align()
        self.put(formats.wav_header(self.form, self.chance) + self.sound(sound_bytes))
        self.say(f"header ({self.form}) + {sound_bytes} bytes")

    def sound(self, count):
        self.sound_seconds += count / self.form.bytes_per_second
        return self.source.take(count)

    def audio(self, count, first=None):
        payload = bytearray(self.sound(count))
        if first is not None and payload:
            payload[0] = first
        self.put(payload)
        if count:
            self.last_audio = count

    def skip(self, count):
        """Frames that never come."""
        if count <= self.settings.max_gap_fill_frames:
            self.source.take(count * self.last_audio)
        else:
            # After a longer gap nobody can know where in a sample a frame begins: it begins with a whole one.
            self.source.align()
        self.number = (self.number + count) % model.NUMBERS
        self.say(f"gap of {count}")

    def duplicate(self):
        self.frames.append(self.frames[-1])
        self.say("duplicate")

    def old(self, count):
        number = self.frames[-1][0]
        for back in range(count + 1, 1, -1):
            if number - back > 0:
                self.frames.append((number - back, self.chance.randbytes(self.chance.randint(0, 3000))))
        self.say(f"{count} old frames")

    def metadata(self):
        self.frames.append((model.METADATA, self.chance.randbytes(self.chance.randint(0, 2000))))
        self.say("metadata")

    def restart(self):
        self.source.align()
        self.number = 0
        self.say("sequence 0")

    def reset(self, size):
        """The sender counts anew, without saying so; believed from the sixteenth frame on."""
        if self.number < 60 or size % self.form.bytes_per_frame:
            return
        self.source.align()
        self.number = self.chance.randint(1, self.number - 40)
        for _ in range(18):
            self.audio(size)
        self.say("numbers go back")

    def unusable(self):
        """Frames in a format that is not supported."""
        form = self.form
        chunk = formats.fmt_chunk(form, bits=64) if self.chance.random() < 0.5 else formats.fmt_chunk(formats.Format(form.encoding, 9, form.rate))
        self.put(b"RIFF\0\0\0\0WAVE" + chunk + b"data\0\0\0\0" + self.chance.randbytes(self.chance.randint(0, 400)))
        for _ in range(self.chance.randint(0, 3)):
            self.put(self.chance.randbytes(self.chance.randint(0, 4000)))
        self.say("unsupported format")
        self.header(form=form)

    def nearly_header(self):
        """Sound that begins as a header does."""
        width = self.form.bytes_per_frame
        start = self.chance.choice((b"R", b"RI", b"RIF", b"RIFF", b"RIFFxxxxWAVX", b"RF64", b"BW64", b"B", b"RIFF0000WAV", b"RIFFxxxx" + bytes(40)))
        payload = start + bytes(-len(start) % width) + (self.source.take(width * self.chance.randint(0, 300)) if len(start) > 11 or self.chance.random() < 0.5 else b"")
        if model.parse_header(payload) is None:
            self.put(payload)
            self.last_audio = len(payload)
            self.say("nearly a header")

    def long_header(self):
        """A header whose sound begins beyond the limit is sound."""
        width = self.form.bytes_per_frame
        payload = b"RIFF0000WAVEJUNK" + (9000).to_bytes(4, "little") + self.chance.randbytes(9000) + formats.fmt_chunk(self.form) + b"data\0\0\0\0"
        payload += bytes(-len(payload) % width)
        self.put(payload)
        self.last_audio = len(payload)
        self.say("header beyond the limit")

    def unreadable_header(self):
        self.put(b"RIFF0000WAVE" + formats.fmt_chunk(self.form) + self.chance.choice((b"", b"junk", b"LIST\xff\0\0\0abc")))
        self.say("header without sound")


def _sizes(script):
    """A maker of frame sizes for this stream."""
    chance, width = script.chance, script.form.bytes_per_frame
    whole = lambda count: max(width, count // width * width)
    if script.kind == "header and sound":
        size = whole(chance.choice((960, 960, 200, 1920, 4096, 32768)))
        return lambda: size
    if script.kind == "tiny frames":
        # Below a sample frame only one length, or the receiver has to guess.
        size = 1 if chance.random() < 0.6 else chance.randint(1, 2 * width)
        return lambda: size
    if script.kind == "large frames":
        return lambda: whole(chance.choice((65536, 262_144, 1 << 20, chance.randint(1, 1 << 20))))
    if script.kind == "cut samples":
        if script.form.channels > 1 or chance.random() < 0.5:
            size = chance.choice((32768, 1001, 4097, chance.randint(20 * width, 9000)))
            return lambda: size
        return lambda: chance.randint(40 * width, 6000)
    if script.kind == "lost bytes":
        return lambda: whole(chance.randint(40 * width, 6000))
    style = chance.randrange(3)
    size = whole(int(2 ** chance.uniform(3, 16)))
    if style == 0:
        return lambda: size
    if style == 1:
        return lambda: whole(int(2 ** chance.uniform(2, 15)))
    return lambda: whole(chance.choice((2, 100, 960, 4096, 32768, 40_000)))


def draw_script(chance, settings, kind):
    script = Script(chance, settings, kind)
    form = settings.default_format if chance.random() < 0.25 else formats.draw_format(chance)
    if kind == "lost bytes":
        form = formats.Format(chance.choice((formats.SIGNED16, formats.SIGNED24)), 1, chance.choice((16000, 48000)))
    elif kind == "cut samples":
        form = formats.Format(
            chance.choice((formats.SIGNED16, formats.SIGNED24, formats.SIGNED24, formats.SIGNED32)), chance.choice((1, 1, 1, 2, 3)), form.rate)
    elif kind == "tone":
        form = formats.Format(form.encoding, form.channels, chance.choice([rate for rate in formats.RATES if rate != 48000]))
    if form != settings.default_format or chance.random() < 0.5:
        script.form = form
    sizes = _sizes(script)
    most_bytes = {"tiny frames": 6000, "large frames": 8 << 20}.get(kind, chance.choice((20_000, 300_000, 2_000_000)))
    most_seconds = 60 if kind != "tone" else 20
    if script.form != settings.default_format or (kind == "header and sound") or chance.random() < 0.5:
        if kind == "header and sound":
            script.number = 0
            size = sizes()
            script.header(size, script.form)
        else:
            script.header(0 if chance.random() < 0.5 else _aligned_first(script, sizes), script.form)
    changes = kind in ("ordinary", "first byte", "header and sound", "large frames", "cut samples") and chance.random() < 0.8
    sent = 0
    script.say(f"{script.sound_kind} sound")
    while sent < most_bytes and script.sound_seconds < most_seconds and len(script.frames) < 4000:
        size = sizes()
        if changes and script.last_audio and chance.random() < 0.04:
            _change(script, size)
            if not script.is_cutting and size % script.form.bytes_per_frame:
                # Another format: frames end at whole samples of it.
                sizes = _sizes(script)
                size = sizes()
        first = None
        if kind == "first byte" or (kind == "ordinary" and chance.random() < 0.2):
            first = chance.choice((0x52, 0x52, 0x42, chance.randrange(256))) if script.sound_kind == "random" else None
        script.audio(size, first)
        if kind == "lost bytes" and chance.random() < 0.05 and size > 200:
            number, payload = script.frames[-1]
            lost = chance.randint(1, script.form.bytes_per_frame - 1)
            script.frames[-1] = (number, payload[:-lost])
            script.last_audio = size - lost
            script.say("a frame that lost its end")
        sent += size
    return script


def _aligned_first(script, sizes):
    width = script.form.bytes_per_frame
    return sizes() if script.is_cutting or script.kind == "tiny frames" else max(width, sizes() // width * width)


def _change(script, size):
    chance = script.chance
    simple = (script.duplicate, script.metadata, script.restart, lambda: script.old(chance.randint(1, 12)),
              lambda: script.skip(chance.randint(1, max(1, script.settings.max_gap_fill_frames))),
              lambda: script.skip(chance.randint(script.settings.max_gap_fill_frames + 1, script.settings.max_gap_fill_frames + 30)))
    if script.is_cutting:
        chance.choice(simple)()
        return
    chance.choice(simple + (
        lambda: script.reset(size), script.unusable, script.nearly_header, script.unreadable_header, script.long_header, lambda: script.put(b""),
        lambda: script.header(chance.choice((0, script.form.bytes_per_frame * 100))),
        lambda: script.header(0, formats.draw_format(chance)),
        lambda: script.header(script.form.bytes_per_frame * 480)))()


class StreamCase:
    """One connection of one listener: what is sent, how, and what must become of it."""

    def __init__(self, chance, settings, listener, kind=None):
        self.listener, self.chance = listener, chance
        self.kind = kind or chance.choice(KINDS)
        self.is_stalled = self.kind == STALLED
        while True:
            script = _stalled_script(chance, settings) if self.is_stalled else draw_script(chance, settings, self.kind)
            self.ending = "whole" if self.is_stalled else chance.choices(("whole", "closed", "half closed", "malformed", "reset"), (60, 18, 6, 6, 4))[0]
            if self.ending == "reset" and settings.min_recording_duration_sec:
                # How long a recording was that is gone cannot be seen, so nothing could be said of the windows before it.
                self.ending = "closed"
            self.kept_of_last = None
            if self.ending != "whole" and chance.random() < 0.7:
                self.kept_of_last = chance.randint(-5, max(0, len(script.frames[-1][1]) - 1))
            try:
                self.expected = self._model(script, settings)
                break
            except model.Unclear:
                continue
        self.script = script
        self.transport = "plain" if self.is_stalled else chance.choices(("plain", "tls", "length"), (70, 20, 10))[0]
        if self.transport != "plain" and self.ending == "malformed":
            # The general HTTP server may reject such a body together with the bytes before it.
            self.ending = "closed"
        self.writing = chance.choice(("burst", "burst", "firmware", "random", "random", "split headers", "bytes"))
        self.chunking = chance.choice(("frames", "frames", "random", "one"))
        self.expects_continue = chance.random() < 0.1
        self.started = self.ended = 0.0
        self.status = None

    @property
    def is_prefix(self):
        """Whether the kernel may have dropped what was not read yet."""
        return self.ending == "reset"

    @property
    def seconds(self):
        """How long it took, as an upper limit of what the daemon can have seen."""
        return self.ended - self.started

    def was_heard_by(self, moment):
        """A connection that ended without an answer may be read by a busy daemon long after it was closed."""
        if self.status is None:
            self.ended = moment

    def _model(self, script, settings):
        expected = model.StreamModel(settings)
        for number, payload in script.frames[:-1]:
            expected.frame(number, payload)
        number, payload = script.frames[-1]
        if self.kept_of_last is None:
            expected.frame(number, payload)
        elif self.kept_of_last >= 0:
            expected.frame(number, payload[:self.kept_of_last], len(payload))
        return expected.finish()

    def describe(self):
        steps = ", ".join(self.script.steps[:14]) + (", ..." if len(self.script.steps) > 14 else "")
        sizes = [len(payload) for _, payload in self.script.frames]
        return (f"{self.listener}: stream, {self.kind}: {len(sizes)} frames of {min(sizes)} to {max(sizes)} bytes; {steps}; "
                f"{self.transport}, written as {self.writing}, chunks {self.chunking}, ending {self.ending}")

    # MARK: - Sending

    def body(self):
        frames = [wire.frame(number, payload) for number, payload in self.script.frames]
        if self.kept_of_last is not None:
            # Below zero some bytes of the head are missing too.
            frames[-1] = frames[-1][:6 + self.kept_of_last]
        return frames

    def send(self, daemon):
        connection = wire.Connection(daemon, self.transport == "tls")
        self.started = time.monotonic()
        try:
            self._send(connection)
        finally:
            connection.close()
            self.ended = time.monotonic()

    def _send(self, connection):
        chance, frames = self.chance, self.body()
        fields = [f"POST /recordings_stream?listener_id={self.listener} HTTP/1.1", "Host: oracle", "Connection: keep-alive"]
        total = sum(map(len, frames))
        if self.transport == "length":
            length = total if self.ending == "whole" else total + 1000
            fields.append(f"Content-Length: {length}")
            parts, tail = frames, b""
        else:
            fields.append("Transfer-Encoding: chunked")
            parts, tail = self._chunks(frames), wire.LAST_CHUNK
        if self.expects_continue:
            fields.append("Expect: 100-continue")
        head = ("\r\n".join(fields) + "\r\n\r\n").encode()
        if self.ending == "malformed":
            tail = b"zzz\r\n"
        elif self.ending != "whole":
            tail = b""
        if self.expects_continue:
            connection.send([head])
            connection.await_continue()
            head = b""
        if self.is_stalled:
            self._send_stalled(connection, head, parts, tail)
        else:
            self._write(connection, head, parts, tail)
        if self.ending == "reset":
            connection.reset()
        elif self.ending == "half closed" and self.transport != "tls":
            connection.socket.shutdown(1)
            connection.answer()
        elif self.ending == "malformed":
            connection.answer()
        elif self.ending == "whole":
            self.status, body = connection.answer()
            if self.status != 200 or json.loads(body) != {"status": "ok", "listener": self.listener}:
                raise ConnectionError(f"the answer was {self.status} {body[:200]!r}")

    def _chunks(self, frames):
        extension = b";x=1" if self.chance.random() < 0.1 else b""
        if self.chunking == "frames":
            return wire.chunked(frames, extension)
        body = b"".join(frames)
        if self.chunking == "one":
            return wire.chunked([body], extension)
        return wire.chunked(wire.cut_randomly(self.chance, body, 1, self.chance.choice((50, 3000, 200_000)) if len(body) < 400_000 else 200_000), extension)

    def _write(self, connection, head, parts, tail):
        chance, whole = self.chance, None
        if self.writing == "burst":
            connection.send([head + b"".join(parts) + tail])
        elif self.writing == "firmware":
            connection.send([head])
            for part in parts:
                line, end, rest = part.partition(b"\r\n") if self.transport != "length" else (part, b"", b"")
                connection.send([line + end, rest[:-2], rest[-2:]] if rest else [part])
            connection.send([tail])
        else:
            whole = head + b"".join(parts) + tail
        if whole is None:
            return
        if self.writing == "bytes":
            count = min(len(whole), 4000)
            connection.send([whole[at:at + 1] for at in range(count)], wire.pauses(chance, 0.01, 0.002))
            connection.send([whole[count:]])
        elif self.writing == "split headers":
            cuts, at = [], len(head)
            for part in parts:
                cuts.append(at + chance.randint(0, min(len(part), 16)))
                at += len(part)
            pieces = [whole[a:b] for a, b in zip([0] + cuts, cuts + [len(whole)])]
            connection.send(pieces, wire.pauses(chance, 0.02, 0.003))
        else:
            most = chance.choice((300, 5000, 70_000)) if len(whole) < 1_000_000 else 300_000
            connection.send(wire.cut_randomly(chance, whole, 1, most), wire.pauses(chance, 0.05, 0.003))

    def _send_stalled(self, connection, head, parts, tail):
        """At the pace of the sound, then nothing for some seconds, then all of it at once, then at its pace again."""
        connection.send([head])
        frame_seconds = self.script.sound_seconds / len(parts)
        begin = time.monotonic()
        for index, part in enumerate(parts):
            at = index * frame_seconds
            due = begin + (at if not 2.0 < at < 2.0 + self.stall else 2.0 + self.stall)
            time.sleep(max(0, due - time.monotonic()))
            connection.send([part])
        connection.send([tail])

    stall = 4.0


def _stalled_script(chance, settings):
    script = Script(chance, settings, STALLED)
    script.form, script.number = formats.Format(formats.SIGNED16, 1, 48000), 0
    script.header(0, script.form)
    size = chance.choice((9600, 32768))
    while script.sound_seconds < 9:
        script.audio(size)
    script.say("a link that stalls for 4 s")
    return script
