"""Written values of each field type: from their text and back."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal

from rules.decisions.cells import CellError, Value
from rules.decisions.scan import Sort, Token, quoted, unquoted
from rules.language.results import shown
from rules.schema import FREE_SCALE, FieldType
from rules.text import N_, Message, msg

_INT64 = 2**63
_MAX_DECIMAL = Decimal(10) ** (38 - FREE_SCALE)
_NEEDED: Mapping[FieldType, str] = {
    FieldType.TEXT: N_('A text is needed here, like "CN", not {found}.'),
    FieldType.INTEGER: N_("A whole number is needed here, not {found}."),
    FieldType.DECIMAL: N_("A number is needed here, not {found}."),
    FieldType.FLOAT: N_("A number is needed here, not {found}."),
    FieldType.BOOLEAN: N_("true or false is needed here, not {found}."),
    FieldType.DATE: N_("A day is needed here, like 2024-01-31, not {found}."),
    FieldType.TIME: N_("A time of day is needed here, like 09:30, not {found}."),
    FieldType.DATETIME: N_("A time with its zone is needed here, like 2024-01-31T09:30:00Z, not {found}."),
    FieldType.LOCAL_DATETIME: N_("A time without a zone is needed here, like 2024-01-31T09:30:00, not {found}."),
    FieldType.JSON: N_("Only null can be written here, not {found}. Write an expression."),
}
MOMENT_WORDS: Mapping[str, tuple[FieldType, ...]] = {
    "date": (FieldType.DATE,),
    "time": (FieldType.TIME,),
    "timestamp": (FieldType.DATETIME, FieldType.LOCAL_DATETIME),
    "localDateTime": (FieldType.LOCAL_DATETIME,),
}
MOMENTS = frozenset({FieldType.DATE, FieldType.TIME, FieldType.DATETIME, FieldType.LOCAL_DATETIME})
NUMBERS = frozenset({FieldType.INTEGER, FieldType.DECIMAL, FieldType.FLOAT})


def needed(type_: FieldType, found: str) -> Message:
    """Return what to say where a value of a type is missing."""
    return msg(_NEEDED[type_], found=f"'{found}'" if found else msg("nothing"))


def value_of(token: Token, type_: FieldType, *, negative: bool = False) -> Value:
    """Return the value that a token writes out; raises `CellError`."""
    readers: dict[Sort, Callable[[], Value | None]] = {
        Sort.TEXT: lambda: unquoted(token) if type_ is FieldType.TEXT else None,
        Sort.NUMBER: lambda: number(token, type_, negative=negative) if type_ in NUMBERS else None,
        Sort.MOMENT: lambda: moment(token.text, type_),
        Sort.TIME: lambda: moment(token.text, type_) if type_ is FieldType.TIME else None,
        Sort.WORD: lambda: _truth(token.text) if type_ is FieldType.BOOLEAN else None,
    }
    value = readers.get(token.sort, lambda: None)()
    if value is None or (negative and token.sort is not Sort.NUMBER):
        raise CellError(needed(type_, token.text), token.start + 1)
    return value


def _truth(text: str) -> bool | None:
    return {"true": True, "false": False}.get(text)


def number(token: Token, type_: FieldType, *, negative: bool = False) -> Value:
    """Return a number; in a column of whole numbers one with fraction stays exact, for comparisons."""
    value = Decimal(("-" if negative else "") + token.text)
    if type_ is FieldType.FLOAT:
        made = float(value)
        if math.isfinite(made):
            return made
    elif type_ is FieldType.INTEGER:
        if -_INT64 <= value < _INT64:
            return int(value) if value == value.to_integral_value() else value
    elif abs(value) < _MAX_DECIMAL and _fits(value):
        return value
    raise CellError(msg("The number {number} is too large or has too many digits.", number=token.text), token.start + 1)


def _fits(value: Decimal) -> bool:
    exponent = value.normalize().as_tuple().exponent
    return isinstance(exponent, int) and exponent >= -FREE_SCALE


def moment(text: str, type_: FieldType) -> Value | None:
    """Return a day or time; None if the text is not one of the type."""
    try:
        if type_ is FieldType.DATE:
            return date.fromisoformat(text) if len(text) == 10 else None
        if type_ is FieldType.TIME:
            return time.fromisoformat(text if text[1:2] != ":" else f"0{text}")
        return _instant(text, type_)
    except ValueError:
        return None


def _instant(text: str, type_: FieldType) -> datetime | None:
    found = datetime.fromisoformat(text) if "T" in text else None
    if found is None or type_ not in (FieldType.DATETIME, FieldType.LOCAL_DATETIME):
        return None
    if type_ is FieldType.LOCAL_DATETIME:
        return found if found.tzinfo is None else None
    return None if found.tzinfo is None else found.astimezone(UTC)


def literal(value: Value, type_: FieldType) -> str:
    """Return the text of a value, as cells write it."""
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, float) or type_ is FieldType.FLOAT:
        return _plain(Decimal(repr(float(value))))
    return _plain(Decimal(value))


def said(value: object) -> str:
    """Return a value as a message quotes it; decimals without the zeros that their column adds."""
    return _plain(value) if isinstance(value, Decimal) else shown(value)


def _plain(value: Decimal) -> str:
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
