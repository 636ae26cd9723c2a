"""The windows that must be analyzed, and those that were."""

import dataclasses
import struct

import native

SAMPLES = 144_000
SHORTEST_TAIL = 72_000
# Quieter than this, in mean square, is silence and is not analyzed.
SILENCE = 1e-20


@dataclasses.dataclass
class Window:
    recording: int
    offset_seconds: float
    samples: bytearray
    is_dropped: bool

    @property
    def is_silent(self):
        return native.power(self.samples) <= SILENCE


def of_run(recordings, settings, is_kept):
    """The windows of one run of recordings (model.Recording or alike) at 48 kHz: on a grid of steps from the run's start."""
    form = recordings[0].form
    sound = b"".join(bytes(recording.sound) for recording in recordings)
    samples = native.mono(form.encoding, form.channels, settings.channel_index, sound, len(sound) // form.bytes_per_frame)
    starts, at = [], 0
    for recording in recordings:
        starts.append(at)
        at += recording.frames
    windows = []
    for start in starts_of(at, settings):
        index = max(place for place, begin in enumerate(starts) if begin <= start)
        piece = samples[start * 4:(start + SAMPLES) * 4]
        piece += bytes(SAMPLES * 4 - len(piece))
        windows.append(Window(index, (start - starts[index]) / 48_000, piece, not is_kept[index]))
    return windows


def starts_of(frames, settings):
    """Where windows begin in so many samples at 48 kHz: the last one may be padded, if it has enough that is new."""
    starts, start = [], 0
    while start < frames:
        filled = frames - start
        if filled >= SAMPLES or (filled >= SHORTEST_TAIL and filled > SAMPLES - settings.window_step):
            starts.append(start)
        start += settings.window_step
    return starts


class Analyzed:
    """What the double of TensorFlow Lite was given."""

    def __init__(self, path):
        self.by_species, self.count = {}, 0
        try:
            with open(path, "rb") as file:
                data = file.read()
        except FileNotFoundError:
            data = b""
        size = 16 + SAMPLES * 4
        self._data = data
        for at in range(0, len(data) - size + 1, size):
            _, species, count = struct.unpack_from("<QII", data, at)
            assert count == SAMPLES
            self.by_species.setdefault(species, []).append(at + 16)
            self.count += 1

    def samples(self, at):
        return bytearray(self._data[at:at + SAMPLES * 4])

    def claim(self, species, at):
        self.by_species[species].remove(at)

    def unclaimed(self):
        return [(species, at) for species, places in self.by_species.items() for at in places]
