"""Functions on empty values, lists and choices, and conversions between types."""

from __future__ import annotations

import math
import re
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from rules.language.functions.bounds import short
from rules.language.functions.registry import Builtin, Chapter, Form, FunctionError, Group
from rules.language.jsontext import write_json
from rules.text import N_, msg

_empty = Chapter(Group.EMPTY)
_lists = Chapter(Group.LISTS)
_conversion = Chapter(Group.CONVERSION)
_INTEGER = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,4})?")
_INT64 = 2**63
_LONGEST = 1_000


def is_blank(value: object) -> bool:
    """Tell whether a value is empty, or text of nothing but spaces, or a list or map without items."""
    if isinstance(value, str):
        return value.strip() == ""
    return value is None or (isinstance(value, (list, dict, bytes, bytearray)) and len(value) == 0)


def number_text(value: float) -> str:
    """Return a number without exponent, whole numbers without decimals."""
    text = format(Decimal(repr(value)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def to_text(value: Any) -> str:
    """Return a value as text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return number_text(value)
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, timedelta):
        return f"{number_text(value.total_seconds())}s"
    return _other_text(value)


def _other_text(value: Any) -> str:
    if isinstance(value, (list, dict)):
        return write_json(value)
    if value is None:
        raise FunctionError(msg("toText() has no value to write: it is empty. Write orDefault() before it."))
    if isinstance(value, (bytes, bytearray)):
        return _decoded(value)
    return str(value)


def _decoded(value: bytes | bytearray) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise FunctionError(msg("The binary data is not text (UTF-8).")) from None


def date_text(value: datetime) -> str:
    """Return a date as text."""
    return value.date().isoformat()


def local_text(value: datetime) -> str:
    """Return a local time as text."""
    return value.replace(tzinfo=None).isoformat()


def integer_of_text(text: str) -> int:
    """Return the whole number that a text shows."""
    found = _INTEGER.fullmatch(text.strip()) if len(text) <= _LONGEST else None
    if found is None or not -_INT64 <= int(text) < _INT64:
        raise FunctionError(msg("'{text}' is not a whole number.", text=short(text)))
    return int(text)


def integer_of_number(number: float) -> int:
    """Return a number without decimals as a whole number."""
    if not number.is_integer() or not -_INT64 <= number < _INT64:
        raise FunctionError(msg("{number} is not a whole number. Use round(), floor() or ceil() first.", number=number))
    return int(number)


def number_of_text(text: str) -> float:
    """Return the number that a text shows."""
    stripped = text.strip()
    if _NUMBER.fullmatch(stripped) is None:
        raise FunctionError(msg("'{text}' is not a number.", text=short(text)))
    exact = Decimal(stripped)
    number = float(exact)
    vanished = number == 0 and exact != 0
    if len(exact.normalize().as_tuple().digits) > 15 or vanished or math.isinf(number):
        raise FunctionError(msg("'{text}' has more digits than can be calculated with (15).", text=short(text)))
    return number


def boolean_of_text(text: str) -> bool:
    """Return true or false for a text that says so."""
    found = {"true": True, "false": False}.get(text.strip().lower())
    if found is None:
        raise FunctionError(msg("'{text}' is neither true nor false.", text=short(text)))
    return found


_empty.form(
    Form.OR_DEFAULT,
    N_("Returns the value, or a default where it is empty (null)."),
    {"null.orDefault('none')": "'none'", "'x'.orDefault('none')": "'x'"},
    "orDefault(value: any, default: any) -> any",
)
_empty.form(
    Form.COALESCE,
    N_("Returns the first value that is not empty (null)."),
    {"coalesce(null, 'b', 'c')": "'b'", "coalesce(null, null)": "null"},
    "coalesce(value: any, other: any) -> any",
    "coalesce(value: any, other: any, another: any) -> any",
    "coalesce(value: any, other: any, another: any, last: any) -> any",
)
_empty.own(
    N_("Tells whether a value is empty (null), text of nothing but spaces, or a list without items."),
    {"isBlank('  ')": "true", "isBlank(null)": "true", "isBlank(0)": "false"},
    {"isBlank(value: any) -> boolean": is_blank},
)
_lists.form(
    Form.CHOOSE,
    N_("Looks a value up in a list of choices, else returns the default; without a default it is an error then."),
    {"choose('M', {'M': 1, 'F': 2}, 0)": "1", "choose('?', {'M': 1, 'F': 2}, 0)": "0"},
    "choose(value: any, choices: map) -> any",
    "choose(value: any, choices: map, default: any) -> any",
)
_lists.form(
    Form.LOOKUP,
    N_(
        "Looks a value up in a lookup table: in its first column, or in the named one. Empty (null) where the table"
        " does not have the key, or nothing in that place."
    ),
    {
        "lookup('countries', 'DE')": "'Germany'",
        "lookup('countries', 'DE', 'capital')": "'Berlin'",
        "lookup('countries', '?').orDefault('unknown')": "'unknown'",
    },
    "lookup(table: text, key: any) -> any",
    "lookup(table: text, key: any, column: text) -> any",
)
_lists.builtin(
    Builtin.GLOBAL,
    N_("Counts the characters of a text, the items of a list or the bytes of binary data."),
    {"size('上海')": "2", "size([1, 2, 3])": "3"},
    "size(value: text) -> integer",
    "size(value: list) -> integer",
    "size(value: map) -> integer",
    "size(value: binary) -> integer",
)
_conversion.own(
    N_("Writes any value as text; dates and times in the ISO form."),
    {
        "toText(12.0)": "'12'",
        "toText(date('2024-01-31'))": "'2024-01-31'",
        "toText(timestamp('2024-01-31T00:00:00Z'))": "'2024-01-31T00:00:00Z'",
        "toText([1, 'a'])": "'[1,\"a\"]'",
    },
    {
        "toText(value: date) -> text": date_text,
        "toText(value: local_datetime) -> text": local_text,
        "toText(value: any) -> text": to_text,
    },
)
_conversion.own(
    N_("Reads a whole number from a text, or turns a number without decimals into one."),
    {"toInteger(' 42 ')": "42", "toInteger(3.0)": "3"},
    {
        "toInteger(text: text) -> integer": integer_of_text,
        "toInteger(value: integer) -> integer": int,
        "toInteger(value: number) -> integer": integer_of_number,
    },
)
_conversion.own(
    N_("Reads a number from a text with a decimal point, exactly."),
    {"toDecimal('12.50')": "12.5", "toDecimal(3)": "3.0"},
    {"toDecimal(text: text) -> decimal": number_of_text, "toDecimal(value: number) -> decimal": float},
)
_conversion.own(
    N_("Reads true or false from a text."),
    {"toBoolean('TRUE')": "true"},
    {"toBoolean(text: text) -> boolean": boolean_of_text, "toBoolean(value: boolean) -> boolean": bool},
)
