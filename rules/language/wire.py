"""The protobuf wire format, as far as writing syntax trees needs it.

https://protobuf.dev/programming-guides/encoding/ ; 30 lines instead of a dependency with a compiler of its own.
"""

from __future__ import annotations

import struct

VARINT, FIXED64, BYTES = 0, 1, 2


def varint(number: int, value: int) -> bytes:
    """Return a field that holds an integer."""
    return _encode(number << 3 | VARINT) + _encode(value & (1 << 64) - 1)


def double(number: int, value: float) -> bytes:
    """Return a field that holds a floating point number."""
    return _encode(number << 3 | FIXED64) + struct.pack("<d", value)


def block(number: int, *parts: bytes | str) -> bytes:
    """Return a field that holds bytes, text or a message."""
    data = b"".join(part.encode() if isinstance(part, str) else part for part in parts)
    return _encode(number << 3 | BYTES) + _encode(len(data)) + data


def _encode(value: int) -> bytes:
    result = bytearray()
    while value >= 0x80:
        result.append(value & 0x7F | 0x80)
        value >>= 7
    result.append(value)
    return bytes(result)
