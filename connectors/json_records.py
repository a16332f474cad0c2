"""JSON objects as text columns: exact numbers, nested values as JSON text with sorted keys."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec
import polars as pl

from connectors.sampling import BOOLEAN_KIND, EXPONENT_KIND, JSON_KIND, NUMBER_KIND, TEXT_KIND, Sample
from connectors.value_text import PLAIN
from rules.schema import FieldType, Schema

_DECODER = msgspec.json.Decoder(float_hook=Decimal)
_ENCODER = msgspec.json.Encoder(decimal_format="number", order="sorted")
_KINDS = {str: TEXT_KIND, bool: BOOLEAN_KIND, int: NUMBER_KIND, Decimal: NUMBER_KIND, dict: JSON_KIND, list: JSON_KIND}


def decode(data: bytes | str) -> Any:
    """Return a JSON value with its numbers exact; raises `msgspec.DecodeError`."""
    try:
        return _DECODER.decode(data)
    except InvalidOperation:  # 1e9999999999999999999
        raise msgspec.DecodeError("A number is beyond all that can be written down") from None


def encode(value: Any) -> bytes:
    """Return a value as JSON with sorted keys and its numbers as they were."""
    return _ENCODER.encode(value)


def json_values(record: Mapping[str, Any], schema: Schema) -> dict[str, Any]:
    """Return a record's typed values as `encode` wants them: dates as text, decimals and JSON as they are."""
    return {name: _json_value(value, schema[name].type) for name, value in record.items()}


def _json_value(value: Any, kind: FieldType) -> Any:
    if value is None or isinstance(value, (bool, int, float, Decimal)):
        return value
    return msgspec.Raw(value) if kind is FieldType.JSON else PLAIN.text(value)


def decoded_or_error(data: bytes | str) -> Any:
    """Return a JSON value, or the error that says why there is none."""
    try:
        return decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        return error


def columns_of(
    records: Sequence[Mapping[str, Any]], names: Iterable[str], as_json: Collection[str] = ()
) -> pl.DataFrame:
    """Return the named members of JSON objects as text columns.

    Args:
        records: Objects from `decode`.
        names: The members wanted; absent ones have no value.
        as_json: Members whose every value is wanted as JSON text, plain texts too.
    """
    return pl.DataFrame(
        [
            pl.Series(name, [_json(r.get(name)) for r in records] if name in as_json
                      else [text_of(r.get(name)) for r in records], dtype=pl.String)
            for name in names
        ]
    )  # fmt: skip


def names_of(records: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return every member that occurs; one that only some records have stands behind its neighbour there."""
    names: list[str] = []
    known: set[str] = set()
    for record in records:
        if known.issuperset(record):
            continue
        place = len(names)
        for name in record:
            if name not in known:
                names.insert(place, name)
                known.add(name)
            place = names.index(name) + 1
    return names


def sample_of(records: Sequence[Mapping[str, Any]], *, complete: bool) -> Sample:
    """Return a sample of JSON objects: every member that occurs."""
    kinds: dict[str, set[str]] = {name: set() for name in names_of(records)}
    for record in records:
        for name, value in record.items():
            if value is not None:
                kinds[name].add(_kind(value))
    mixed = [name for name, seen in kinds.items() if JSON_KIND in seen]
    frozen = {name: frozenset(seen) for name, seen in kinds.items() if seen}
    return Sample(columns_of(records, kinds, mixed), frozen, complete)


def text_of(value: Any) -> str | None:
    """Return a JSON value as the text that a file without kinds would hold."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Decimal):
        return format(value, "f") if abs(value.adjusted()) < 38 else str(value) if value else "0"
    return _json(value)


def _json(value: Any) -> str | None:
    return None if value is None else _ENCODER.encode(value).decode()


def _kind(value: Any) -> str:
    if isinstance(value, Decimal) and "E" in str(value):
        return EXPONENT_KIND
    return _KINDS[type(value)]


def member(value: Any, path: str) -> Any:
    """Return what a path such as `data.items.0` leads to; raises `KeyError` with the part that is not there.

    A member whose own name has dots (`@odata.nextLink`) is found by its whole name.
    """
    while path:
        if isinstance(value, Mapping) and path in value:
            return value[path]
        part, _, path = path.partition(".")
        if isinstance(value, Mapping) and part in value:
            value = value[part]
        elif isinstance(value, (list, tuple)) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        elif part:
            raise KeyError(part)
    return value
