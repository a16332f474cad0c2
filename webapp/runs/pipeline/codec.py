"""Records as JSON text (for people and the quarantine) and as compressed Arrow (for chunks)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from decimal import InvalidOperation
from itertools import compress
from typing import Any

import polars as pl

from rules.decoding import decode
from rules.schema import Schema
from rules.text import Message, msg
from webapp.runs.pipeline.packing import NOTHING, Bodies, Packed, is_whole, unpacked


def to_texts(frame: pl.DataFrame) -> list[str]:
    """Return one JSON object a row; decimals, dates, times are exact strings, bytes are base64, infinity is a word."""
    if frame.is_empty():
        return []
    safe = frame.with_columns(pl.col(pl.Binary).bin.encode("base64"))
    texts = _lines(safe)
    for rows, names in _infinite(safe):
        own = _lines(safe[rows].with_columns(pl.col(names).cast(pl.String)))
        for row, text in zip(rows, own, strict=True):
            texts[row] = text
    return texts


def _lines(frame: pl.DataFrame) -> list[str]:
    return frame.write_ndjson().removesuffix("\n").split("\n")


def _infinite(frame: pl.DataFrame) -> Iterator[tuple[list[int], list[str]]]:
    """Yield rows with the names of their numbers that JSON has none for; a row's others stay numbers."""
    columns = [c for c in frame.iter_columns() if c.dtype.is_float() and not c.is_finite().all()]
    odd = pl.DataFrame([~c.is_finite().fill_null(value=True) for c in columns])
    together: dict[tuple[bool, ...], list[int]] = {}
    for row, marks in enumerate(odd.rows()):
        if any(marks):
            together.setdefault(marks, []).append(row)
    for marks, rows in together.items():
        yield rows, list(compress(odd.columns, marks))


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


def pack(frames: Mapping[str, pl.DataFrame], packed: Packed | None = None, held: Bodies = NOTHING) -> bytes:
    """Return frames as one blob: a JSON header of names and lengths, then Arrow files (zstd).

    A small frame is one file, and has its length in the header. A large one is a file for each column, and has a list
    of their names and lengths there. In place of the length of a column that is `held` elsewhere stands its name there.
    """
    packed = Packed() if packed is None else packed
    bodies = {name: packed.frame(frame) for name, frame in frames.items()}
    known = {id(body): name for name, body in held if name is not None}
    header = json.dumps({name: _lengths(parts, known) for name, parts in bodies.items()}).encode()
    own = (body for parts in bodies.values() for _, body in parts if id(body) not in known)
    return b"".join((len(header).to_bytes(4, "big"), header, *own))


def unpack(blob: bytes, held: Mapping[str, bytes] | None = None) -> dict[str, pl.DataFrame]:
    """Return the frames that `pack` was given, with columns that are `held` elsewhere."""
    return {name: unpacked(parts) for name, parts in _bodies(blob, held)}


def bodies_of(blob: bytes, frame: str) -> Bodies:
    """Return the Arrow files of one of the frames that `pack` was given."""
    return next(parts for name, parts in _bodies(blob) if name == frame)


def columns_of(blob: bytes, frame: str, names: Sequence[str]) -> pl.DataFrame:
    """Return columns of one of the frames that `pack` was given, without reading anything else."""
    return unpacked(bodies_of(blob, frame), names)


def frame_of(blob: bytes, frame: str) -> pl.DataFrame | None:
    """Return one of the frames that `pack` was given, None where it is not among them; nothing else is read."""
    found = next((parts for name, parts in _bodies(blob) if name == frame), None)
    return None if found is None else unpacked(found)


def _lengths(parts: Bodies, known: Mapping[int, str]) -> int | list[tuple[str | None, int | str]]:
    if is_whole(parts):
        return len(parts[0][1])
    return [(name, known.get(id(body), len(body))) for name, body in parts]


def _bodies(blob: bytes, held: Mapping[str, bytes] | None = None) -> Iterator[tuple[str, Bodies]]:
    size = int.from_bytes(blob[:4], "big")
    at = 4 + size
    for name, lengths in json.loads(blob[4:at]).items():
        parts = []
        for column, length in [(None, lengths)] if isinstance(lengths, int) else lengths:
            if isinstance(length, str):
                parts.append((column, (held or {})[length]))
                continue
            parts.append((column, blob[at : at + length]))
            at += length
        yield name, parts


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
