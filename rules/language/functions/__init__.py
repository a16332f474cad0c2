"""The function library; importing it fills the registry, in the order of the reference."""

from __future__ import annotations

from rules.language.functions import (
    cel_format,
    cel_math,
    cel_strings,
    dates,
    letters,
    money,
    numbers,
    patterns,
    pinyin,
    rounding,
    slices,
    standard,
    texts,
    values,
)
from rules.language.functions.registry import FUNCTIONS

__all__ = [
    "FUNCTIONS",
    "cel_format",
    "cel_math",
    "cel_strings",
    "dates",
    "letters",
    "money",
    "numbers",
    "patterns",
    "pinyin",
    "rounding",
    "slices",
    "standard",
    "texts",
    "values",
]
