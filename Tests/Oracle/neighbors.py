"""Other clients beside the streams: what they send must never be found in a recording."""

import random
import threading

import wire


class Neighbors:
    def __init__(self, daemon, seed):
        self._daemon = daemon
        chance = random.Random(seed)
        self.marker = f"ORACLE-SECRET-{chance.getrandbits(64):016x}"
        self.requests = 0
        self._end = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, args=(random.Random(f"{seed}/{number}"), number), daemon=True) for number in range(2)]
        for thread in self._threads:
            thread.start()

    def stop(self):
        self._end.set()
        for thread in self._threads:
            thread.join()

    def _work(self, chance, number):
        offset = 0
        while not self._end.wait(chance.uniform(0, 0.02)):
            kind = chance.choice(("push", "push", "alive", "status", "recordings", "wrong method", "garbage"))
            body = b""
            secret = f"Authorization: Basic {self.marker}\r\nX-Note: {self.marker * chance.randint(1, 40)}\r\n"
            if kind == "push":
                body = (self.marker.encode() + b"\n") * chance.randint(1, 100)
                line = f"PUT /ou/unit{number}/push-sequential/data/notes/notes-0000.tsv?offset={offset} HTTP/1.1"
            elif kind == "alive":
                line = f"POST /ou/unit{number}/alive?site_code={self.marker}&rssi_raw=1&rssi_dbm=-50 HTTP/1.1"
            elif kind == "wrong method":
                body = self.marker.encode() * chance.randint(1, 3000)
                line = "PUT /recordings_stream?listener_id=neighbor HTTP/1.1"
            elif kind == "garbage":
                body = self.marker.encode() * 10
                line = f"POST /recordings_upload?listener_id={self.marker}! HTTP/1.1"
            else:
                line = f"GET /api/v1/{kind}?limit=5 HTTP/1.1"
            try:
                connection = wire.Connection(self._daemon, chance.random() < 0.2)
                try:
                    connection.send([f"{line}\r\nHost: localhost\r\nConnection: close\r\n{secret}Content-Length: {len(body)}\r\n\r\n".encode() + body])
                    status, _ = connection.answer()
                    self.requests += 1
                    if kind == "push" and status == 200:
                        offset += len(body)
                finally:
                    connection.close()
            except OSError:
                continue
