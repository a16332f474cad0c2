"""The keys in the rows of an event of MariaDB's binary log; all other values are stepped over by their sizes.

Rows stand in the format of "Rows_event_v1": a bitmap of nulls, then the values of the columns that are there. Taking
out keys alone is many times as fast as decoding whole rows, and values that a decoder stumbles on are no concern.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pymysqlreplication.constants import FIELD_TYPE

from connectors.errors import Misconfigured
from rules.text import msg

_DIGITS = (0, 1, 1, 2, 2, 3, 3, 4, 4, 4)
"""Bytes that so many decimal digits take."""
_NUMBERS = {
    FIELD_TYPE.TINY: 1, FIELD_TYPE.SHORT: 2, FIELD_TYPE.INT24: 3, FIELD_TYPE.LONG: 4, FIELD_TYPE.LONGLONG: 8,
}  # fmt: skip
_FIXED = {
    **_NUMBERS, FIELD_TYPE.FLOAT: 4, FIELD_TYPE.DOUBLE: 8, FIELD_TYPE.YEAR: 1, FIELD_TYPE.DATE: 3, FIELD_TYPE.TIME: 3,
    FIELD_TYPE.DATETIME: 8, FIELD_TYPE.TIMESTAMP: 4,
}  # fmt: skip
_WITH_FRACTION = {FIELD_TYPE.TIMESTAMP2: 4, FIELD_TYPE.DATETIME2: 5, FIELD_TYPE.TIME2: 3}
_LETTERS = (FIELD_TYPE.VARCHAR, FIELD_TYPE.STRING)
_LARGE = (FIELD_TYPE.BLOB, FIELD_TYPE.GEOMETRY, FIELD_TYPE.JSON)
_ONE_BYTE = 255


class RowKeys:
    """Takes the key out of rows whose columns are known."""

    def __init__(self, columns: Sequence[Any], key: str, table: str) -> None:
        self._sizes = [_size(column, table) for column in columns]
        self._index = next((i for i, column in enumerate(columns) if column.name == key), None)
        if self._index is None:
            raise Misconfigured(
                msg(
                    "The log does not name '{field}' of '{object}', perhaps because the column had another name. Let"
                    " the log be read anew, which compares all records: syncline logs drop RULE",
                    field=key, object=table,
                ),
                object_name=table,
            )  # fmt: skip
        self._column = columns[self._index]

    def of(self, data: bytes, bitmaps: Sequence[bytes]) -> Iterator[list[str | None]]:
        """Yield for each row its key in each of its images, None where an image does not hold it."""
        images = [self._present(bitmap) for bitmap in bitmaps]
        at = 0
        while at < len(data):
            found = []
            for present in images:
                key, at = self._image(data, at, present)
                found.append(key)
            yield found

    def _present(self, bitmap: bytes) -> list[int]:
        return [i for i in range(len(self._sizes)) if bitmap[i >> 3] >> (i & 7) & 1]

    def _image(self, data: bytes, at: int, present: Sequence[int]) -> tuple[str | None, int]:
        nulls, at = at, at + (len(present) + 7) // 8
        key = None
        for place, column in enumerate(present):
            if data[nulls + (place >> 3)] >> (place & 7) & 1:
                continue
            size = self._sizes[column]
            if size < 0:  # so many bytes say how long the value is
                start = at - size
                size = int.from_bytes(data[at:start], "little")
                at = start
            if column == self._index:
                key = self._text(data[at : at + size])
            at += size
        return key, at

    def _text(self, value: bytes) -> str:
        column = self._column
        if column.type in _NUMBERS:
            return str(int.from_bytes(value, "little", signed=not column.unsigned))
        if column.type == FIELD_TYPE.DATE:
            day = int.from_bytes(value, "little")
            return f"{day >> 9:04}-{day >> 5 & 15:02}-{day & 31:02}"
        return value.decode()


def _size(column: Any, table: str) -> int:
    """Return how many bytes a value takes, or less than zero: how many bytes say so."""
    kind = column.type
    if kind in _FIXED:
        return _FIXED[kind]
    if kind in _WITH_FRACTION:
        return _WITH_FRACTION[kind] + (int(column.fsp) + 1) // 2
    if kind in _LETTERS:
        return -2 if column.max_length > _ONE_BYTE else -1
    if kind in _LARGE:
        return -int(column.length_size)
    return _other_size(column, table)


def _other_size(column: Any, table: str) -> int:
    if column.type == FIELD_TYPE.NEWDECIMAL:
        parts = (column.precision - column.decimals, column.decimals)
        return sum(part // 9 * 4 + _DIGITS[part % 9] for part in parts)
    if column.type in (FIELD_TYPE.ENUM, FIELD_TYPE.SET):
        return int(column.size)
    if column.type == FIELD_TYPE.BIT:
        return int(column.bytes)
    raise Misconfigured(
        msg(
            "The log of '{object}' holds values of a kind that cannot be read ({kind}). Let the rule read what is new"
            " by a field, or compare all records.",
            object=table, kind=column.type,
        ),
        object_name=table,
    )  # fmt: skip
