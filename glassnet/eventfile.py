"""TensorBoard's event files, written without TensorBoard.

A file is a row of TFRecords, each holding one protocol buffer ``Event`` (tensorflow's
``event.proto`` and ``summary.proto``). Of all that an event may hold, scalars need a dozen bytes,
which are put together here: importing tensorboardX for it takes as long as 60 steps of a small
network, and each scalar several times as long as here.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterable


def name() -> str:
    """A name for a new file; TensorBoard reads all event files of a folder, in this order."""
    return f"events.out.tfevents.{time.time_ns()}.{socket.gethostname()}"


def opening(step: int) -> bytes:
    """How a file begins; it makes TensorBoard forget what earlier files hold from ``step`` on."""
    version = _event(0, _bytes(3, b"brain.Event:2"))
    restart = _event(step, _bytes(7, _number(1, 1)))  # SessionLog(status=START)
    return _record(version) + _record(restart)


def scalars(values: Iterable[tuple[str, float, int]]) -> bytes:
    """Points of curves, as (name of the curve, value, step)."""
    return b"".join(
        _record(_event(step, _bytes(5, _bytes(1, _bytes(1, tag.encode()) + _float(2, value)))))
        for tag, value, step in values
    )


def _event(step: int, content: bytes) -> bytes:
    return struct.pack("<Bd", 1 << 3 | 1, time.time()) + _number(2, step) + content


def _record(content: bytes) -> bytes:
    length = struct.pack("<Q", len(content))
    return length + _checksum(length) + content + _checksum(content)


# --- Protocol buffers: each field is its number and kind in one byte, then the value --------------


def _number(field: int, value: int) -> bytes:
    return bytes([field << 3]) + _varint(value)


def _float(field: int, value: float) -> bytes:
    return struct.pack("<Bf", field << 3 | 5, value)


def _bytes(field: int, value: bytes) -> bytes:
    return bytes([field << 3 | 2]) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; the eighth says that more follow."""
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)


# --- CRC-32C, masked as TFRecords want it ---------------------------------------------------------


def _table_entry(value: int) -> int:
    for _ in range(8):
        value = value >> 1 ^ 0x82F63B78 * (value & 1)
    return value


_TABLE = [_table_entry(byte) for byte in range(256)]


def _checksum(content: bytes) -> bytes:
    crc = 0xFFFFFFFF
    for byte in content:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
