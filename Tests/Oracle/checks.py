"""Holds what the daemon has kept, analyzed and noted against what was sent."""

import dataclasses
import datetime
import itertools
import os
import struct

import flac
import formats
import model
import native
import patience
import windows
import wire


# Checks of what is said about the sound, which can be left out while a fault of theirs is being repaired.
OPTIONAL = ("ledger", "coverage", "counts", "times")


class Difference(Exception):
    """Something is not as it must be. The text says what and where."""


@dataclasses.dataclass
class Counts:
    streams: int = 0
    uploads: int = 0
    frames: int = 0
    bytes: int = 0
    windows: int = 0
    windows_by_place: int = 0
    recordings: int = 0
    absences: int = 0

    def __str__(self):
        return (f"{self.streams} streams of {self.frames} frames, {self.uploads} uploads, {self.recordings} recordings, {self.bytes} bytes compared, "
                f"{self.windows} windows compared sample by sample and {self.windows_by_place} by place, {self.absences} absences")


def first_difference(found, wanted, what):
    """Raises with the first byte that differs and what is around it."""
    if found == wanted:
        return
    common = min(len(found), len(wanted))
    at = next((start for start in range(0, common, 4096) if found[start:start + 4096] != wanted[start:start + 4096]), common)
    at = next((index for index in range(at, min(at + 4096, common)) if found[index] != wanted[index]), common)
    begin = max(0, at - 16)
    differing = sum(a != b for a, b in zip(found, wanted))
    raise Difference(
        f"{what}: byte {at} differs ({len(found)} bytes found, {len(wanted)} wanted, {differing} differ)\n"
        f"  found  from {begin}: {found[begin:at].hex(' ')} [{found[at:at + 32].hex(' ')}]\n"
        f"  wanted from {begin}: {wanted[begin:at].hex(' ')} [{wanted[at:at + 32].hex(' ')}]")


def _seconds(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def read_recording(path):
    """The format and sound of a recording's file, by a parser of the oracle's own."""
    with open(path, "rb") as file:
        data = file.read()
    if path.endswith(".flac"):
        try:
            return flac.decode(data)
        except flac.Damaged as damage:
            raise Difference(f"{path} is damaged: {damage}") from None
    tag, channels, rate, second, align, bits = struct.unpack_from("<HHIIHH", data, 20)
    encoding = {(1, 8): 0, (1, 16): 1, (1, 24): 2, (1, 32): 3, (3, 32): 4}.get((tag, bits))
    sizes = struct.unpack_from("<I", data, 4)[0], struct.unpack_from("<I", data, 40)[0]
    if data[:4] != b"RIFF" or data[8:16] != b"WAVEfmt " or data[36:40] != b"data" or encoding is None:
        raise Difference(f"{path} has no header as recordings have: {data[:44].hex(' ')}")
    form = formats.Format(encoding, channels, rate)
    if sizes != (len(data) - 8, len(data) - 44) or second != form.bytes_per_second or align != form.bytes_per_frame:
        raise Difference(f"{path}: its header does not fit its {len(data)} bytes: {data[:44].hex(' ')}")
    return form, data[44:]


class Round:
    """What one daemon said of itself after all was sent and analyzed."""

    def __init__(self, daemon, counts, skipped=()):
        self.skipped = skipped
        self.daemon, self.settings, self.counts = daemon, daemon.settings, counts
        self.rows, self.detections, self.ledger = {}, {}, {}
        for kind, table in [("recordings", self.rows), ("detections", self.detections), ("ledger", self.ledger)]:
            for row in daemon.pages(kind):
                key = row["recording"] if kind == "detections" else row["listener"]
                table.setdefault(key, []).append(row)
        self.analyzed = windows.Analyzed(daemon.windows_path)
        # Windows that are known by their place only; claimed when all others are, since two windows may give one species.
        self._by_place = []
        self._coverage = None
        self.folder = os.path.join(daemon.base, "recordings")

    # MARK: - Streams

    def check_streams(self, listener, cases):
        """All connections of one listener, which may have been open at the same time."""
        sessions = {}
        for row in self.rows.get(listener, []):
            sessions.setdefault(row["session"], []).append(row)
        ordered = [sessions[name] for name in sorted(sessions, key=lambda name: int(name.split("/")[-1]))]
        silent = [case for case in cases if not case.expected.recordings]
        speaking = [case for case in cases if case.expected.recordings]
        optional = [case for case in speaking if case.is_prefix]
        if len(ordered) > len(speaking) or len(ordered) < len(speaking) - len(optional):
            raise Difference(f"{listener}: {len(ordered)} sessions with recordings, {len(speaking)} wanted")
        best, most = None, -1
        for assignment in itertools.permutations(speaking, len(ordered)):
            if len(speaking) - len(ordered) > 0 and any(case not in assignment and not case.is_prefix for case in speaking):
                continue
            before, matched = dataclasses.replace(self.counts), []
            try:
                for case, rows in zip(assignment, ordered):
                    matched.append(self._match(case, rows))
            except Difference as difference:
                # The assignment that comes nearest is the one to be told.
                near = self.counts.recordings + self.counts.absences
                if near > most:
                    best, most = difference, near
                vars(self.counts).update(vars(before))
                continue
            for case, rows in zip(assignment, ordered):
                self._check_runs(case, rows, matched.pop(0))
            self._check_ledger(listener, cases)
            self.counts.streams += len(cases)
            self.counts.frames += sum(len(case.script.frames) for case in cases)
            self.counts.absences += len(silent)
            return
        raise best or Difference(f"{listener}: its sessions cannot be told apart")

    def _match(self, case, rows):
        """The bytes of all recordings of one connection. Returns the recordings as they are."""
        wanted = case.expected.recordings
        name = case.listener
        kept = []
        for index, (row, recording) in enumerate(zip(rows, wanted)):
            is_last = case.is_prefix and index == len(rows) - 1
            kept.append(self._match_recording(row, recording, is_last))
        if len(rows) != len(wanted) and not (case.is_prefix and len(rows) < len(wanted)):
            raise Difference(f"{name}: {len(rows)} recordings, {len(wanted)} wanted: "
                             f"{[row['frames'] for row in rows][:20]} sample frames, wanted {[recording.frames for recording in wanted][:20]}")
        return kept

    def _match_recording(self, row, wanted, is_prefix):
        path = os.path.join(self.folder, row["listener"], row["name"])
        what = f"{row['name']} (session {row['session']}, run {row['run']}, {wanted.form})"
        form = wanted.form
        if (row["encoding"], row["channels"], row["sample_rate"]) != (formats.NAMES[form.encoding], form.channels, form.rate):
            raise Difference(f"{what}: stored as {row['encoding']} x{row['channels']} at {row['sample_rate']} Hz")
        container = "flac" if self.settings.container == "flac" and form.is_flac_capable else "wav"
        if row["container"] != container:
            raise Difference(f"{what}: stored as {row['container']}, wanted {container}")
        # Whether a recording without a whole sample is kept is not promised.
        is_empty = wanted.frames == 0
        is_short = wanted.nanoseconds < self.settings.min_recording_duration_sec * 1e9 or is_empty
        if row["state"] == "deleted" and row["delete_reason"] == "too short":
            if not is_short and not is_prefix:
                raise Difference(f"{what}: removed as too short, with {wanted.nanoseconds / 1e9:.3f} s")
            if os.path.exists(path):
                raise Difference(f"{what}: removed as too short, and its file is there")
            self.counts.absences += 1
            return dataclasses.replace(wanted), False
        if row["state"] != "closed":
            raise Difference(f"{what}: its state is {row['state']} ({row['delete_reason']})")
        if is_short and not is_empty and not is_prefix:
            raise Difference(f"{what}: kept, though it is too short")
        if not os.path.exists(path):
            raise Difference(f"{what}: its file is missing")
        if is_empty and os.path.getsize(path) == 0:
            return dataclasses.replace(wanted), True
        found_form, found = read_recording(path)
        if found_form != form:
            raise Difference(f"{what}: its file says {found_form}")
        sound = bytes(wanted.sound)
        if is_prefix:
            sound = sound[:len(found)]
        first_difference(found, sound, what)
        if row["frames"] != len(found) // form.bytes_per_frame or row["bytes"] != os.path.getsize(path):
            raise Difference(f"{what}: its row says {row['frames']} sample frames and {row['bytes']} bytes, "
                             f"the file has {len(found) // form.bytes_per_frame} and {os.path.getsize(path)}")
        filled = form.nanoseconds(wanted.filled_frames) / 1e9
        if abs(row["filled_seconds"] - filled) > 1e-6 and not is_prefix:
            raise Difference(f"{what}: {row['filled_seconds']} s of it are called filled, wanted {filled}")
        self.counts.bytes += len(found)
        self.counts.recordings += 1
        return dataclasses.replace(wanted, sound=bytearray(sound)), True

    # MARK: - Runs and windows

    def _check_runs(self, case, rows, kept):
        """Windows never cross what ends a run, and cross everything else."""
        groups, last = [], None
        for row, (recording, is_kept) in zip(rows, kept):
            begins = last is None or row["run"] != last[0]["run"]
            if last is not None and begins != (recording.run != last[1].run):
                allowed = begins and (case.seconds > recording.sound_before / 1e9 + 0.9 or case.seconds >= 5)
                if not allowed:
                    raise Difference(f"{row['name']}: {'begins' if begins else 'does not begin'} a new run, "
                                     f"{recording.sound_before / 1e9:.3f} s of sound came before, and all of it took {case.seconds:.3f} s")
            if begins:
                groups.append([])
            groups[-1].append((row, recording, is_kept))
            last = row, recording
        for group in groups:
            self._check_windows(case, group)

    def _check_windows(self, case, group):
        rows = [row for row, _, _ in group]
        recordings = [recording for _, recording, _ in group]
        for row in rows:
            if row["state"] == "closed" and row["analysis"] != "done":
                raise Difference(f"{row['name']}: its analysis is {row['analysis']} ({row['analysis_error']})")
        form = recordings[0].form
        if form.rate == 48_000:
            wanted = windows.of_run(recordings, self.settings, [is_kept for _, _, is_kept in group])
            self._match_windows(wanted, rows)
        else:
            self._match_places(case, group)

    def _match_windows(self, wanted, rows):
        found = {row["name"]: list(self.detections.pop(row["name"], [])) for row in rows}
        # The mean of several channels may be rounded in more than one way.
        channels = rows[0]["channels"] if self.settings.channel == "mix" else 1
        for window in wanted:
            tolerance = 0 if channels == 1 else 3e-7 * max(1, native.peak(window.samples) * channels)
            row = rows[window.recording]
            what = f"{row['name']}, window at {window.offset_seconds:.4f} s"
            here = [one for one in found[row["name"]] if abs(one["offset_seconds"] - window.offset_seconds) < 1e-6]
            if window.is_dropped or window.is_silent:
                if here and window.is_silent:
                    raise Difference(f"{what}: it is silent, and {here[0]['scientific_name']} was found in it")
                self.counts.absences += 1
                if here:
                    raise Difference(f"{what}: its recording was not kept, and it was analyzed")
                continue
            if len(here) != 1:
                raise Difference(f"{what}: {len(here)} detections, 1 wanted")
            found[row["name"]].remove(here[0])
            self._check_time(here[0], row, what)
            self._claim(here[0], window.samples, what, tolerance)
            self.counts.windows += 1
        for name, rest in found.items():
            if rest:
                raise Difference(f"{name}: a detection at {rest[0]['offset_seconds']} s, where no window begins")
        for index, row in enumerate(rows):
            count = sum(window.recording == index and not window.is_dropped for window in wanted)
            if row["state"] == "closed" and row["windows"] != count and "counts" not in self.skipped:
                raise Difference(f"{row['name']}: its row says that {row['windows']} windows were analyzed, {count} were")

    def _check_time(self, detection, row, what):
        """A detection's time is that of its place in the recording."""
        apart = _seconds(detection["start_at"]) - _seconds(row["start_at"]) - detection["offset_seconds"]
        if abs(apart) > 0.003 and "times" not in self.skipped:
            raise Difference(f"{what}: its time is {apart:+.3f} s away from that of its recording: {detection['start_at']}, recording from {row['start_at']}")

    def _species(self, detection):
        return int(detection["scientific_name"].removeprefix("Species number"))

    def _claim(self, detection, samples, what, tolerance):
        """The window that gave this detection must hold these samples."""
        species = self._species(detection)
        places = self.analyzed.by_species.get(species, [])
        if not places:
            raise Difference(f"{what}: no window was analyzed that gives {detection['scientific_name']}")
        for at in places:
            if native.difference(self.analyzed.samples(at), samples, tolerance) is None:
                self.analyzed.claim(species, at)
                return
        given = self.analyzed.samples(places[0])
        at = native.difference(given, samples, tolerance)
        begin = max(0, at - 3)
        show = lambda data: [round(value, 7) for value in struct.unpack_from(f"<{min(8, windows.SAMPLES - begin)}f", data, begin * 4)]
        raise Difference(f"{what}: sample {at} differs\n  found  from {begin}: {show(given)}\n  wanted from {begin}: {show(samples)}")

    def _match_places(self, case, group):
        """Sound of another rate: as many windows as its length asks for, on the grid; a tone within a tolerance."""
        rows = [row for row, _, _ in group]
        rate = group[0][1].form.rate
        frames = sum(recording.frames for _, recording, _ in group)
        starts, at = [], 0
        for _, recording, _ in group:
            starts.append(at * 48_000 // rate)
            at += recording.frames
        wanted = None
        found = sorted(
            ((starts[index] + round(one["offset_seconds"] * 48_000), index, one) for index, row in enumerate(rows)
             for one in self.detections.pop(row["name"], [])), key=lambda each: each[:2])
        kept = [is_kept for _, _, is_kept in group]
        choices = []
        for length in sorted({frames * 48_000 // rate + slack for slack in (-3, 0, 3)}):
            wanted = []
            for start in windows.starts_of(max(length, 0), self.settings):
                index = max(place for place, begin in enumerate(starts) if begin <= start)
                if kept[index]:
                    wanted.append((start, index))
            choices.append(wanted)
        is_silent_possible = any(recording.filled_frames for _, recording, _ in group)
        places = [(start, index) for start, index, _ in found]
        if places not in choices and not (is_silent_possible and set(places) <= set(choices[-1])):
            raise Difference(f"{rows[0]['name']} and {len(rows) - 1} after it, {rate} Hz: windows at {places[:12]} (sample, recording), "
                             f"wanted at {choices[len(choices) // 2][:12]}")
        # A client that was slow to begin can have been taken for one that pauses: a later run begins in the middle of the tone.
        is_tone = (case is not None and case.kind == "tone" and not case.is_prefix and len({row["session"] for row in rows}) == 1
                   and rows[0]["run"] == 0)
        for start, index, detection in found:
            what = f"{rows[index]['name']}, window at {detection['offset_seconds']:.4f} s"
            self._by_place.append((detection, what, self._tone(case, start, frames, rate) if is_tone else None))

    def _tone(self, case, start, frames, rate):
        length = min(windows.SAMPLES, frames * 48_000 // rate - start)
        samples = native.tone(formats.FLOAT32, 1, 48_000, start, length, formats.Source.HERTZ, 4)
        return samples + bytes((windows.SAMPLES - length) * 4)

    def _claim_by_place(self, detection, what, similar):
        species = self._species(detection)
        places = self.analyzed.by_species.get(species, [])
        if not places:
            raise Difference(f"{what}: no window was analyzed that gives {detection['scientific_name']}")
        if similar is None:
            self.analyzed.claim(species, places[0])
            self.counts.windows_by_place += 1
            return
        # A tenth of full scale; 8 bits alone are wrong by a fiftieth of that.
        apart = min((native.distance(self.analyzed.samples(at), similar), at) for at in places)
        if apart[0] > 0.006:
            raise Difference(f"{what}: it is not the tone that was sent: {apart[0]:.4f} of full scale apart in the mean")
        self.analyzed.claim(species, apart[1])
        self.counts.windows_by_place += 1

    # MARK: - The ledger

    def _check_ledger(self, listener, cases):
        if "ledger" not in self.skipped:
            self._check_notes(listener, cases)
        if "coverage" not in self.skipped:
            self._check_coverage(listener, cases)

    def _check_notes(self, listener, cases):
        """Frames and bytes that were filled, missed, lost or dropped, by reason."""
        lines = self.ledger.get(listener, [])
        found, paused = {}, 0.0
        for line in lines:
            reason = "unsupported format" if line["reason"].startswith("unsupported format") else line["reason"]
            if reason == "source paused":
                paused += line["seconds"]
                continue
            entry = found.setdefault((line["kind"], reason), [0, 0])
            entry[0] += line["frames"]
            entry[1] += line["bytes"]
        if paused > sum(case.seconds for case in cases):
            raise Difference(f"{listener}: pauses of {paused:.3f} s in the ledger, and all was sent within {sum(case.seconds for case in cases):.3f} s")
        if not any(case.is_prefix for case in cases):
            wanted = {}
            for case in cases:
                for key, (count, size) in case.expected.notes.items():
                    entry = wanted.setdefault(key, [0, 0])
                    entry[0] += count
                    entry[1] += size
                for recording in case.expected.recordings:
                    if recording.nanoseconds < self.settings.min_recording_duration_sec * 1e9:
                        entry = wanted.setdefault(("loss", "too short"), [0, 0])
                        entry[1] += (recording.frames - recording.filled_frames) * recording.form.bytes_per_frame
            # What was too short and had no whole sample is nothing.
            for notes in (found, wanted):
                if notes.get(("loss", "too short")) == [0, 0]:
                    del notes[("loss", "too short")]
            if found != wanted:
                apart = {key: (found.get(key), wanted.get(key)) for key in found | wanted if found.get(key) != wanted.get(key)}
                raise Difference(f"{listener}: the ledger differs; frames and bytes found, and wanted: {apart}")

    def _check_coverage(self, listener, cases):
        """Every second that a session spans was heard, filled, missed or lost, once."""
        if any(("loss", "unsupported format") in case.expected.notes or ("loss", "unreadable WAV header") in case.expected.notes for case in cases):
            # What cannot be understood has no length of its own, only the time in which it arrived.
            return
        for part in self.coverage:
            if part["listener"] != listener:
                continue
            spanned, accounted = part["spanned_seconds"], part["accounted_seconds"]
            # The clock follows a live source by at most a hundredth of the sound.
            allowed = 0.01 * accounted + 0.001
            if abs(spanned - accounted) > allowed:
                raise Difference(f"{listener}: {accounted:.6f} s accounted for, {spanned:.6f} s spanned: {part}")

    @property
    def coverage(self):
        if self._coverage is None:
            self._coverage = wire.get_json(self.daemon, "/api/v1/coverage")["listeners"]
        return self._coverage

    # MARK: - Uploads

    def check_upload(self, case):
        rows = [row for row in self.rows.get(case.listener, [])]
        if not case.is_good:
            self.counts.absences += 1
            if rows:
                raise Difference(f"{case.listener}: a bad upload ({case.fault}) was kept as {rows[0]['name']}")
            return
        if len(rows) != 1 or rows[0]["name"] != case.stored_name:
            raise Difference(f"{case.listener}: {[row['name'] for row in rows]}, wanted {case.stored_name}")
        row = rows[0]
        with open(os.path.join(self.folder, case.listener, row["name"]), "rb") as file:
            first_difference(file.read(), case.content, row["name"])
        frames = len(case.sound) // case.form.bytes_per_frame
        if (row["frames"], row["channels"], row["sample_rate"], row["container"]) != (frames, case.form.channels, case.form.rate, case.container):
            raise Difference(f"{row['name']}: its row says {row['frames']} sample frames, {row['channels']} channels, {row['sample_rate']} Hz, "
                             f"{row['container']}; wanted {frames} of {case.form}")
        self.counts.bytes += len(case.content)
        self.counts.recordings += 1
        self.counts.uploads += 1
        self._check_windows(None, [(row, model.Recording(case.form, 0, bytearray(case.sound)), True)])

    # MARK: - What must not be there

    def check_rest(self, listeners, marker):
        # A tone first: what is not compared takes whatever is left.
        for detection, what, similar in sorted(self._by_place, key=lambda one: one[2] is None):
            self._claim_by_place(detection, what, similar)
        unclaimed = self.analyzed.unclaimed()
        if unclaimed:
            species, at = unclaimed[0]
            samples = [round(value, 6) for value in struct.unpack_from("<8f", self.analyzed.samples(at))]
            raise Difference(f"{len(unclaimed)} windows were analyzed that belong to no recording; the first begins {samples} (species {species})")
        if self.detections:
            name, rest = next(iter(self.detections.items()))
            raise Difference(f"{name}: {len(rest)} detections of a recording that must not be there")
        strangers = set(self.rows) - set(listeners)
        if strangers:
            raise Difference(f"recordings of listeners that sent nothing: {sorted(strangers)}")
        known = {os.path.join(row["listener"], row["name"]) for rows in self.rows.values() for row in rows if row["state"] == "closed"}
        for place, _, names in os.walk(self.folder):
            for name in names:
                path = os.path.join(place, name)
                if os.path.relpath(path, self.folder) not in known:
                    raise Difference(f"a file that belongs to no recording: {path}")
                with open(path, "rb") as file:
                    at = file.read().find(marker.encode())
                if at >= 0:
                    raise Difference(f"{path}: at byte {at} it holds what another client sent ({marker})")
        spool = os.path.join(self.daemon.base, "spool")
        # An upload that was cut off is removed when its handler hears of it.
        patience.until("the spool folder is empty", lambda: not any(names for _, _, names in os.walk(spool)), self.daemon.check)
