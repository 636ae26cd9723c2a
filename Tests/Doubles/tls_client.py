#!/usr/bin/env python3
"""A TLS client for the tests of the server's side. It uses Python's ssl module and its own sockets.

Usage: tls_client.py PORT CERTIFICATE CASE SEED

The server of the tests answers `echo\\n` by sending back all that follows, counts what follows `keep\\n`, and `give N\\n` by sending N bytes, byte i being i mod 251, and
closing. Exits with 0 if the case holds, and says on standard error what did not.
"""

import os
import random
import select
import socket
import ssl
import subprocess
import sys
import time

PORT, CERTIFICATE, CASE, SEED = int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
chance = random.Random(SEED)


def context(version=None, protocols=()):
    made = ssl.create_default_context(cafile=CERTIFICATE)
    if version:
        made.minimum_version = made.maximum_version = version
    if protocols:
        made.set_alpn_protocols(list(protocols))
    return made


def connect(version=None, protocols=()):
    """A socket over TLS. An end without close_notify is an error (`suppress_ragged_eofs`)."""
    plain = socket.create_connection(("127.0.0.1", PORT), timeout=60)
    return context(version, protocols).wrap_socket(plain, server_hostname="localhost", suppress_ragged_eofs=False)


def expect(condition, text):
    if not condition:
        sys.exit(f"tls_client: {CASE}, seed {SEED}: {text}")


def read_to_end(connection, pause=0.0, size=65_536):
    pieces = []
    while piece := connection.recv(size):
        pieces.append(piece)
        time.sleep(pause)
    return b"".join(pieces)


def pattern(count):
    return (bytes(range(251)) * (count // 251 + 1))[:count]


def echo(version):
    """Sends and receives at once, in one thread: a connection of OpenSSL does not bear two."""
    connection = connect(version)
    connection.setblocking(False)
    sent = chance.randbytes(2_000_000)
    waiting = b"echo\n" + sent
    received = bytearray()
    piece = b""
    while len(received) < len(sent):
        progress = False
        # OpenSSL wants the same bytes again when they did not go.
        piece = piece or waiting[:chance.choice((1, 17, 1000, 16_383, 16_384, 16_385, 70_000))]
        try:
            if piece:
                count = connection.send(piece)
                waiting, piece, progress = waiting[count:], b"", True
        except ssl.SSLWantWriteError:
            pass
        try:
            part = connection.recv(chance.choice((1, 100, 65_536)))
            expect(part, f"the server ended after {len(received)} bytes")
            received += part
            progress = True
        except ssl.SSLWantReadError:
            pass
        if not progress:
            select.select([connection], [connection] if piece else [], [], 60)
    expect(received == sent, "the echo differs")
    connection.setblocking(True)
    connection.unwrap().close()


def in_pieces(version):
    """The encrypted bytes arrive one by one, or in pieces that have nothing to do with records."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    connection = context(version).wrap_bio(incoming, outgoing, server_hostname="localhost")
    plain = socket.create_connection(("127.0.0.1", PORT), timeout=60)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send():
        data = outgoing.read()
        while data:
            size = chance.choice((1, 1, 2, 5, 700))
            plain.sendall(data[:size])
            data = data[size:]

    def attempt(step):
        while True:
            try:
                result = step()
                send()
                return result
            except ssl.SSLWantReadError:
                send()
                incoming.write(plain.recv(chance.choice((1, 3, 4096))))

    attempt(connection.do_handshake)
    sent = chance.randbytes(40_000)
    attempt(lambda: connection.write(b"echo\n"))
    attempt(lambda: connection.write(sent))
    received = b""
    while len(received) < len(sent):
        received += attempt(lambda: connection.read(4096))
    expect(received == sent, "the echo differs")
    plain.close()


def give(count, pause=0.0, size=65_536, buffer=None):
    plain = socket.socket()
    if buffer:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    plain.settimeout(60)
    plain.connect(("127.0.0.1", PORT))
    connection = context().wrap_socket(plain, server_hostname="localhost", suppress_ragged_eofs=False)
    connection.sendall(b"give %d\n" % count)
    received = read_to_end(connection, pause, size)
    expect(received == pattern(count), f"{len(received)} of {count} bytes came, or others")
    connection.close()


def connect_in_memory(version=None):
    """A finished handshake, with the encrypted bytes at hand: the socket, the connection, what it gets and what it sends."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    connection = context(version).wrap_bio(incoming, outgoing, server_hostname="localhost")
    plain = socket.create_connection(("127.0.0.1", PORT), timeout=60)
    while True:
        try:
            connection.do_handshake()
            plain.sendall(outgoing.read())
            return plain, connection, incoming, outgoing
        except ssl.SSLWantReadError:
            plain.sendall(outgoing.read())
            incoming.write(plain.recv(65_536))


def chosen_protocol(offered):
    connection = connect(protocols=offered)
    chosen = connection.selected_alpn_protocol()
    connection.close()
    return chosen


def raw(data, half_close=True):
    """What comes back for bytes that are no handshake."""
    plain = socket.create_connection(("127.0.0.1", PORT), timeout=60)
    plain.sendall(data)
    if half_close:
        plain.shutdown(socket.SHUT_WR)
    received = b""
    try:
        while piece := plain.recv(4096):
            received += piece
    except ConnectionResetError:
        pass
    plain.close()
    return received


def handshake_with(version):
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname = False
    old.verify_mode = ssl.CERT_NONE
    old.minimum_version = old.maximum_version = version
    old.set_ciphers("ALL:@SECLEVEL=0")
    with socket.create_connection(("127.0.0.1", PORT), timeout=60) as plain:
        try:
            old.wrap_socket(plain)
            return None
        except ssl.SSLError as error:
            return str(error)


def openssl(*arguments, text=b""):
    done = subprocess.run(("openssl", "s_client", "-connect", f"127.0.0.1:{PORT}", "-CAfile", CERTIFICATE) + arguments,
                          input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
    return done.stdout.decode(errors="replace")


if CASE == "echo":
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        echo(version)
elif CASE == "pieces":
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        in_pieces(version)
elif CASE == "give":
    for count in (0, 1, 16_384, 16_385, 5_000_000):
        give(count)
elif CASE == "slow reader":
    # More than both kernels' buffers hold, and a client that takes it after the server has closed.
    give(600_000, pause=0.002, size=1000, buffer=4096)
elif CASE == "silent client":
    # A client that has its answer and neither ends nor sends: the server closes nevertheless.
    plain, connection, _, outgoing = connect_in_memory()
    connection.write(b"give 10\n")
    plain.sendall(outgoing.read())
    while plain.recv(65_536):
        pass
elif CASE == "close at once":
    # Everything is sent in one go and nothing is read, as a client does that is switched off.
    for number in range(40):
        connection = connect((ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)[number % 2])
        connection.sendall(b"keep\n" + chance.randbytes(200_000))
        connection.close()
elif CASE == "half closed":
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        plain, connection, incoming, outgoing = connect_in_memory(version)
        sent = chance.randbytes(100_000)
        connection.write(b"echo\n" + sent)
        try:
            connection.unwrap()
        except ssl.SSLWantReadError:
            pass
        plain.sendall(outgoing.read())
        while piece := plain.recv(65_536):
            incoming.write(piece)
        incoming.write_eof()
        received = b""
        try:
            # OpenSSL reads on after it has sent its own close_notify, until the server's.
            while piece := connection.read(65_536):
                received += piece
        except ssl.SSLZeroReturnError:
            pass
        expect(received == sent, f"{version.name}: {len(received)} of {len(sent)} bytes came, or others")
        plain.close()
elif CASE == "protocols":
    expect(chosen_protocol(("h2", "http/1.1")) == "http/1.1", "HTTP/1.1 was not chosen")
    expect(chosen_protocol(("h2",)) is None, "something was chosen that was not offered")
    expect(chosen_protocol(()) is None, "something was chosen that was not offered")
elif CASE == "old versions":
    for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
        error = handshake_with(version)
        expect(error and "alert protocol version" in error, f"{version.name}: {error}")
elif CASE == "renegotiation":
    text = openssl("-tls1_2", text=b"R\n")
    expect("no renegotiation" in text or "NO_RENEGOTIATION" in text, text)
elif CASE == "resumption":
    path = f"{os.path.dirname(CERTIFICATE)}/session.pem"
    for version in ("-tls1_2", "-tls1_3"):
        openssl(version, "-sess_out", path, "-ign_eof", text=b"give 1\n")
        again = openssl(version, "-sess_in", path, "-ign_eof", text=b"give 1\n")
        expect("Reused, " in again, f"{version}: {again}")
elif CASE == "no handshake":
    # What is not TLS gets no answer, and a record with the wrong message an alert.
    expect(raw(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n") == b"", "plain HTTP got an answer")
    expect(raw(b"\x16\x03\x01\x00\x05\x02\0\0\x01\0")[:1] == b"\x15", "no alert came")
    # A ClientHello that is cut at any place, and random bytes of the handshake's type.
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        context().wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
    except ssl.SSLWantReadError:
        hello = outgoing.read()
    for _ in range(100):
        raw(hello[:chance.randrange(len(hello))])
        raw(b"\x16\x03\x01" + chance.randbytes(chance.randrange(600)))
        changed = bytearray(hello)
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
        raw(bytes(changed))
    for _ in range(20):
        plain = socket.create_connection(("127.0.0.1", PORT), timeout=60)
        plain.sendall(hello[:100])
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        plain.close()
elif CASE == "broken record":
    plain, connection, incoming, outgoing = connect_in_memory()
    connection.write(b"echo\nhello")
    record = bytearray(outgoing.read())
    record[-1] ^= 1
    plain.sendall(record)
    while piece := plain.recv(65_536):
        incoming.write(piece)
    incoming.write_eof()
    try:
        while connection.read(100):
            expect(False, "an altered record was answered")
    except ssl.SSLError as error:
        expect("alert bad record mac" in str(error), f"{error}")
else:
    sys.exit(f"tls_client: {CASE}: unknown case")
