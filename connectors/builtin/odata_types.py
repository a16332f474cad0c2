"""The values of OData's types: what they are in JSON and in an address, in versions 2 and 4. No I/O."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import msgspec

from connectors.json_records import text_of
from connectors.value_text import PLAIN
from rules.schema import Field, FieldType

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_TICKS = re.compile(r"/Date\((-?\d+)([+-]\d+)?\)/")
_SPAN = re.compile(r"PT(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:\.(\d+))?S)?")


class UnfitError(ValueError):
    """A value that the service's type cannot hold exactly."""


@dataclass(frozen=True)
class EdmType:
    """How values of a type are read (as text that `connectors.casting` understands), written, put in addresses."""

    type: FieldType
    read: Callable[[Any], str | None] = text_of
    write: Callable[[Any], Any] = PLAIN.text
    literal: Callable[[Any], str] = lambda value: PLAIN.text(value) or ""
    ordered: bool = False
    """The service compares its values as we do."""


def _quoted(value: Any) -> str:
    return "'" + (PLAIN.text(value) or "").replace("'", "''") + "'"


def _url_safe(value: Any) -> str | None:
    text = text_of(value)
    return None if text is None else text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4)


def _moment(value: Any) -> str | None:
    """Return the moment of `/Date(milliseconds+minutes)/` in the standard form; other texts as they are."""
    text = text_of(value)
    found = _TICKS.fullmatch(text or "")
    if found is None:
        return text
    try:
        return (_EPOCH + dt.timedelta(milliseconds=int(found[1]))).isoformat().replace("+00:00", "Z")
    except OverflowError:
        return text


def _local(value: Any) -> str | None:
    text = _moment(value)
    return None if text is None else text.removesuffix("Z")


def _span(value: Any) -> str | None:
    """Return the time of `PT12H30M15S` in the standard form; other texts as they are."""
    text = text_of(value)
    found = _SPAN.fullmatch(text or "")
    if found is None:
        return text
    hours, minutes, seconds, fraction = (part or "0" for part in found.groups())
    return f"{int(hours):02}:{int(minutes):02}:{int(seconds):02}.{fraction.ljust(6, '0')}"


def _ticks(value: dt.datetime) -> str:
    moment = value if value.tzinfo else value.replace(tzinfo=dt.UTC)
    passed = moment - _EPOCH
    if passed.microseconds % 1000:
        raise UnfitError
    return f"/Date({passed // dt.timedelta(milliseconds=1)})/"


def _day_ticks(value: dt.date) -> str:
    return _ticks(dt.datetime(value.year, value.month, value.day, tzinfo=dt.UTC))


def _as_span(value: dt.time) -> str:
    fraction = f".{value.microsecond:06}".rstrip("0").rstrip(".")
    return f"PT{value:%H}H{value:%M}M{value:%S}{fraction}S"


def _json(value: Any) -> Any:
    return msgspec.Raw(value.encode())


def _same(value: Any) -> Any:
    return value


def _marked(before: str, after: str = "'") -> Callable[[Any], str]:
    return lambda value: f"{before}{PLAIN.text(value)}{after}"


def _naive(value: Any) -> str:
    return value.replace(tzinfo=None).isoformat() if isinstance(value, dt.datetime) else f"{value}T00:00:00"


def _hexadecimal(value: bytes) -> str:
    return binascii.hexlify(value).decode().upper()


_TEXT = EdmType(FieldType.TEXT, literal=_quoted)
_WHOLE = EdmType(FieldType.INTEGER, write=_same, ordered=True)
_COMMON: Mapping[str, EdmType] = {
    "String": _TEXT,
    **dict.fromkeys(("Byte", "SByte", "Int16", "Int32"), _WHOLE),
    "Boolean": EdmType(FieldType.BOOLEAN, write=_same),
}
_OLD: Mapping[str, EdmType] = {
    **_COMMON,
    "Int64": EdmType(FieldType.INTEGER, literal=lambda v: f"{v}L", ordered=True),
    "Decimal": EdmType(FieldType.DECIMAL, literal=_marked("", "M"), ordered=True),
    **dict.fromkeys(("Double", "Single"), EdmType(FieldType.FLOAT, literal=_marked("", "d"), ordered=True)),
    "Guid": EdmType(FieldType.TEXT, literal=_marked("guid'")),
    "DateTime": EdmType(FieldType.LOCAL_DATETIME, _local, _ticks, lambda v: f"datetime'{_naive(v)}'", ordered=True),
    "Date": EdmType(FieldType.DATE, _local, _day_ticks, lambda v: f"datetime'{_naive(v)}'", ordered=True),
    "DateTimeOffset": EdmType(FieldType.DATETIME, _moment, _ticks, _marked("datetimeoffset'"), ordered=True),
    "Time": EdmType(FieldType.TIME, _span, _as_span, lambda v: f"time'{_as_span(v)}'"),
    "Binary": EdmType(FieldType.BINARY, literal=lambda v: f"X'{_hexadecimal(v)}'"),
}
_NEW: Mapping[str, EdmType] = {
    **_COMMON,
    "Int64": EdmType(FieldType.INTEGER, ordered=True),
    "Decimal": EdmType(FieldType.DECIMAL, ordered=True),
    **dict.fromkeys(("Double", "Single"), EdmType(FieldType.FLOAT, write=_same, ordered=True)),
    "Guid": EdmType(FieldType.TEXT),
    "Date": EdmType(FieldType.DATE, ordered=True),
    "TimeOfDay": EdmType(FieldType.TIME),
    "DateTimeOffset": EdmType(FieldType.DATETIME, ordered=True),
    "Duration": EdmType(FieldType.TEXT, literal=_marked("duration'")),
    "Binary": EdmType(
        FieldType.BINARY, _url_safe, lambda v: base64.urlsafe_b64encode(v).decode(),
        lambda v: f"binary'{base64.urlsafe_b64encode(v).decode()}'",
    ),
}  # fmt: skip
STRUCTURED = EdmType(FieldType.JSON, write=_json)
ENUMERATION = _TEXT


def edm_type(name: str, *, old: bool, day: bool = False) -> EdmType | None:
    """Return how values of a type such as `Edm.Int64` are read and written; None for what is no primitive type.

    Args:
        name: The type's full name.
        old: Version 2 of the protocol.
        day: A date and time of which only the date counts.
    """
    short = name.removeprefix("Edm.")
    if short == name:
        return None
    return (_OLD if old else _NEW).get("Date" if day and old else short, STRUCTURED)


def written(value: Any, kind: EdmType) -> Any:
    """Return a value as it stands in a JSON body; raises `UnfitError`."""
    return None if value is None else kind.write(value)


def encoded(literal: str) -> str:
    """Return a literal as it stands in an address."""
    return quote(literal, safe="'(),:$@!*~._-")


def field_of(name: str, kind: EdmType, facets: Mapping[str, Any]) -> Field:
    """Return a property as a field.

    Args:
        name: Its name.
        kind: Its type.
        facets: `nullable`, `length`, `precision`, `scale`, `generated` and `label`, where they are known.
    """
    decimal = kind.type is FieldType.DECIMAL
    known = {key: value for key, value in facets.items() if value is not None and (decimal or key != "scale")}
    known.pop("precision", None)
    return Field(name, kind.type, precision=38 if decimal else None, **known)
