"""The values of a directory as text and back: numbers, moments, identifiers in bytes. No I/O."""

from __future__ import annotations

import base64
import datetime as dt
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from rules.schema import FieldType

_SYNTAX = "1.3.6.1.4.1.1466.115.121.1."
DN_SYNTAXES = frozenset({f"{_SYNTAX}12", f"{_SYNTAX}34"})
_TIME = re.compile(r"(\d{4})(\d{2})(\d{2})(\d{2})(?:(\d{2})(\d{2})?)?(?:[.,](\d+))?(Z|[+-]\d{2}(?:\d{2})?)")
_EPOCH = dt.datetime(1601, 1, 1, tzinfo=dt.UTC)
_NEVER = 2**63 - 1
_TICK = 10_000_000


class UnreadableError(ValueError):
    """A value that cannot be represented exactly."""


@dataclass(frozen=True)
class Codec:
    """How one kind of value is read (as text that `connectors.casting` understands) and written."""

    type: FieldType
    read: Callable[[bytes], str | None]
    write: Callable[[str], bytes]


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise UnreadableError from error


def _moment(value: bytes) -> str:
    """Return a GeneralizedTime in the standard form, its zone kept."""
    found = _TIME.fullmatch(_text(value))
    if found is None:
        raise UnreadableError
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    unit = 1 if second else 60 if minute else 3600
    micro = Decimal(f"0.{fraction or 0}") * unit * 1_000_000
    if micro != micro.to_integral_value():
        raise UnreadableError
    try:
        moment = dt.datetime(
            int(year), int(month), int(day), int(hour), int(minute or 0), int(second or 0), tzinfo=dt.UTC
        )
        moment += dt.timedelta(microseconds=int(micro))
    except (ValueError, OverflowError) as error:
        raise UnreadableError from error
    offset = "Z" if zone == "Z" else f"{zone[:3]}:{zone[3:] or '00'}"
    return moment.replace(tzinfo=None).isoformat() + offset


def _short_moment(value: bytes) -> str:
    """Return a UTCTime, whose year has two digits, in the standard form."""
    return _moment((b"19" if value[:2] >= b"50" else b"20") + value)


def _generalized(text: str) -> bytes:
    moment = dt.datetime.fromisoformat(text).astimezone(dt.UTC)
    fraction = f"{moment.microsecond:06}".rstrip("0") or "0"
    return f"{moment.year:04}{moment:%m%d%H%M%S}.{fraction}Z".encode()


def _ticks(value: bytes) -> str | None:
    """Return the moment of Windows' count of tenths of microseconds since 1601; 0 and the greatest are none."""
    count = int(_text(value))
    if count in (0, _NEVER):
        return None
    try:
        moment = _EPOCH + dt.timedelta(seconds=count // _TICK, microseconds=count % _TICK // 10)
    except OverflowError as error:
        raise UnreadableError from error
    return moment.replace(tzinfo=None).isoformat() + "Z"


def _counted(text: str) -> bytes:
    passed = dt.datetime.fromisoformat(text).astimezone(dt.UTC) - _EPOCH
    return str((passed.days * 86_400 + passed.seconds) * _TICK + passed.microseconds * 10).encode()


def _sid(value: bytes) -> str:
    """Return a security identifier as Windows writes it."""
    if len(value) < 8 or len(value) != 8 + 4 * value[1]:
        raise UnreadableError
    parts = [int.from_bytes(value[at : at + 4], "little") for at in range(8, len(value), 4)]
    return "-".join(map(str, ("S", value[0], int.from_bytes(value[2:8], "big"), *parts)))


def _sid_bytes(text: str) -> bytes:
    try:
        _, revision, authority, *parts = text.split("-")
        head = bytes((int(revision), len(parts))) + int(authority).to_bytes(6, "big")
        return head + b"".join(int(part).to_bytes(4, "little") for part in parts)
    except (ValueError, OverflowError):
        return text.encode()  # no such value, so nothing is found


def _guid(value: bytes) -> str:
    try:
        return str(uuid.UUID(bytes_le=value))
    except ValueError as error:
        raise UnreadableError from error


def _guid_bytes(text: str) -> bytes:
    try:
        return uuid.UUID(text).bytes_le
    except ValueError:
        return text.encode()


TEXT = Codec(FieldType.TEXT, _text, str.encode)
_BINARY = Codec(FieldType.BINARY, lambda value: base64.b64encode(value).decode(), base64.b64decode)
_INTEGER = Codec(FieldType.INTEGER, _text, str.encode)
_BOOLEAN = Codec(FieldType.BOOLEAN, _text, lambda text: text.upper().encode())
_MOMENT = Codec(FieldType.DATETIME, _moment, _generalized)
_FILE_TIME = Codec(FieldType.DATETIME, _ticks, _counted)

_BY_SYNTAX: Mapping[str, Codec] = {
    **{f"{_SYNTAX}{number}": _BINARY for number in (4, 5, 8, 9, 10, 23, 28, 40, 49)},
    "1.2.840.113556.1.4.907": _BINARY,
    f"{_SYNTAX}27": _INTEGER,
    "1.2.840.113556.1.4.906": _INTEGER,
    f"{_SYNTAX}7": _BOOLEAN,
    f"{_SYNTAX}24": _MOMENT,
    f"{_SYNTAX}53": Codec(FieldType.DATETIME, _short_moment, lambda text: _generalized(text)[2:14] + b"Z"),
}
_BY_NAME: Mapping[str, Codec] = {
    "objectguid": Codec(FieldType.TEXT, _guid, _guid_bytes),
    "objectsid": Codec(FieldType.TEXT, _sid, _sid_bytes),
    "sidhistory": Codec(FieldType.TEXT, _sid, _sid_bytes),
    **dict.fromkeys(
        (
            "accountexpires",
            "badpasswordtime",
            "lastlogoff",
            "lastlogon",
            "lastlogontimestamp",
            "lockouttime",
            "pwdlastset",
        ),
        _FILE_TIME,
    ),
}


def codec(attribute: str, syntax: str) -> Codec:
    """Return how the values of an attribute are read and written."""
    return _BY_NAME.get(attribute.lower()) or _BY_SYNTAX.get(syntax, TEXT)
