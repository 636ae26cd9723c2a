"""Builds the oracle's two C files and calls the one that computes over samples (sound.c)."""

import ctypes
import os
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
_library = None


def build(folder):
    """Compiles both; returns the path of the double of TensorFlow Lite."""
    global _library
    double = _compile(folder, "tensorflowlite_double.c", "-lpthread")
    _library = ctypes.CDLL(_compile(folder, "sound.c", "-lm"))
    for name, result, *arguments in [
        ("oracle_hash", ctypes.c_uint64, ctypes.c_void_p, ctypes.c_size_t),
        ("oracle_smooth", None, ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint64, ctypes.c_void_p),
        ("oracle_tone", None, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_double, ctypes.c_void_p),
        ("oracle_mono", None, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p),
        ("oracle_difference", ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_double),
        ("oracle_peak", ctypes.c_float, ctypes.c_void_p, ctypes.c_int64),
        ("oracle_power", ctypes.c_double, ctypes.c_void_p, ctypes.c_int64),
        ("oracle_distance", ctypes.c_double, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64),
        ("oracle_crc16", ctypes.c_uint16, ctypes.c_char_p, ctypes.c_size_t),
        ("oracle_flac_decode", ctypes.c_int64, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_void_p),
    ]:
        function = getattr(_library, name)
        function.restype, function.argtypes = result, arguments
    return double


def _compile(folder, source, *libraries):
    target = os.path.join(folder, source.removesuffix(".c") + ".so")
    subprocess.run(
        ["cc", "-O2", "-std=gnu11", "-Wall", "-Wextra", "-shared", "-fPIC", "-o", target, os.path.join(HERE, source), *libraries], check=True)
    return target


def _address(buffer):
    """Where a bytearray lies. It must be held in a variable during the call."""
    return ctypes.addressof((ctypes.c_char * len(buffer)).from_buffer(buffer)) if buffer else None


def smooth(encoding, channels, position, frames, seed, bytes_per_frame):
    output = bytearray(frames * bytes_per_frame)
    _library.oracle_smooth(encoding, channels, position, frames, seed, _address(output))
    return output


def tone(encoding, channels, rate, position, frames, hertz, bytes_per_frame):
    output = bytearray(frames * bytes_per_frame)
    _library.oracle_tone(encoding, channels, rate, position, frames, hertz, _address(output))
    return output


def mono(encoding, channels, channel, sound, frames):
    """Float samples, as the bytes of 32-bit numbers of this machine. `channel` counts from 0; -1 is the mean."""
    source, output = bytearray(sound), bytearray(frames * 4)
    _library.oracle_mono(encoding, channels, channel, _address(source), frames, _address(output))
    return output


def difference(found, wanted, tolerance):
    """The first sample that differs, or None; both are bytearrays of floats of one length."""
    index = _library.oracle_difference(_address(found), _address(wanted), len(wanted) // 4, tolerance)
    return None if index < 0 else index


def peak(samples):
    return _library.oracle_peak(_address(samples), len(samples) // 4)


def power(samples):
    return _library.oracle_power(_address(samples), len(samples) // 4)


def distance(found, wanted):
    return _library.oracle_distance(_address(found), _address(wanted), len(wanted) // 4)


def crc16(data):
    return _library.oracle_crc16(bytes(data), len(data))


def flac_decode(data, channels, bits, room):
    """Interleaved 32-bit samples and how many frames; a negative count says after how many the file is damaged."""
    output = bytearray(max(room, 1) * channels * 4)
    source = bytearray(data)
    count = _library.oracle_flac_decode(_address(source), len(source), channels, bits, room, _address(output))
    return output[:max(count, 0) * channels * 4], count
