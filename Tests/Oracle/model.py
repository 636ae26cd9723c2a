"""What must be kept of a stream, by docs/api.md and the rules of the wire. Written without the daemon's code."""

import dataclasses
import struct

import formats

METADATA, NUMBERS = 0xFFFFFF, 0xFFFFFF
HEADER_LIMIT = 8192
# So many frames in a row that go on from an old number are believed.
RESET_FRAMES = 16


class Unclear(Exception):
    """Whether a sample goes on in the next frame cannot be told safely from this sound: no test can be made of it."""


@dataclasses.dataclass
class Recording:
    form: formats.Format
    run: int
    sound: bytearray = dataclasses.field(default_factory=bytearray)
    filled_frames: int = 0
    # The bytes of the body that had come before it, and after its first sound: to judge pauses.
    sound_before: int = 0

    @property
    def frames(self):
        return len(self.sound) // self.form.bytes_per_frame

    @property
    def nanoseconds(self):
        return self.form.nanoseconds(self.frames)


def parse_header(payload):
    """('found', format, bytes), ('unsupported',), ('unreadable',) or None when the payload is sound."""
    head = bytes(payload[:HEADER_LIMIT])
    if len(head) < 12 or head[:4] not in (b"RIFF", b"RF64", b"BW64") or head[8:12] != b"WAVE":
        return None
    at, form = 12, None
    while at + 8 <= len(head):
        tag, size = head[at:at + 4], struct.unpack_from("<I", head, at + 4)[0]
        if tag == b"data":
            return ("found", form, at + 8) if isinstance(form, formats.Format) else ("unsupported",)
        if tag == b"fmt ":
            if size < 16:
                return ("unsupported",)
            if at + 8 + min(size, 40) > len(head):
                break
            form = _parse_format(head[at + 8:at + 8 + min(size, 40)]) or "unsupported"
        at += 8 + size + (size & 1)
    # Beyond the limit nothing is looked for: then it is sound like any other.
    return None if len(head) >= HEADER_LIMIT else ("unreadable",)


def _parse_format(body):
    tag, channels, rate, _, align, bits = struct.unpack_from("<HHIIHH", body)
    if tag == 0xFFFE:
        if len(body) < 26:
            return None
        tag = struct.unpack_from("<H", body, 24)[0]
    # The size of the container counts: 20 bits travel in 24.
    width = align // channels * 8 if channels > 0 and align > 0 and align % channels == 0 else bits
    encoding = {(1, 8): 0, (1, 16): 1, (1, 24): 2, (1, 32): 3, (3, 32): 4}.get((tag, width))
    if encoding is None or not 1 <= channels <= 8 or not 8000 <= rate <= 384_000:
        return None
    return formats.Format(encoding, channels, rate)


class StreamModel:
    """Feed it the frames of one connection, then `finish()`."""

    def __init__(self, settings):
        self.most_fill = settings.max_gap_fill_frames
        self.most_nanoseconds = settings.max_recording_duration_sec * 1_000_000_000
        self.form = settings.default_format
        self.recordings = []
        # (kind, reason) to [frames, bytes], as the ledger has them.
        self.notes = {}
        self._open = None
        self._recorded_form = None
        self._run, self._run_ended = -1, True
        self._partial = b""
        self._cut_was_uniform = self._uniform = True
        self._last_judgement = None
        self._last_audio = 0
        self._passing = False
        self._expected = self._last_old = None
        self._old_streak = 0

    # MARK: Frames

    def frame(self, sequence, payload, declared=None):
        """Takes one frame. `declared` is the length that its header says, when it was cut off before its end."""
        is_cut = declared is not None and declared != len(payload)
        declared = len(payload) if declared is None else declared
        if sequence == METADATA:
            return
        verdict, missing = self._judge(sequence)
        if verdict in ("duplicate", "old"):
            self._note("duplicate", f"{verdict} frame", 1, declared)
            return
        self._payload(payload, declared, missing, starts=sequence == 0, is_reset=verdict == "reset")
        if not is_cut:
            self._roll_over()

    def finish(self):
        self._close()
        return self

    def _judge(self, sequence):
        expected = self._expected
        if sequence == 0 or expected is None:
            self._accept(sequence)
            return "in order", 0
        ahead = (sequence - expected) % NUMBERS
        if ahead <= NUMBERS // 2:
            self._accept(sequence)
            return "in order", ahead
        follows = self._last_old is not None and sequence == (self._last_old + 1) % NUMBERS
        self._old_streak = self._old_streak + 1 if follows else 1
        self._last_old = sequence
        if self._old_streak >= RESET_FRAMES:
            self._accept(sequence)
            return "reset", 0
        return ("duplicate" if (sequence + 1) % NUMBERS == expected else "old"), 0

    def _accept(self, sequence):
        self._expected = (sequence + 1) % NUMBERS
        self._last_old, self._old_streak = None, 0

    # MARK: Payloads

    def _payload(self, payload, declared, missing, starts, is_reset):
        header, header_bytes = parse_header(payload), 0
        if header is not None and header[0] == "unreadable":
            self._note("loss", "unreadable WAV header", 1, len(payload))
            self._passing = False
            return
        if header is not None:
            starts = True
            self.form = header[1] if header[0] == "found" else None
            header_bytes = header[2] if header[0] == "found" else 0
        if starts and missing:
            self._leave_gap(missing, self._last_audio)
            missing = 0
        if starts or is_reset:
            self._close()
            self._partial = b""
        if self.form is None:
            self._close()
            self._run_ended = True
            self._note("loss", "unsupported format", 1, len(payload))
            self._passing = False
            return
        self._passing = True
        if self._recorded_form != self.form:
            self._recorded_form = self.form
            self._run_ended = True
            self._partial = b""
        if missing:
            frame_bytes = self._last_audio or declared
            if missing <= self.most_fill:
                self._fill(missing, frame_bytes)
            else:
                self._leave_gap(missing, frame_bytes)
        else:
            self._uniform = self._last_audio in (0, declared)
        sound = payload[header_bytes:]
        if self._partial and not self._goes_on(sound):
            self._partial = b""
        self._cut_was_uniform = self._uniform
        if header_bytes == 0 and declared > 0:
            self._last_audio = declared
        self._append(sound)

    def _append(self, sound):
        if not sound:
            return
        recording = self._opened()
        whole = self._partial + bytes(sound)
        end = len(whole) // self.form.bytes_per_frame * self.form.bytes_per_frame
        recording.sound += whole[:end]
        self._partial = whole[end:]

    def _fill(self, missing, frame_bytes):
        recording = self._opened()
        width, silence = self.form.bytes_per_frame, bytes([self.form.silence])
        total = len(self._partial) + missing * frame_bytes
        recording.sound += silence * (total // width * width)
        recording.filled_frames += total // width
        # What of a sample was lost reads as silence.
        self._partial = silence * (total % width)
        self._note("filled", "frames missing", missing, missing * frame_bytes)

    def _leave_gap(self, missing, frame_bytes):
        self._partial = b""
        if self._run < 0:
            return
        self._close()
        self._run_ended = True
        self._note("gap", "frames missing", missing, missing * frame_bytes)

    # MARK: Samples cut over the end of a frame

    def _goes_on(self, sound):
        """Whether the sample begun before goes on: where that is the smoother sound; where neither is, as
        the last time that one was; before any was, if frames are of one length."""
        width = self.form.bytes_per_frame
        if len(sound) - width < 16 * width:
            return self._cut_was_uniform if self._last_judgement is None else self._last_judgement
        fresh = self._roughness(sound, 0)
        on = self._roughness(sound, width - len(self._partial))
        low, high = min(fresh, on), max(fresh, on)
        if low < high * 0.5:
            self._last_judgement = on < fresh
            return on < fresh
        if low > high * 0.9:
            return self._cut_was_uniform if self._last_judgement is None else self._last_judgement
        raise Unclear()

    def _roughness(self, sound, offset):
        form = self.form
        values, end = [], min(len(sound), 2048)
        for at in range(offset, end - form.bytes_per_sample + 1, form.bytes_per_frame):
            if form.bytes_per_sample == 1:
                values.append(sound[at] << 8)
            else:
                top = sound[at + form.bytes_per_sample - 1]
                values.append((top - 256 if top > 127 else top) * 256 + sound[at + form.bytes_per_sample - 2])
        values = values[:256]
        return sum(abs(b - a) for a, b in zip(values, values[1:])) / max(len(values) - 1, 1) + 1e-9

    # MARK: Recordings

    def _opened(self):
        if self._open is None:
            if self._run_ended:
                self._run += 1
                self._run_ended = False
            before = sum(recording.nanoseconds for recording in self.recordings)
            self._open = Recording(self.form, self._run, sound_before=before)
            self.recordings.append(self._open)
        return self._open

    def _close(self):
        self._open = None

    def _roll_over(self):
        if self._passing and self._open is not None and self._open.nanoseconds > self.most_nanoseconds:
            self._close()

    def _note(self, kind, reason, frames, count):
        entry = self.notes.setdefault((kind, reason), [0, 0])
        entry[0] += frames
        entry[1] += count
