"""Rows on their way: Arrow batches that mean the same on SQLite and on PostgreSQL, and a digest that both agree on."""

from __future__ import annotations

import decimal
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from webapp.backups.tables import Stored
from webapp.entities import bulk, search
from webapp.entities.columns import Exact
from webapp.extensions import UtcDateTime

MANY, FEW = 5_000, 20
"""Rows of a batch; few where a row may hold megabytes."""
_NUMBERS = decimal.Context(prec=10_000)
_MODULUS = 2**256
_TYPES: tuple[tuple[type[sa.types.TypeEngine[Any]], pa.DataType], ...] = (
    (sa.JSON, pa.large_string()),
    (Exact, pa.large_string()),
    (UtcDateTime, pa.timestamp("us", tz="UTC")),
    (sa.DateTime, pa.timestamp("us")),
    (sa.Date, pa.date32()),
    (sa.Boolean, pa.bool_()),
    (sa.Float, pa.float64()),
    (sa.Integer, pa.int64()),
    (sa.LargeBinary, pa.large_binary()),
    (sa.String, pa.large_string()),
)


def schema(stored: Stored) -> pa.Schema:
    """Return the columns of a table's batches; JSON and exact decimals are text."""
    return pa.schema([(column.name, _type(column)) for column in stored.columns])


def _type(column: sa.Column[Any]) -> pa.DataType:
    for kind, found in _TYPES:
        if isinstance(column.type, kind):
            return found
    raise TypeError(f"{column.table.name}.{column.name}: no backup knows values of the type {column.type!r}")


def read(tx: sa.Connection, stored: Stored) -> Iterator[pa.RecordBatch]:
    """Yield all rows of a table."""
    asked = [sa.cast(c, sa.Text).label(c.name) if isinstance(c.type, sa.JSON) else c for c in stored.columns]
    large = any(isinstance(c.type, sa.LargeBinary) for c in stored.columns)
    exact = {i for i, c in enumerate(stored.columns) if isinstance(c.type, Exact)}
    form = schema(stored)
    with tx.execute(sa.select(*asked), execution_options={"yield_per": FEW if large else MANY}) as result:
        for rows in result.partitions():
            columns = [
                [v if v is None else str(v) for v in values] if i in exact else values
                for i, values in enumerate(zip(*rows, strict=True))
            ]
            yield pa.record_batch([pa.array(v, f.type) for v, f in zip(columns, form, strict=True)], schema=form)


def write(tx: sa.Connection, stored: Stored, batch: pa.RecordBatch) -> None:
    """Insert the rows of a batch, and what finds them in a search."""
    values: dict[str, Sequence[Any]] = {
        c.name: _given(c, batch.column(i).to_pylist()) for i, c in enumerate(stored.columns)
    }
    entity = stored.entity
    texts = list(zip(*(values[name] for name in entity.searchable), strict=True)) if entity else []
    if entity and entity.searchable and tx.dialect.name == "postgresql":
        values[search.COLUMN] = [search.vector(row) for row in texts]
    bulk.insert(tx, stored.plain, values)
    if entity and entity.searchable and tx.dialect.name == "sqlite":
        search.store(tx, entity, values["id"], texts)


def _given(column: sa.Column[Any], values: list[Any]) -> list[Any]:
    if isinstance(column.type, Exact):
        return [None if v is None else Decimal(v) for v in values]
    return values


class Digest:
    """Tells whether two tables hold the same rows, in whatever order and however they write JSON."""

    def __init__(self) -> None:
        self.rows = 0
        self._sum = 0

    def add(self, stored: Stored, batch: pa.RecordBatch) -> None:
        """Take the rows of a batch into account."""
        columns = [_said(c, batch.column(i).to_pylist()) for i, c in enumerate(stored.columns)]
        for row in zip(*columns, strict=True):
            own = hashlib.sha256(repr(row).encode("utf-8", "surrogatepass")).digest()
            self._sum += int.from_bytes(own)
        self.rows += batch.num_rows

    @property
    def value(self) -> str:
        """Return the digest in hexadecimal."""
        return f"{self._sum % _MODULUS:064x}"

    def to_json(self) -> dict[str, Any]:
        """Return how many rows there are and their digest."""
        return {"rows": self.rows, "digest": self.value}


def digest(tx: sa.Connection, stored: Stored) -> Digest:
    """Return the digest of a table."""
    found = Digest()
    for batch in read(tx, stored):
        found.add(stored, batch)
    return found


def _said(column: sa.Column[Any], values: list[Any]) -> list[Any]:
    if isinstance(column.type, sa.JSON):
        return [None if v is None else canonical(v) for v in values]
    if isinstance(column.type, Exact):
        return [None if v is None else _number(v) for v in values]
    return [_plain(v) for v in values]


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return hashlib.sha256(value).hexdigest()
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    return value


def canonical(text: str) -> str:
    """Return JSON as both databases mean it: PostgreSQL orders keys and writes numbers its own way."""
    try:
        return json.dumps(_sorted(json.loads(text, parse_float=_number, parse_int=_number)), ensure_ascii=False)
    except RecursionError:  # deeper than Python reads; its length in characters that are no blanks must do
        return str(len("".join(text.split())))


def _sorted(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(part) for part in value] if isinstance(value, list) else value


def _number(text: str) -> str:
    found = _NUMBERS.normalize(Decimal(text))
    return f"\0{found if found else 0}"
