"""The part of BER (ITU-T X.690) that LDAP uses: definite lengths, tags of one byte. No I/O."""

from __future__ import annotations

from collections.abc import Iterator

INTEGER, OCTETS, ENUMERATED, SEQUENCE, SET, BOOLEAN = 0x02, 0x04, 0x0A, 0x30, 0x31, 0x01
_LONG = 0x80


class BrokenBerError(ValueError):
    """Bytes that are no BER of the kind that LDAP uses."""


def tlv(tag: int, *parts: bytes) -> bytes:
    """Return an element: a tag, the length of the parts, the parts."""
    content = b"".join(parts)
    size = len(content)
    if size < _LONG:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, _LONG | len(length))) + length + content


def integer(value: int, tag: int = INTEGER) -> bytes:
    """Return a number."""
    return tlv(tag, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def octets(value: bytes | str, tag: int = OCTETS) -> bytes:
    """Return bytes, or a text in UTF-8."""
    return tlv(tag, value.encode() if isinstance(value, str) else value)


def boolean(value: bool, tag: int = BOOLEAN) -> bytes:
    """Return a truth value."""
    return tlv(tag, b"\xff" if value else b"\x00")


def sequence(*parts: bytes) -> bytes:
    """Return elements in their order."""
    return tlv(SEQUENCE, *parts)


def header(data: bytes | bytearray | memoryview, at: int = 0) -> tuple[int, int, int] | None:
    """Return an element's tag, where its content begins and where it ends, or None if the header is not all there.

    Raises:
        BrokenBerError: The length has a form that LDAP does not use.
    """
    if len(data) < at + 2:
        return None
    tag, size = data[at], data[at + 1]
    if size < _LONG:
        return tag, at + 2, at + 2 + size
    count = size & 0x7F
    if not 1 <= count <= 4:
        raise BrokenBerError("a length without an end, or too long")
    if len(data) < at + 2 + count:
        return None
    begin = at + 2 + count
    return tag, begin, begin + int.from_bytes(data[at + 2 : begin], "big")


def elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the tag and the content of each element; raises `BrokenBerError` where one breaks off."""
    at = 0
    while at < len(data):
        found = header(data, at)
        if found is None or found[2] > len(data):
            raise BrokenBerError("an element breaks off")
        tag, begin, at = found
        yield tag, data[begin:at]


def children(data: bytes) -> list[tuple[int, bytes]]:
    """Return all elements; see `elements`."""
    return list(elements(data))


def number(content: bytes) -> int:
    """Return the number that stands in an element."""
    return int.from_bytes(content, "big", signed=True)
