"""Filters of a directory (RFC 4511, 4515): built from values as bytes, or read from the text that a person wrote.

A value never passes through the text of a filter, so there is nothing to be escaped and nothing to be forgotten.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from connectors.builtin.ldap_ber import octets, sequence, tlv
from connectors.errors import Misconfigured
from rules.text import msg

_AND, _OR, _NOT, _EQUAL, _PARTS, _AT_LEAST, _AT_MOST, _PRESENT, _LIKE, _RULE = *range(0xA0, 0xA7), 0x87, 0xA8, 0xA9
_TESTS = {">=": _AT_LEAST, "<=": _AT_MOST, "~=": _LIKE, "=": _EQUAL}
_ATTRIBUTE = r"[A-Za-z][A-Za-z0-9-]*|\d+(?:\.\d+)+"
_ITEM = re.compile(rf"((?:{_ATTRIBUTE})(?:;[A-Za-z0-9-]+)*)\s*(>=|<=|~=|=)([^()]*)")
_EXTENDED = re.compile(rf"({_ATTRIBUTE})?((?i::dn))?(?::({_ATTRIBUTE}))?:=([^()]*)")
_DEEPEST = 40


def every(parts: Iterable[bytes]) -> bytes:
    """Return the filter that all of the parts have to meet."""
    return tlv(_AND, *parts)


def some(parts: Iterable[bytes]) -> bytes:
    """Return the filter that one of the parts has to meet."""
    return tlv(_OR, *parts)


def negated(part: bytes) -> bytes:
    """Return the filter that what does not meet the part meets."""
    return tlv(_NOT, part)


def equal(attribute: str, value: bytes) -> bytes:
    """Return the filter for entries with a value."""
    return tlv(_EQUAL, octets(attribute), octets(value))


def at_least(attribute: str, value: bytes) -> bytes:
    """Return the filter for entries with a value that is not less."""
    return tlv(_AT_LEAST, octets(attribute), octets(value))


def present(attribute: str) -> bytes:
    """Return the filter for entries with any value."""
    return octets(attribute, _PRESENT)


def parse(text: str) -> bytes:
    """Return the filter that a text stands for; raises `Misconfigured`."""
    plain = text.strip()
    if not plain.startswith("("):
        plain = f"({plain})"
    try:
        found, end = _parsed(plain, 0, 0)
        _nothing_behind(plain[end:])
    except _WrongError as error:
        raise Misconfigured(
            msg("The filter '{filter}' cannot be read at '{place}'.", filter=text, place=str(error)[:40] or "-"),
            msg("Write it like {example}.", example="(&(objectClass=person)(mail=*))"),
        ) from None
    return found


class _WrongError(ValueError):
    """The rest of a filter that cannot be read."""


def _nothing_behind(rest: str) -> None:
    if rest.strip():
        raise _WrongError(rest)


def _parsed(text: str, at: int, depth: int) -> tuple[bytes, int]:
    if text[at : at + 1] != "(" or depth > _DEEPEST:
        raise _WrongError(text[at:])
    kind = text[at + 1 : at + 2]
    if kind in ("&", "|", "!"):
        return _joined(text, at, depth)
    found = _ITEM.match(text, at + 1) or _EXTENDED.match(text, at + 1)
    if found is None or text[found.end() : found.end() + 1] != ")":
        raise _WrongError(text[at:])
    made = _item(found) if found.re is _ITEM else _extended(found)
    return made, found.end() + 1


def _joined(text: str, at: int, depth: int) -> tuple[bytes, int]:
    kind = text[at + 1]
    parts, place = [], _blank(text, at + 2)
    while text[place : place + 1] == "(":
        part, place = _parsed(text, place, depth + 1)
        place = _blank(text, place)
        parts.append(part)
    if text[place : place + 1] != ")" or (kind == "!" and len(parts) != 1):
        raise _WrongError(text[at:])
    return tlv({"&": _AND, "|": _OR, "!": _NOT}[kind], *parts), place + 1


def _blank(text: str, at: int) -> int:
    while text[at : at + 1].isspace():
        at += 1
    return at


def _item(found: re.Match[str]) -> bytes:
    attribute, test, value = found.groups()
    if test != "=" or "*" not in value:
        return tlv(_TESTS[test], octets(attribute), octets(_value(value)))
    if not value.strip("*"):
        return present(attribute)
    first, *middle, last = map(_value, value.split("*"))
    parts = [octets(first, 0x80)] if first else []
    parts += [octets(part, 0x81) for part in middle if part]
    parts += [octets(last, 0x82)] if last else []
    return tlv(_PARTS, octets(attribute), sequence(*parts))


def _extended(found: re.Match[str]) -> bytes:
    attribute, names, rule, value = found.groups()
    if not (attribute or rule):
        raise _WrongError(found[0])
    parts = [octets(rule, 0x81)] if rule else []
    parts += [octets(attribute, 0x82)] if attribute else []
    parts.append(octets(_value(value), 0x83))
    if names:
        parts.append(tlv(0x84, b"\xff"))
    return tlv(_RULE, *parts)


def _value(text: str) -> bytes:
    """Return what a value stands for: a star is written as 2a behind a backslash."""
    if re.search(r"\\(?![0-9A-Fa-f]{2})", text):
        raise _WrongError(text)
    parts = re.split(r"\\([0-9A-Fa-f]{2})", text)
    return b"".join(bytes.fromhex(part) if number % 2 else part.encode() for number, part in enumerate(parts))
