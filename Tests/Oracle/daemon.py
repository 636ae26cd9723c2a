"""The daemon under test: its settings, its start and end, and what its API says."""

import dataclasses
import os
import shutil
import signal
import socket
import subprocess
import tempfile

import formats
import patience
import wire

SPECIES = 8192
SANITIZER_MARKS = ("ERROR: AddressSanitizer", "WARNING: ThreadSanitizer", "ERROR: ThreadSanitizer", "ERROR: LeakSanitizer", "runtime error:")
_INHERITED = ("PATH", "SWIFT_BACKTRACE", "HOME", "LANG", "LD_LIBRARY_PATH", "TMPDIR", "ASAN_SYMBOLIZER_PATH", "TSAN_SYMBOLIZER_PATH", "UBSAN_OPTIONS")


class DaemonFault(Exception):
    """The daemon ended, or a sanitizer found something."""


@dataclasses.dataclass
class Settings:
    """What one round of the oracle varies."""

    default_format: formats.Format
    container: str
    max_gap_fill_frames: int
    max_recording_duration_sec: int
    min_recording_duration_sec: float
    overlap_sec: float
    channel: str
    windows_per_listener: int
    sync_interval_ms: int
    max_upload_bytes: int = 30_000_000

    @staticmethod
    def draw(chance):
        encoding = chance.choice((formats.SIGNED16, formats.SIGNED16, formats.SIGNED24, formats.UNSIGNED8, formats.SIGNED32))
        form = formats.Format(encoding, chance.choice((1, 1, 2)), chance.choice((48000, 48000, 44100, 16000)))
        windows = chance.choice((1, 3, 64, 64))
        longest = chance.choice((1, 2, 5, 20))
        return Settings(
            default_format=form, container=chance.choice(("wav", "wav", "flac")), max_gap_fill_frames=chance.choice((0, 3, 9, 9, 40)),
            max_recording_duration_sec=longest,
            # Windows that are read from files later cannot know the sound of recordings that were too short to be kept.
            min_recording_duration_sec=min(chance.choice((0, 0, 0.25, 1.5)), longest / 2) if windows == 64 else 0,
            overlap_sec=chance.choice((0, 0, 1.5, 2.0, 0.7)), channel=chance.choice(("mix", "mix", "1", "2")), windows_per_listener=windows,
            sync_interval_ms=chance.choice((50, 1000)))

    @property
    def channel_index(self):
        return -1 if self.channel == "mix" else int(self.channel) - 1

    @property
    def window_step(self):
        return 144_000 - round(self.overlap_sec * 48_000)

    def __str__(self):
        return (f"{self.container}, default {self.default_format}, fill up to {self.max_gap_fill_frames}, recordings of {self.min_recording_duration_sec} to "
                f"{self.max_recording_duration_sec} s, overlap {self.overlap_sec} s, channel {self.channel}, "
                f"{self.windows_per_listener} windows a listener, sync {self.sync_interval_ms} ms")


class Daemon:
    def __init__(self, program, settings, double, folder):
        self.settings, self.folder = settings, folder
        self.base = os.path.join(folder, "base")
        self.windows_path = os.path.join(folder, "windows")
        self.log_path, self._output_path = os.path.join(folder, "log"), os.path.join(folder, "output")
        os.makedirs(self.base)
        self.certificate = os.path.join(folder, "certificate.pem")
        self._make_certificate()
        with socket.create_server(("127.0.0.1", 0)) as taken:
            self.tls = taken.getsockname()[1]
        self._write_settings(double)
        environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        environment |= {
            "CONFIG_PATH": os.path.join(folder, "settings.yaml"), "ORACLE_WINDOWS": self.windows_path, "ORACLE_SPECIES": str(SPECIES),
            "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "detect_leaks=0"),
            "TSAN_OPTIONS": os.environ.get("TSAN_OPTIONS", "halt_on_error=0 exitcode=66")}
        with open(self.log_path, "wb") as log, open(self._output_path, "wb") as output:
            self.process = subprocess.Popen(
                [os.path.abspath(program), "run"], stdin=subprocess.DEVNULL, stdout=output, stderr=log, env=environment, cwd=folder)
        try:
            self.plain = patience.until("the daemon listens", self._port, self.check)
            patience.until("the daemon is ready", self._is_ready, self.check)
        except BaseException:
            self.kill()
            raise

    def _make_certificate(self):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=oracle", "-keyout",
             os.path.join(self.folder, "key.pem"), "-out", self.certificate], check=True, stderr=subprocess.DEVNULL)

    def _write_settings(self, double):
        settings, form = self.settings, self.settings.default_format
        model, labels = os.path.join(self.folder, "model.tflite"), os.path.join(self.folder, "labels.txt")
        with open(model, "w") as file:
            file.write("a double has no weights")
        with open(labels, "w") as file:
            file.write("\n".join(f"Species number{index}_Name {index}" for index in range(SPECIES)))
        values = dict(
            base_dir=self.base, listen="127.0.0.1:0", tls_listen=f"127.0.0.1:{self.tls}", tls_certificate_file=self.certificate,
            tls_key_file=os.path.join(self.folder, "key.pem"), metrics_port=0, require_api_token="no", api_requests_per_minute=0,
            log_level="warning", health_interval_sec=0, board_watch_interval_sec=0, profile="generic", storage_threads=4,
            max_connections_per_listener=8, min_free_disk_bytes=1_000_000, node_admission="open", refusal_hold_sec=0,
            analyzer_workers=2, analyzer_nice=0, analysis_windows_total=4096, model_path=model, labels_path=labels, tflite_library_path=double,
            # Every window is analyzed and every answer of the double is reported.
            gate_min_level_dbfs=-200, gate_max_clipped_fraction=1, gate_max_flatness=1, privacy_threshold=1, min_confidence=0.5,
            recording_format=settings.container, audio_num_channels=form.channels, audio_sample_rate=form.rate,
            audio_bits_per_sample=form.bytes_per_sample * 8, max_gap_fill_frames=settings.max_gap_fill_frames,
            max_recording_duration_sec=settings.max_recording_duration_sec, min_recording_duration_sec=settings.min_recording_duration_sec,
            overlap_sec=settings.overlap_sec, channel=settings.channel, analysis_windows_per_listener=settings.windows_per_listener,
            sync_interval_ms=settings.sync_interval_ms, max_upload_bytes=settings.max_upload_bytes)
        with open(os.path.join(self.folder, "settings.yaml"), "w") as file:
            file.writelines(f"{name}: {value}\n" if name != "listen" and name != "tls_listen" else f"{name}: [\"{value}\"]\n"
                            for name, value in values.items())

    def _port(self):
        with open(self._output_path) as output:
            text = output.read()
        start = text.find("http://127.0.0.1:")
        return int(text[start + 17:].split("/")[0]) if "listeners POST" in text else None

    def _is_ready(self):
        try:
            return wire.get_json(self, "/readyz")
        except ConnectionError:
            return None

    # MARK: - What it says

    def log(self):
        with open(self.log_path, errors="replace") as log:
            return log.read()

    def sanitizer_report(self):
        text = self.log()
        found = [text.find(mark) for mark in SANITIZER_MARKS if mark in text]
        return text[max(0, min(found) - 100):min(found) + 12_000] if found else None

    def check(self):
        """Raises when the daemon has ended, or when a sanitizer has spoken."""
        report = self.sanitizer_report()
        if report is not None:
            raise DaemonFault(f"a sanitizer reports:\n{report}")
        if self.process.poll() is not None:
            raise DaemonFault(f"the daemon ended with {self.process.returncode}; its log ends:\n{self.log()[-4000:]}")

    def pages(self, kind, query=""):
        """All rows of a list of the API, oldest first."""
        rows, cursor = [], ""
        while True:
            page = wire.get_json(self, f"/api/v1/{kind}?limit=1000{query}{cursor}")
            rows += page[kind]
            if page.get("next") is None:
                return rows[::-1]
            cursor = f"&cursor={page['next']}"

    def is_quiet(self):
        """Whether nothing is being received, written or analyzed any more."""
        if any(listener["is_connected"] for listener in wire.get_json(self, "/api/v1/listeners")["listeners"]):
            return False
        return all(row["state"] != "open" and (row["state"] != "closed" or row["analysis"] != "pending") for row in self.pages("recordings"))

    def stop(self):
        """Ends it as an operator does."""
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(patience.SECONDS)
        except subprocess.TimeoutExpired:
            raise DaemonFault(f"the daemon did not end within {patience.SECONDS:.0f} s of SIGTERM") from None
        report = self.sanitizer_report()
        if report is not None:
            raise DaemonFault(f"a sanitizer reports:\n{report}")
        if status != 0:
            raise DaemonFault(f"the daemon ended with {status} after SIGTERM; its log ends:\n{self.log()[-4000:]}")

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def temporary_folder():
    return tempfile.mkdtemp(prefix="byte-oracle-")


def remove(folder):
    shutil.rmtree(folder, ignore_errors=True)
