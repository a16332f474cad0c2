"""The fields of many rows as they came over the wire: places in the bytes, which become columns without a copy of each.

A column of texts is a list of places in those bytes. What is not plainly a value raises `NotPlainError`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

PADDING = bytes(64)
"""What has to stand behind the last field, since fields are looked at some bytes at a time."""
SHORT = 12
"""Texts of at most so many bytes are part of their view: https://arrow.apache.org/docs/format/Columnar.html."""
MOST = 2**31 - 1
"""A view tells no place behind this one."""
_KEPT = np.array([[255] * n + [0] * (SHORT - n) for n in range(SHORT + 1)], np.uint8).view(f"V{SHORT}").ravel()
"""For each length the bytes of a short text that belong to it."""

Array = np.ndarray[Any, Any]
Raw = bytes | bytearray


class NotPlainError(Exception):
    """Some value has no plain form."""


@dataclass(frozen=True)
class Cells:
    """One field of all rows: where its bytes begin and how many they are (-1: null)."""

    raw: Raw
    at: Array
    size: Array
    held: Array
    """The first bytes of each field, at least 12, and before them `lead` others."""
    lead: int = 0

    @property
    def nulls(self) -> Array | None:
        """Return which are null, None where none is."""
        found = self.size < 0
        return found if found.any() else None

    def numbers(self, kind: str, by: int = 0) -> Array:
        """Return the numbers that begin `by` bytes behind the beginning of each field; what is null is any number."""
        return inside(self.held, kind, self.lead + by)


def gathered(raw: Raw, width: int, at: Array) -> Array:
    """Return the bytes that begin at each of the places; wide ones cost hardly more than narrow ones."""
    spread: Array = np.ndarray((len(raw) - width + 1,), dtype=f"V{width}", buffer=raw, strides=(1,))
    return spread[at]


def inside(held: Array, kind: str, by: int) -> Array:
    """Return the numbers that begin some bytes behind the beginning of each piece."""
    return np.ndarray((len(held),), dtype=kind, buffer=held, offset=by, strides=(held.itemsize,))


def fixed(cells: Cells, kind: pa.DataType, values: Array) -> pl.Series:
    """Return values of one size, in Arrow's form; what stands for nulls is made zero."""
    nulls = cells.nulls
    if nulls is not None:
        values[nulls] = 0
    return _series(kind, nulls, values)


def text(cells: Cells) -> pl.Series:
    """Return a field as texts; the system that sent them has made sure that they are UTF-8."""
    return _views(cells, pa.string_view())


def binary(cells: Cells) -> pl.Series:
    """Return a field as bytes."""
    return _views(cells, pa.binary_view())


def _views(cells: Cells, kind: pa.DataType) -> pl.Series:
    """Return views into the bytes that came; short ones hold their bytes themselves, with zeros behind them."""
    size = np.maximum(cells.size, 0)
    views = np.empty((len(size), 4), "<i4")
    views[:, 0] = size
    first: Array = np.ndarray((len(size), 3), "<i4", cells.held, cells.lead, (cells.held.itemsize, 4))
    long = size > SHORT
    if long.all():
        views[:, 1] = first[:, 0]
    else:
        kept = _KEPT[np.where(long, SHORT, size)].view("<i4").reshape(-1, 3)
        np.bitwise_and(first, kept, out=views[:, 1:])
    if long.any():
        views[:, 2][long] = 0
        views[:, 3][long] = cells.at[long]
    return _series(kind, cells.nulls, views, cells.raw)


def _series(kind: pa.DataType, nulls: Array | None, values: Array, *more: Raw) -> pl.Series:
    valid = None if nulls is None else pa.py_buffer(np.packbits(~nulls, bitorder="little"))
    buffers = [valid, pa.py_buffer(values), *map(pa.py_buffer, more)]
    return pl.Series(pl.from_arrow(pa.Array.from_buffers(kind, len(values), buffers)))
