"""Beginnings for the fuzzer: what servers of forecasts send, as it should be, small.

    forecast_seeds.py GRIB|INDEX|ZARR|BLOSC FOLDER
"""

import ctypes
import ctypes.util
import json
import os
import struct
import sys

kind, folder = sys.argv[1:]


def write(name, body):
    with open(os.path.join(folder, name), "wb") as file:
        file.write(body)


def section(number, body):
    return struct.pack(">IB", len(body) + 5, number) + body


def message(template, representation, data, bitmap=b"\xff"):
    """A field of four by three points (WMO-No. 306, sections 0 to 8)."""
    identification = struct.pack(">HHBBBHBBBBBBB", 7, 0, 2, 1, 1, 2026, 11, 21, 6, 0, 0, 0, 1)
    grid = struct.pack(">BIBBH", 0, 12, 0, 0, 0) + bytes([6]) + bytes(15) + struct.pack(">IIII", 4, 3, 0, 0)
    grid += struct.pack(">II", 10_000_000, 0) + b"\x30" + struct.pack(">IIIIB", 0, 3_000_000, 1_000_000, 5_000_000, 0)
    product = struct.pack(">HHBBBBBHBBIBBIBBI", 0, 0, 2, 2, 2, 0, 96, 0, 0, 1, 3, 103, 0, 10, 255, 0, 0)
    body = section(1, identification) + section(3, grid) + section(4, product)
    body += section(5, struct.pack(">IH", 12, template) + representation)
    body += section(6, bitmap) + section(7, data) + b"7777"
    return b"GRIB" + struct.pack(">HBBQ", 0, 0, 2, len(body) + 16) + body


if kind == "GRIB":
    scale = struct.pack(">fHHB", -20.0, 0, 1, 8) + b"\0"
    simple = message(0, scale, bytes(range(12)))
    write("simple", simple)
    write("constant", message(0, struct.pack(">fHHB", 7.0, 0, 0, 0) + b"\0", b""))
    write("bitmap", message(0, scale, bytes(range(12)), b"\0\xff\xf0"))
    groups = b"\x01\x00" + bytes(8) + struct.pack(">IBBIBIB", 2, 0, 8, 0, 1, 6, 8)
    lists = bytes([3, 200, 4, 8, 6, 6]) + bytes([0x12, 0x34, 0x56]) + bytes([9, 8, 7, 6, 5, 4])
    write("groups", message(2, scale + groups, lists))
    for order in (1, 2):
        extras = struct.pack(">hh", 5, 9)[:2 * order] + struct.pack(">H", 0x8003)
        write(f"order{order}", message(3, scale + groups + bytes([order, 2]), extras + lists))
    write("image", message(40, scale + b"\0\xff", b"\xff\x4f\xff\x51\x00\x29" + bytes(60)))
    write("two", simple + simple)
elif kind == "INDEX":
    write("real", b"588:428490334:d=2026082900:UGRD:10 m above ground:3 hour fcst:\n"
                  b"589.1:429471366:d=2026082900:VGRD:10 m above ground:3 hour fcst:\n"
                  b"589.2:429471366:d=2026082900:VGRD:80 m above ground:anl:ENS=+1\r\n")
elif kind == "ZARR":
    array = {"zarr_format": 2, "shape": [5, 7, 9], "chunks": [1, 4, 4], "dtype": "<f4", "order": "C", "filters": None,
             "fill_value": 9.969209968386869e36, "compressor": None}
    for name, change in [("plain", {}), ("packed", {"compressor": {"id": "blosc"}}), ("short", {"dtype": "<i2"})]:
        write(name, json.dumps({"metadata": {
            "uo/.zarray": {**array, **change},
            "uo/.zattrs": {"_ARRAY_DIMENSIONS": ["time", "latitude", "longitude"], "scale_factor": 0.001,
                           "units": "hours since 1950-01-01"}}}).encode())
else:
    blosc = ctypes.CDLL(ctypes.util.find_library("blosc"))
    blosc.blosc_init()
    for name in (b"lz4", b"blosclz", b"zstd", b"zlib"):
        if blosc.blosc_set_compressor(name) < 0:
            continue
        for shuffle in (0, 1, 2):
            raw = b"".join(struct.pack("<f", number / 7) for number in range(256)) * 4
            room = ctypes.create_string_buffer(len(raw) + 16)
            count = blosc.blosc_compress(5, shuffle, 4, ctypes.c_size_t(len(raw)), raw, room, len(raw) + 16)
            write(f"{name.decode()}{shuffle}", room.raw[:count])
