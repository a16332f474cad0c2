"""Records as JSON text (for people and the quarantine) and as compressed Arrow (for chunks)."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from decimal import InvalidOperation
from typing import Any

import polars as pl
import pyarrow as pa

from rules.decoding import decode
from rules.schema import Schema
from rules.text import Message, msg


def to_texts(frame: pl.DataFrame) -> list[str]:
    """Return one JSON object a row; decimals, dates, times are exact strings, bytes are base64."""
    if frame.is_empty():
        return []
    safe = frame.with_columns(pl.col(pl.Binary).bin.encode("base64"))
    odd = [c for c in safe.columns if safe[c].dtype.is_float() and not safe[c].is_finite().fill_null(value=True).all()]
    return safe.with_columns(pl.col(odd).cast(pl.String)).write_ndjson().removesuffix("\n").split("\n")


def from_texts(texts: list[str], schema: Schema) -> tuple[pl.DataFrame, dict[int, tuple[str, Message]]]:
    """Return the records of JSON texts, and for each row that does not fit, the field and what is wrong.

    Fields that a text does not name are null. Rows that do not fit are null throughout.
    """
    errors: dict[int, tuple[str, Message]] = {}
    rows = [_row(json.loads(text), schema, number, errors) for number, text in enumerate(texts)]
    columns = {f.name: pl.Series(f.name, [row.get(f.name) for row in rows], dtype=f.dtype) for f in schema.fields}
    return pl.DataFrame(columns), errors


def _row(
    values: Mapping[str, Any], schema: Schema, number: int, errors: dict[int, tuple[str, Message]]
) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for field in schema.fields:
        try:
            row[field.name] = decode(field, values.get(field.name))
        except (ValueError, TypeError, InvalidOperation):
            errors[number] = (
                field.name,
                msg("'{value}' is not a value of type {type}.", value=values[field.name], type=field.type.value),
            )
            return {}
    return row


def typed_value(schema: Schema, name: str, value: Any) -> Any:
    """Return the value of a field from its JSON form."""
    return decode(schema[name], value)


def plain_value(value: Any) -> Any:
    """Return the JSON form of a value."""
    if value is None or isinstance(value, (bool, int, str, dict)):
        return value
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


Packed = dict[int, tuple[pl.DataFrame, bytes]]
"""Frames that were packed before, by identity, so that they need not be compressed again."""


def pack(frames: Mapping[str, pl.DataFrame], packed: Packed | None = None) -> bytes:
    """Return frames as one blob: a JSON header of names and lengths, then an Arrow file each (zstd)."""
    bodies = {name: _body(frame, packed if packed is not None else {}) for name, frame in frames.items()}
    header = json.dumps({name: len(body) for name, body in bodies.items()}).encode()
    return len(header).to_bytes(4, "big") + header + b"".join(bodies.values())


def unpack(blob: bytes) -> dict[str, pl.DataFrame]:
    """Return the frames that `pack` was given."""
    return {name: pl.read_ipc(io.BytesIO(body)) for name, body in _bodies(blob)}


def columns_of(blob: bytes, frame: str, names: Sequence[str]) -> pl.DataFrame:
    """Return columns of one of the frames that `pack` was given, without reading anything else."""
    body = next(body for name, body in _bodies(blob) if name == frame)
    return pl.read_ipc(io.BytesIO(body), columns=list(names))


def frame_of(blob: bytes, frame: str) -> pl.DataFrame | None:
    """Return one of the frames that `pack` was given, None where it is not among them; nothing else is read."""
    body = next((body for name, body in _bodies(blob) if name == frame), None)
    return None if body is None else pl.read_ipc(io.BytesIO(body))


def _bodies(blob: bytes) -> Iterator[tuple[str, bytes]]:
    size = int.from_bytes(blob[:4], "big")
    at = 4 + size
    for name, length in json.loads(blob[4:at]).items():
        yield name, blob[at : at + length]
        at += length


_COLUMN = 255


def column_text(text: str | None, length: int = _COLUMN) -> str | None:
    """Return a text as a column of the database takes it: without NUL, and a long one cut, told apart by its digest."""
    clean = text.replace("\x00", "\ufffd") if text else text
    if clean is None or len(clean) <= length:
        return clean
    mark = f"…{hashlib.sha256(clean.encode()).hexdigest()[:16]}"
    return clean[: length - len(mark)] + mark


def column_texts(texts: pl.Series) -> pl.Series:
    """Return texts as `column_text` does; most are as they have to be."""
    odd = (texts.str.len_chars() > _COLUMN) | texts.str.contains("\x00", literal=True)
    return texts if not odd.any() else pl.Series(texts.name, map(column_text, texts), dtype=pl.String)


def reason_of(text: str | None) -> dict[str, Any] | None:
    """Return a reason that a chunk holds as JSON text; PostgreSQL stores no NUL."""
    return json.loads(text.replace("\\u0000", "\\ufffd")) if text else None


def digest(blob: bytes) -> str:
    """Return the SHA-256 of a blob in hexadecimal."""
    return hashlib.sha256(blob).hexdigest()


def _body(frame: pl.DataFrame, packed: Packed) -> bytes:
    if id(frame) not in packed:
        packed[id(frame)] = frame, _ipc(frame)
    return packed[id(frame)][1]


def _ipc(frame: pl.DataFrame) -> bytes:
    """Return a frame as an Arrow file; at this level it takes as much room as at the usual one, and half the time."""
    table, sink = frame.to_arrow(compat_level=pl.CompatLevel.oldest()), pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=pa.Codec("zstd", 1), use_threads=False)
    with pa.ipc.new_file(sink, table.schema, options=options) as file:
        file.write_table(table)
    return bytes(memoryview(sink.getvalue()))
