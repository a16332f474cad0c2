"""The protobuf wire format, as far as syntax trees need it.

https://protobuf.dev/programming-guides/encoding/ ; 60 lines instead of a dependency with a compiler of its own.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from typing import TypeAlias, cast

VARINT, FIXED64, BYTES = 0, 1, 2
Raw: TypeAlias = int | bytes


class Reader:
    """The fields of one message: number -> values in order."""

    def __init__(self, data: bytes) -> None:
        self._fields: dict[int, list[Raw]] = defaultdict(list)
        offset = 0
        while offset < len(data):
            tag, offset = _varint(data, offset)
            value, offset = _value(data, offset, tag & 7)
            self._fields[tag >> 3].append(value)

    def __contains__(self, number: int) -> bool:
        return number in self._fields

    def messages(self, number: int) -> list[Reader]:
        """Return the messages in a field."""
        return [Reader(cast(bytes, value)) for value in self._fields.get(number, ())]

    def message(self, number: int) -> Reader:
        """Return the message in a field; an empty one where it is absent."""
        found = self._fields.get(number)
        return Reader(cast(bytes, found[-1]) if found else b"")

    def data(self, number: int) -> bytes:
        """Return the bytes of a field."""
        found = self._fields.get(number)
        return cast(bytes, found[-1]) if found else b""

    def text(self, number: int) -> str:
        """Return the text of a field."""
        return self.data(number).decode()

    def integer(self, number: int) -> int:
        """Return the signed 64-bit integer of a field."""
        found = self._fields.get(number)
        value = cast(int, found[-1] if found else 0)
        return value - (1 << 64) if value >= 1 << 63 else value

    def double(self, number: int) -> float:
        """Return the floating point number of a field."""
        value: float = struct.unpack("<d", self.data(number))[0]
        return value


def _varint(data: bytes, offset: int) -> tuple[int, int]:
    shift = result = 0
    while True:
        byte = data[offset]
        offset += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, offset
        shift += 7


def _value(data: bytes, offset: int, kind: int) -> tuple[Raw, int]:
    if kind == VARINT:
        return _varint(data, offset)
    if kind == FIXED64:
        return data[offset : offset + 8], offset + 8
    length, offset = _varint(data, offset)
    return data[offset : offset + length], offset + length


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
