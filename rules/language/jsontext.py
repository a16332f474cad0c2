"""JSON as expressions see it: numbers are floating point, as CEL has it, but never lose digits; keys are sorted."""

from __future__ import annotations

import json
import math
from datetime import datetime
from decimal import Decimal
from typing import Any

_DIGITS = 17
_SHOWN = 40
_EXACT = 2**53
_INT64 = 2**63


def read_json(text: str) -> Any:
    """Return what JSON text holds; raises `ValueError` if it is no JSON or a number has too many digits."""
    return json.loads(text, parse_int=_integer, parse_float=_number, parse_constant=_no_constant)


def _integer(text: str) -> float | int:
    value = int(text) if len(text) <= _DIGITS + 5 else _INT64
    if abs(value) <= _EXACT:
        return float(value)
    if not -_INT64 <= value < _INT64:
        raise ValueError(f"{_short(text)} has too many digits")
    return value


def _number(text: str) -> float:
    value, exact = float(text), Decimal(text)
    if math.isinf(value) or (value == 0 and exact):
        raise ValueError(f"{_short(text)} is too large or too small")
    if Decimal(repr(value)) != exact and len(exact.normalize().as_tuple().digits) > _DIGITS:
        raise ValueError(f"{_short(text)} has too many digits")
    return value


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is not a JSON value")


def write_json(value: Any) -> str:
    """Return a value as JSON; whole numbers without a point. Raises `TypeError` for what JSON has no form for."""
    plain = _plain(value)
    return json.dumps(
        plain, ensure_ascii=False, sort_keys=True, allow_nan=False, separators=(",", ":"), default=_moment
    )


def _plain(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT:
        return int(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key if isinstance(key, str) else json.dumps(key): _plain(item) for key, item in value.items()}
    return value


def _moment(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    raise TypeError(value)
