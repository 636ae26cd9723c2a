"""Hands each connection of an address on to another: forward.py HOST:PORT HOST:PORT"""

import asyncio
import os
import socket
import sys


async def copy(reader, writer):
    try:
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
        writer.write_eof()
    except OSError:
        writer.close()


async def main():
    (host, port), target = (argument.rsplit(":", 1) for argument in sys.argv[1:3])

    async def serve(reader, writer):
        try:
            inner, outer = await asyncio.open_connection(*target)
        except OSError:
            writer.close()
            return
        await asyncio.gather(copy(reader, outer), copy(inner, writer))
        outer.close()
        writer.close()

    server = await asyncio.start_server(serve, host, int(port))
    if path := os.environ.get("NOTIFY_SOCKET"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
            ready.sendto(b"READY=1", path)
    async with server:
        await server.serve_forever()


asyncio.run(main())
