"""The values of a lookup table, from what JSON and YAML can say to what a field of their type holds."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from rules.schema import FieldType
from rules.text import Message, msg

DIGITS = 15
MAX_TEXT = 10_000
_NUMBER = re.compile(r"[+-]?[0-9]{1,30}(\.[0-9]{0,18})?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_CLOCK = r"[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:[0-9]{2})?"
_MOMENT = re.compile(_DATE.pattern + _CLOCK)
_INT64 = 2**63


class Unfit(ValueError):
    """A value is not of the type of its column; `message` says what is needed."""

    def __init__(self, message: Message) -> None:
        super().__init__(str(message))
        self.message = message


def decimals(values: Iterable[Decimal | None]) -> int:
    """Return how many decimals the values have at most."""
    return max((_scale(value) for value in values if value is not None), default=0)


def _scale(value: Decimal) -> int:
    return max(0, -int(value.as_tuple().exponent))


def _shown(value: Any) -> str:
    text = f"'{value}'" if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise Unfit(msg("{value} is not text; put it in quotes.", value=_shown(value)))
    if "\x00" in value or len(value) > MAX_TEXT:
        raise Unfit(msg("A text may have {limit} characters, none of them with the code 0.", limit=MAX_TEXT))
    return value


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not -_INT64 <= value < _INT64:
        raise Unfit(msg("{value} is not a whole number.", value=_shown(value)))
    return value


def _decimal(value: Any) -> Decimal:
    text = value if isinstance(value, str) else "" if isinstance(value, bool) else str(value)
    if _NUMBER.fullmatch(text) is None:
        raise Unfit(msg("{value} is not a number such as 12.50.", value=_shown(value)))
    exact = Decimal(text)
    if len(exact.normalize().as_tuple().digits) > DIGITS:
        raise Unfit(msg("{value} has more than {limit} digits.", value=_shown(value), limit=DIGITS))
    return exact


def _float(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise Unfit(msg("{value} is not a number.", value=_shown(value)))
    return float(value)


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise Unfit(msg("{value} is neither true nor false.", value=_shown(value)))
    return value


def _date(value: Any) -> date:
    try:
        return date.fromisoformat(value if isinstance(value, str) and _DATE.fullmatch(value) else "")
    except ValueError:
        raise Unfit(msg("{value} is not a date like 2024-01-31.", value=_shown(value))) from None


def _moment(value: Any) -> datetime:
    return datetime.fromisoformat(value if isinstance(value, str) and _MOMENT.fullmatch(value) else "")


def _datetime(value: Any) -> datetime:
    try:
        found = _moment(value)
        if found.tzinfo is not None:
            return found.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise Unfit(msg("{value} is not a time with a zone like 2024-01-31T09:30:00Z.", value=_shown(value)))


def _local(value: Any) -> datetime:
    try:
        found = _moment(value)
        if found.tzinfo is None:
            return found
    except ValueError:
        pass
    raise Unfit(msg("{value} is not a time without a zone like 2024-01-31T09:30:00.", value=_shown(value)))


READERS: Mapping[FieldType, Callable[[Any], Any]] = {
    FieldType.TEXT: _text,
    FieldType.INTEGER: _integer,
    FieldType.DECIMAL: _decimal,
    FieldType.FLOAT: _float,
    FieldType.BOOLEAN: _boolean,
    FieldType.DATE: _date,
    FieldType.DATETIME: _datetime,
    FieldType.LOCAL_DATETIME: _local,
}
