"""The one JSON text of a JSON value, so that equal values of two systems are equal texts.

Keys are sorted, there is no white space, characters stand for themselves, and a number is written by its value: `1.10`,
`1.1` and `11e-1` are one number and become `1.1`, however many digits it has. A key given twice keeps its last value.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

_MOST_DIGITS = 64
"""Longer whole numbers written with an exponent keep it."""


def json_text(text: str | bytes) -> str:
    """Return JSON text in its canonical form; raises `ValueError` if it is no JSON."""
    try:
        return json_value(_DECODER.decode(text))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(str(error)) from error


def json_value(value: Any) -> str:
    """Return the canonical JSON text of plain Python values (dict, list, str, int, float, Decimal, bool, None)."""
    return _ENCODER.encode(value).decode()


def _number(text: str) -> int | Decimal:
    sign, digits, exponent = Decimal(text).as_tuple()
    assert isinstance(exponent, int)  # noqa: S101 - JSON has no NaN
    kept = list(digits)
    while kept and kept[-1] == 0:
        kept.pop()
        exponent += 1
    if not kept:
        return 0
    number = Decimal((sign, tuple(kept), exponent))
    return int(number) if 0 <= exponent <= _MOST_DIGITS - len(kept) else number


_DECODER = msgspec.json.Decoder(float_hook=_number)
_ENCODER = msgspec.json.Encoder(decimal_format="number", order="sorted")
