"""Values written as JSON or YAML, as a column of their field's type holds them: exactly, or not at all."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from rules.schema import Field, FieldType


def decode(field: Field, value: Any) -> Any:
    """Return a value for a field; raises `ValueError`, `TypeError` or `decimal.InvalidOperation` where it does not fit.

    Decimals, dates and times are texts, binary data is base64; None is empty.
    """
    return None if value is None else _DECODERS[field.type](value, field)


def _decimal(value: Any, field: Field) -> Decimal:
    number = Decimal(str(value))
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int) or -exponent > field.dtype.scale:  # type: ignore[attr-defined]
        raise ValueError("too many decimal places")
    return number


def _integer(value: Any, _field: Field) -> int:
    number = int(value)
    if isinstance(value, float) or not -(2**63) <= number < 2**63:
        raise ValueError("not a 64-bit integer")
    return number


def _boolean(value: Any, _field: Field) -> bool:
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}[str(value).lower()] if str(value).lower() in ("true", "false") else _refuse()


def _refuse() -> bool:
    raise ValueError("not a truth value")


def _instant(value: Any, _field: Field) -> datetime:
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError("no time zone")
    return moment.astimezone(UTC)


def _wall(value: Any, _field: Field) -> datetime:
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is not None:
        raise ValueError("a time zone where none belongs")
    return moment


_DECODERS: Mapping[FieldType, Callable[[Any, Field], Any]] = {
    FieldType.TEXT: lambda v, _: v if isinstance(v, str) else json.dumps(v, ensure_ascii=False),
    FieldType.JSON: lambda v, _: v if isinstance(v, str) else json.dumps(v, ensure_ascii=False, sort_keys=True),
    FieldType.INTEGER: _integer,
    FieldType.DECIMAL: _decimal,
    FieldType.FLOAT: lambda v, _: float(v),
    FieldType.BOOLEAN: _boolean,
    FieldType.DATE: lambda v, _: date.fromisoformat(v),
    FieldType.TIME: lambda v, _: time.fromisoformat(v),
    FieldType.DATETIME: _instant,
    FieldType.LOCAL_DATETIME: _wall,
    FieldType.BINARY: lambda v, _: base64.b64decode(v, validate=True),
}
