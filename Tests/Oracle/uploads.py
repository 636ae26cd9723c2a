"""Random uploads: whole files, good and bad."""

import json

import flac
import formats
import wire


class UploadCase:
    def __init__(self, chance, settings, listener):
        self.chance, self.listener = chance, listener
        encodings = (formats.UNSIGNED8, formats.SIGNED16, formats.SIGNED24)
        self.container = chance.choice(("wav", "wav", "flac"))
        self.form = formats.draw_format(chance)
        if self.container == "flac":
            self.form = formats.Format(chance.choice(encodings), self.form.channels, self.form.rate)
        frames = min(int(self.form.rate * chance.uniform(0.01, 8)), 600_000 // self.form.bytes_per_frame) + 1
        self.sound = bytes(formats.Source(chance, self.form, chance.choice(("random", "smooth"))).take(frames * self.form.bytes_per_frame))
        self.content = flac.encode(self.form, self.sound) if self.container == "flac" else self._wav()
        self.fault = chance.choices((None, "cut form", "other name", "unknown type", "noise", "no end"), (70, 6, 6, 6, 6, 6))[0]
        self.place = chance.choice(("field", "query", "name"))
        self.filename = f"{listener}_20260101T000000Z.{self.container}" if self.place == "name" else f"sound {chance.randrange(100)}.{self.container}"
        if self.fault == "other name":
            self.filename = self.filename.removesuffix(self.container) + ("wav" if self.container == "flac" else "flac")
        if self.fault == "unknown type":
            self.filename += ".txt"
        if self.fault == "noise":
            self.content = b"\1" + chance.randbytes(3000)
        self.transport = chance.choice(("plain", "tls"))
        self.coding = chance.choice(("length", "chunked"))
        self.stored_name = None

    def _wav(self):
        data = self.sound + b"\0" * (len(self.sound) & 1)
        content = formats.wav_header(self.form, self.chance, len(self.sound), styles=formats.STYLES[:-1]) + data
        if self.chance.random() < 0.3:
            content += b"LIST" + (26).to_bytes(4, "little") + b"INFOISFT" + (14).to_bytes(4, "little") + b"byte oracle 1\0"
        return content[:4] + (len(content) - 8).to_bytes(4, "little") + content[8:]

    @property
    def is_good(self):
        return self.fault is None

    def describe(self):
        return (f"{self.listener}: upload, {self.container} of {self.form}, {len(self.content)} bytes, id in the {self.place}, "
                f"{self.transport}, {self.coding}" + (f", fault: {self.fault}" if self.fault else ""))

    def send(self, daemon):
        chance = self.chance
        body, boundary = wire.form(chance, self.filename, self.content, self.listener if self.place == "field" else None)
        if self.fault == "cut form":
            body = body[:-len(boundary) - 8]
        query = f"?listener_id={self.listener}" if self.place == "query" else ""
        head = f"POST /recordings_upload{query} HTTP/1.1\r\nHost: oracle\r\nConnection: close\r\nContent-Type: multipart/form-data; boundary={boundary}\r\n"
        if self.coding == "length":
            head += f"Content-Length: {len(body) + (500 if self.fault == 'no end' else 0)}\r\n\r\n"
            parts = wire.cut_randomly(chance, body, 1, chance.choice((2000, 100_000)))
        else:
            head += "Transfer-Encoding: chunked\r\n\r\n"
            parts = wire.chunked(wire.cut_randomly(chance, body, 1, chance.choice((2000, 100_000))))
            if self.fault != "no end":
                parts.append(wire.LAST_CHUNK)
        connection = wire.Connection(daemon, self.transport == "tls")
        try:
            try:
                connection.send([head.encode()] + parts, wire.pauses(chance, 0.05, 0.002))
            except OSError:
                # The rest of a file that is rejected need not be read.
                if self.is_good:
                    raise
                return
            if self.fault == "no end":
                return
            status, answer = connection.answer()
        finally:
            connection.close()
        if self.is_good:
            if status != 200:
                raise ConnectionError(f"the upload was answered with {status} {answer[:300]!r}")
            self.stored_name = json.loads(answer)["filename"]
        elif status not in (0, 400, 422):
            raise ConnectionError(f"a bad upload ({self.fault}) was answered with {status} {answer[:300]!r}")
