"""How bytes go over the wire: frames, chunks, socket writes, forms."""

import json
import socket
import ssl
import time

import patience


def frame(sequence, payload):
    return sequence.to_bytes(3, "little") + len(payload).to_bytes(3, "little") + payload


def chunked(parts, extension=b""):
    """The chunked transfer coding, without its end."""
    return [b"%x%s\r\n%s\r\n" % (len(part), extension, part) for part in parts if part]


LAST_CHUNK = b"0\r\n\r\n"


def cut_randomly(chance, data, least, most):
    parts, at = [], 0
    while at < len(data):
        count = chance.randint(least, most)
        parts.append(data[at:at + count])
        at += count
    return parts


class Connection:
    """A plain or encrypted connection of the oracle's own."""

    def __init__(self, ports, is_encrypted=False):
        self.socket = socket.create_connection(("127.0.0.1", ports.tls if is_encrypted else ports.plain), timeout=patience.SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._interim = b""
        if is_encrypted:
            context = ssl.create_default_context(cafile=ports.certificate)
            context.check_hostname = False
            self.socket = context.wrap_socket(self.socket)

    def send(self, parts, pause=None):
        for part in parts:
            self.socket.sendall(part)
            if pause is not None:
                pause()

    def await_continue(self):
        """Waits for 100 Continue as other clients do: for a second, then they send all the same."""
        self.socket.settimeout(1)
        try:
            while b"\r\n\r\n" not in self._interim:
                self._interim += self.socket.recv(1) or b"\r\n\r\n"
        except TimeoutError:
            pass
        self.socket.settimeout(patience.SECONDS)

    def answer(self):
        """(status, body) of an answer that ends with the connection; status 0 when there is none."""
        data = b""
        while True:
            try:
                part = self.socket.recv(65536)
            except (ConnectionError, ssl.SSLError):
                break
            data += part
            if data.startswith(b"HTTP/1.1 100"):
                data = data.partition(b"\r\n\r\n")[2]
            head, found, body = data.partition(b"\r\n\r\n")
            if not part or (found and _is_whole(head, body)):
                break
        if not data.startswith(b"HTTP/1."):
            return 0, data
        head, _, body = data.partition(b"\r\n\r\n")
        return int(head.split(b" ", 2)[1]), body

    def close(self):
        try:
            self.socket.close()
        except OSError:
            pass

    def reset(self):
        """Closes without a goodbye: what the kernel still holds is lost."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.close()


def _is_whole(head, body):
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return len(body) >= int(line.split(b":")[1])
    return False


def pauses(chance, share, longest):
    """Now and then a moment in which what was sent is read by itself."""
    def pause():
        if chance.random() < share:
            time.sleep(chance.uniform(0, longest))
    return pause


def form(chance, filename, content, listener=None):
    """The body of multipart/form-data, and its boundary."""
    boundary = "".join(chance.choices("abcdefghijklmnopqrstuvwxyz0123456789-", k=chance.randint(1, 60))) + "x"
    mark = f"--{boundary}".encode()
    while mark in content:
        return form(chance, filename, content, listener)
    field = b'%s\r\nContent-Disposition: form-data; name="listener_id"\r\n\r\n%s\r\n' % (mark, listener.encode()) if listener else b""
    other = b'%s\r\nContent-Disposition: form-data; name="note"\r\n\r\n%s\r\n' % (mark, chance.randbytes(50)) if chance.random() < 0.3 else b""
    file = b'%s\r\nContent-Disposition: form-data; name="file"; filename="%s"\r\nContent-Type: application/octet-stream\r\n\r\n%s\r\n' % (
        mark, filename.encode(), content)
    parts = [field, other, file]
    chance.shuffle(parts)
    return b"".join(parts) + mark + b"--\r\n", boundary


def get_json(ports, path, headers=()):
    connection = Connection(ports)
    try:
        head = "".join(f"{line}\r\n" for line in ["Host: localhost", "Connection: close", *headers])
        connection.send([f"GET {path} HTTP/1.1\r\n{head}\r\n".encode()])
        data = b""
        while part := connection.socket.recv(65536):
            data += part
    finally:
        connection.close()
    head, _, body = data.partition(b"\r\n\r\n")
    if b"transfer-encoding: chunked" in head.lower():
        body = _unchunked(body)
    if not head.startswith(b"HTTP/1.1 200"):
        raise ConnectionError(f"GET {path}: {head[:100]!r} {body[:300]!r}")
    return json.loads(body)


def _unchunked(body):
    whole = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        count = int(size.split(b";")[0], 16)
        if count == 0:
            break
        whole, body = whole + body[:count], body[count + 2:]
    return whole
