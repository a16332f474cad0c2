"""The function library; importing it fills the registry, in the order of the reference."""

from __future__ import annotations

from rules.language.functions import (
    cel_format,
    cel_math,
    cel_strings,
    dates,
    letters,
    lists,
    money,
    numbers,
    patterns,
    periods,
    pinyin,
    rounding,
    slices,
    spans,
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
    "lists",
    "money",
    "numbers",
    "patterns",
    "periods",
    "pinyin",
    "rounding",
    "slices",
    "spans",
    "standard",
    "texts",
    "values",
]
