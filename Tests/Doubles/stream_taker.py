"""Takes one stream as the former server did, and tells what came: stream_taker.py -> `listening PORT`, then one line of JSON."""

import json
import socket

listener = socket.create_server(("127.0.0.1", 0))
print(f"listening {listener.getsockname()[1]}", flush=True)
connection, _ = listener.accept()
file = connection.makefile("rb")
request = file.readline().decode().strip()
headers = {}
while (line := file.readline().strip()):
    name, _, value = line.decode().partition(":")
    headers[name.lower()] = value.strip()
chunks = []
while (size := int(file.readline(), 16)):
    chunks.append(file.read(size))
    file.read(2)
file.readline()
answer = b'{"status":"ok"}'
connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\ncontent-type: application/json\r\n\r\n%s" % (len(answer), answer))
# A frame: its number and the bytes of its payload, 24 bits each, little-endian; then the payload.
body, frames = b"".join(chunks), []
while body:
    number, count = int.from_bytes(body[:3], "little"), int.from_bytes(body[3:6], "little")
    frames.append([number, body[6:6 + count].hex()])
    body = body[6 + count:]
print(json.dumps({"request": request, "headers": headers, "frames": frames}), flush=True)
