"""One value of one field: from a form, a file or JSON to the value that is stored, and back.

Stored values are `str`, `int`, `Decimal` (with the field's scale), `bool`, `date` and `datetime` (UTC); several choices
and JSON are JSON text with sorted keys; a file is `<digest>/<file name>`.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable
from datetime import UTC, date, datetime, tzinfo
from decimal import Decimal, InvalidOperation
from typing import Any

from rules.text import Message, msg
from rules.validations.forms import EMAIL, PHONE, URL
from webapp.entities.model import NUMBER_KINDS, EntityField, Kind

FILE = r"^[0-9a-f]{64}/[^/\x00-\x1f]{1,255}$"
PATTERNS: dict[Kind, str] = {Kind.EMAIL: EMAIL, Kind.PHONE: PHONE, Kind.URL: URL, Kind.FILE: FILE}

_TRUE = frozenset({"true", "yes", "y", "1", "on", "是", "对", "真"})
_FALSE = frozenset({"false", "no", "n", "0", "off", "否", "错", "假"})
_GROUPED = re.compile(r"^[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?$")
_DATE = re.compile(r"^(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?$")


class Masked(str):
    """What is shown in the place of a value that may not be seen; never a value of its field."""

    __slots__ = ()


class BadValue(ValueError):
    """A value does not fit its field; `message` says what was expected."""

    def __init__(self, message: Message) -> None:
        super().__init__(str(message))
        self.message = message


def from_text(field: EntityField, text: str, zone: tzinfo = UTC) -> Any:
    """Return the value that a person typed or a file holds; blank text is no value. Raises `BadValue`."""
    if field.kind in (Kind.TEXT, Kind.LONG_TEXT):
        return text or None
    text = text.strip()
    if not text:
        return None
    reader = _FROM_TEXT.get(field.kind)
    return reader(field, text, zone) if reader else text


def from_plain(field: EntityField, value: Any, zone: tzinfo = UTC) -> Any:
    """Return the value that a JSON value stands for; raises `BadValue`."""
    if value is None:
        return None
    if field.kind is Kind.JSON:
        return canonical_json(value)
    if field.kind is Kind.MULTI_CHOICE and isinstance(value, list):
        return _choices(field, value)
    if field.kind is Kind.BOOLEAN and isinstance(value, bool):
        return value
    if isinstance(value, bool) or not isinstance(value, (str, int, float, Decimal, date)):
        raise BadValue(msg("A value of another type was expected."))
    if isinstance(value, str):
        checked = from_text(field, value, zone) if value else ("" if field.type.value == "text" else None)
        return _one_choice(field, checked)
    if isinstance(value, (date, int, float, Decimal)) and field.type.value == "text":
        raise BadValue(msg("A text was expected."))
    return from_text(field, value.isoformat() if isinstance(value, date) else str(value), zone)


def to_plain(field: EntityField | None, value: Any) -> Any:
    """Return the JSON value of a stored value; decimals, dates and times are exact text."""
    if value is None or isinstance(value, Masked):
        return None if value is None else str(value)
    if field and field.kind in (Kind.JSON, Kind.MULTI_CHOICE):
        return json.loads(value)
    if isinstance(value, Decimal):
        return format(value, "f")
    return value.isoformat() if isinstance(value, date) else value


def to_text(field: EntityField | None, value: Any) -> str:
    """Return the text of a stored value for forms and files; `from_text` reads it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if field and field.kind is Kind.MULTI_CHOICE and not isinstance(value, Masked):
        return ", ".join(json.loads(value))
    plain = to_plain(None, value)
    return plain if isinstance(plain, str) else str(plain)


class _Number(str):
    """A number of a JSON text, digit for digit; a float would lose some."""

    __slots__ = ()


def canonical_text(text: str) -> str:
    """Return JSON text with sorted keys and no spaces, its numbers untouched; raises `ValueError`."""
    return canonical_json(json.loads(text, parse_float=_Number, parse_int=_Number, parse_constant=_no_constant))


def canonical_json(value: Any) -> str:
    """Return JSON text with sorted keys and no spaces."""
    if isinstance(value, _Number):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{_json_string(k)}:{canonical_json(v)}" for k, v in sorted(value.items())) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical_json, value)) + "]"
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _json_string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON value")


def quantized(field: EntityField, number: Decimal) -> Decimal:
    """Return the number with exactly the field's scale; raises `BadValue` where digits would be lost."""
    if not number.is_finite():
        raise BadValue(msg("This is not a number."))
    if number and number.adjusted() >= field.precision - field.scale:
        raise BadValue(
            msg(
                "The number is too large: at most {digits} digits before the point.",
                digits=field.precision - field.scale,
            )
        )
    sign, digits, exponent = number.as_tuple()
    shift = int(exponent) + field.scale
    if shift < 0 and any(digits[shift:]):
        raise BadValue(msg("The number has more than {scale} digits behind the point.", scale=field.scale))
    kept = digits[:shift] if shift < 0 else digits + (0,) * shift
    return Decimal((sign if any(kept) else 0, kept or (0,), -field.scale))


def _fold(text: str) -> str:
    return unicodedata.normalize("NFKC", text).strip()


def _integer(_field: EntityField, text: str, _zone: tzinfo) -> int:
    text = _number_text(text)
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise BadValue(msg("'{text}' is not a whole number.", text=text)) from None
    if not number.is_finite() or number != number.to_integral_value():
        raise BadValue(msg("'{text}' is not a whole number.", text=text))
    if not -(2**63) <= number < 2**63:
        raise BadValue(msg("The number is too large."))
    return int(number)


def _number_text(text: str) -> str:
    text = _fold(text)
    return text.replace(",", "") if _GROUPED.match(text) else text


def _decimal(field: EntityField, text: str, _zone: tzinfo) -> Decimal:
    try:
        number = Decimal(_number_text(text))
    except InvalidOperation:
        raise BadValue(msg("'{text}' is not a number.", text=text)) from None
    return quantized(field, number)


def _boolean(_field: EntityField, text: str, _zone: tzinfo) -> bool:
    word = _fold(text).casefold()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise BadValue(msg("'{text}' is neither yes nor no.", text=text))


def _date(_field: EntityField, text: str, _zone: tzinfo) -> date:
    text = _fold(text)
    match = _DATE.match(text)
    try:
        if match:
            year, month, day = map(int, match.groups())
            return date(year, month, day)
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadValue(msg("'{text}' is not a date such as 2026-03-31.", text=text)) from None
    if (moment.hour, moment.minute, moment.second) != (0, 0, 0):
        raise BadValue(msg("'{text}' has a time of day, a date was expected.", text=text))
    return moment.date()


def _datetime(_field: EntityField, text: str, zone: tzinfo) -> datetime:
    text = _fold(text)
    match = _DATE.match(text)
    try:
        day = "-".join(part.zfill(2) for part in match.groups()) if match else ""
        moment = datetime.fromisoformat(day or text.replace("/", "-"))
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadValue(msg("'{text}' is not a date and time such as 2026-03-31 14:30.", text=text)) from None


def _choice_text(field: EntityField, text: str, _zone: tzinfo) -> str:
    """A value, or what people read for it, as files made by people hold labels."""
    if text in field.values:
        return text
    folded = text.casefold()
    found = [
        c.value for c in field.choices if folded in (c.label.en.casefold(), c.label.zh.casefold(), c.value.casefold())
    ]
    return found[0] if len(found) == 1 else _one_choice(field, text)


def _one_choice(field: EntityField, value: Any) -> Any:
    if field.kind is Kind.CHOICE and value is not None and value not in field.values:
        raise BadValue(msg("'{value}' is not one of the choices.", value=value))
    return value


def _multi(field: EntityField, text: str, zone: tzinfo) -> str:
    if text.startswith("["):
        try:
            return _choices(field, json.loads(text))
        except ValueError as error:
            if isinstance(error, BadValue):
                raise
    parts = [part.strip() for part in re.split(r"[,;，；、\n]", text)]
    return _choices(field, [_choice_text(field, part, zone) for part in parts if part])


def _choices(field: EntityField, values: Any) -> str:
    if not isinstance(values, list):
        raise BadValue(msg("A list of choices was expected."))
    for value in values:
        if value not in field.values:
            raise BadValue(msg("'{value}' is not one of the choices.", value=value))
    return canonical_json([v for v in field.values if v in values])


def _json(_field: EntityField, text: str, _zone: tzinfo) -> str:
    try:
        return canonical_text(text)
    except ValueError as error:
        raise BadValue(msg("This is not JSON: {detail}.", detail=str(error))) from None


_FROM_TEXT: dict[Kind, Callable[[EntityField, str, tzinfo], Any]] = {
    Kind.INTEGER: _integer,
    Kind.REFERENCE: _integer,
    Kind.BOOLEAN: _boolean,
    Kind.DATE: _date,
    Kind.DATETIME: _datetime,
    Kind.CHOICE: _choice_text,
    Kind.MULTI_CHOICE: _multi,
    Kind.JSON: _json,
    **dict.fromkeys(NUMBER_KINDS, _decimal),
}
