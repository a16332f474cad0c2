"""Columns of plainly written texts, cast at once by Arrow.

A column is plain if Arrow can cast every text in it and none of them could mean something else to `connectors.casting`,
which says what texts mean and takes all other columns. What is cast here is what it would have said, at a tenth of its
cost.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from rules.schema import Field, FieldType, Schema

_KINDS: Mapping[FieldType, pa.DataType] = {
    FieldType.INTEGER: pa.int64(),
    FieldType.FLOAT: pa.float64(),
    FieldType.BOOLEAN: pa.bool_(),
    FieldType.DATE: pa.date32(),
    FieldType.DATETIME: pa.timestamp("us", "UTC"),
    FieldType.LOCAL_DATETIME: pa.timestamp("us"),
}
_SIGNS: Mapping[FieldType, bytes] = {
    FieldType.INTEGER: b"0123456789-",  # no hexadecimal numbers
    FieldType.FLOAT: b"0123456789+-.eE",  # no names such as nan(1)
    FieldType.DECIMAL: b"0123456789+-.",  # no exponents
}
_WHOLE = b"0123456789+-"
_SHORTEST: Mapping[FieldType, int] = {FieldType.DATETIME: 20, FieldType.LOCAL_DATETIME: 16}
"""Shorter ones may be an hour without minutes."""
_PART = 2**18
_LEADS = 0xC0
"""The least byte that begins a character of several bytes."""
_OLDEST = pl.CompatLevel.oldest()


def is_utf8(data: bytes) -> bool:
    """Tell whether bytes are valid UTF-8, several times as fast as by decoding them; parts stay in the cache."""
    begin = 0
    while len(data) - begin > _PART:
        end = whole_characters(data, begin + _PART)
        if not _is_utf8(data[begin:end]):
            return False
        begin = end
    return _is_utf8(data[begin:])


def _is_utf8(part: bytes) -> bool:
    try:
        pl.Series([part], dtype=pl.Binary).cast(pl.String)
    except pl.exceptions.ComputeError:
        return False
    return True


def whole_characters(data: bytes, end: int) -> int:
    """Return where the last character begins that may go on behind an end, or that end."""
    for back in range(1, min(end, 3) + 1):
        if data[end - back] >= _LEADS:
            return end - back
    return end


def plain_frame(columns: Mapping[str, Any], schema: Schema) -> pl.DataFrame:
    """Return Arrow arrays as columns, those of texts in the types of their fields where they are plain."""
    made = {}
    for name, texts in columns.items():
        plain = plain_array(texts, schema[name]) if name in schema and pa.types.is_string(texts.type) else None
        made[name] = texts if plain is None else plain
    return pl.DataFrame(pl.from_arrow(pa.table(made)))


def plain_column(texts: pl.Series, field: Field) -> pl.Series | None:
    """Return a text column in the field's type, or None if it is not plain."""
    if field.type not in _KINDS and field.type is not FieldType.DECIMAL:
        return None
    found = plain_array(texts.to_arrow(compat_level=_OLDEST), field)
    return None if found is None else pl.Series(field.name, found, field.dtype)


def plain_array(texts: Any, field: Field) -> Any:
    """Return an Arrow array of texts in the field's type, or None if it is not plain."""
    kind = pa.decimal128(38, field.dtype.scale) if isinstance(field.dtype, pl.Decimal) else _KINDS.get(field.type)
    if kind is None or not (_has_only(texts, _signs(field)) and _is_long(texts, _SHORTEST.get(field.type))):
        return None
    try:
        found = pc.cast(texts, kind)
    except pa.ArrowInvalid:
        return None
    return None if kind == pa.float64() and pc.any(pc.is_inf(found)).as_py() else found


def _signs(field: Field) -> bytes | None:
    return _WHOLE if field.type is FieldType.DECIMAL and field.scale == 0 else _SIGNS.get(field.type)


def _has_only(texts: Any, signs: bytes | None) -> bool:
    """Tell whether all texts together have no other characters than these."""
    _, places, data = texts.buffers()
    if signs is None or data is None:
        return True
    width = np.int64 if pa.types.is_large_string(texts.type) else np.int32
    ends = np.frombuffer(places, width, len(texts) + 1, texts.offset * np.dtype(width).itemsize)
    begin, end = int(ends[0]), int(ends[-1])
    return not data.slice(begin, end - begin).to_pybytes().translate(None, signs)


def _is_long(texts: Any, least: int | None) -> bool:
    found = None if least is None else pc.min(pc.binary_length(texts)).as_py()
    return least is None or found is None or found >= least
