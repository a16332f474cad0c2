"""Columns in which rooms keep values of records: encrypted from the day on which the first field of an entity is.

Runs, cases, events and imports keep what they have read and written of any system, and the same value stands in several
of them; so all of it is encrypted alike, whichever rule it comes from. What was kept before is encrypted by `sweep`.
A value says by itself whether it is encrypted. It is bound to its table and column.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.type_api import TypeEngine

from webapp.extensions import House, Json, NullableJson, metadata, to_json
from webapp.vault.at_rest import JOURNAL, KeyRing, ring
from webapp.vault.errors import VaultError
from webapp.vault.services import overwrite

MARK = "$sealed"
_TEXT = f"{MARK}:"
_BYTES = _TEXT.encode()
BATCH = 200


class _Kept(sa.types.TypeDecorator[Any]):
    """A column of values; `place` is what they are bound to."""

    cache_ok = True

    def __init__(self, place: str) -> None:
        super().__init__()
        self.place = place

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> Any:
        """Return what is kept; what a backup brings encrypted stays so."""
        if value is None or self.is_closed(value):
            return value
        keys = _keys(dialect)
        name = None if keys is None else keys.journal
        return value if keys is None or name is None else self.closed(keys, name, value)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> Any:
        """Return the value; something that only looks encrypted stays as it is."""
        if not self.is_closed(value):
            return value
        try:
            return self.opened(ring(dialect), value)
        except VaultError:
            return value

    def closed(self, keys: KeyRing, name: str, value: Any) -> Any:
        """Return a value encrypted under the key of that name."""
        return _TEXT + keys.encrypt(JOURNAL, name, value, self.place)

    def opened(self, keys: KeyRing, value: Any) -> Any:
        """Return what an encrypted value is."""
        return keys.decrypt(JOURNAL, value[len(_TEXT) :], self.place)

    def is_closed(self, value: Any) -> bool:
        """Tell whether a stored value is encrypted."""
        return isinstance(value, str) and value.startswith(_TEXT)


class TextAtRest(_Kept):
    """Text."""

    impl = sa.Text
    cache_ok = True


class BlobAtRest(_Kept):
    """Bytes."""

    impl = sa.LargeBinary
    cache_ok = True

    def closed(self, keys: KeyRing, name: str, value: Any) -> Any:
        """Return a value encrypted under the key of that name."""
        return b"".join((_BYTES, name.encode(), b".", keys.encrypt_bytes(JOURNAL, name, bytes(value), self.place)))

    def opened(self, keys: KeyRing, value: Any) -> Any:
        """Return what an encrypted value is."""
        name, _, raw = bytes(value)[len(_BYTES) :].partition(b".")
        return keys.decrypt_bytes(JOURNAL, name.decode(), raw, self.place)

    def is_closed(self, value: Any) -> bool:
        """Tell whether a stored value is encrypted."""
        return value is not None and bytes(value[: len(_BYTES)]) == _BYTES


class JsonAtRest(_Kept):
    """JSON."""

    impl = Json
    cache_ok = True

    def closed(self, keys: KeyRing, name: str, value: Any) -> Any:
        """Return a value encrypted under the key of that name."""
        return {MARK: keys.encrypt(JOURNAL, name, to_json(value), self.place)}

    def opened(self, keys: KeyRing, value: Any) -> Any:
        """Return what an encrypted value is."""
        return json.loads(keys.decrypt(JOURNAL, value[MARK], self.place))

    def is_closed(self, value: Any) -> bool:
        """Tell whether a stored value is encrypted."""
        return isinstance(value, dict) and value.keys() == {MARK} and isinstance(value[MARK], str)


class NullableJsonAtRest(JsonAtRest):
    """JSON, of which none is NULL."""

    impl = NullableJson
    cache_ok = True


def raw(table: sa.Table) -> sa.Table:
    """Return a table as the database has it."""
    if not any(isinstance(column.type, _Kept) for column in table.columns):
        return table
    columns = [column._copy() for column in table.columns]  # noqa: SLF001 - SQLAlchemy has no public copy
    for column in columns:
        column.type = stored_type(column.type)
    return sa.Table(table.name, sa.MetaData(), *columns)


def stored_type(kind: TypeEngine[Any]) -> TypeEngine[Any]:
    """Return the type that the database knows a column by."""
    return kind.impl_instance if isinstance(kind, _Kept) else kind


def sweep(house: House) -> int:
    """Encrypt what was kept before the first field was encrypted; return how many rows that were."""
    keys = ring(house.db.engine.dialect)
    keys.look()  # this process may not know yet that there is a key
    if keys.journal is None:
        return 0
    return sum(count for table in metadata.sorted_tables for count in _swept(house, table))


def _swept(house: House, table: sa.Table) -> Iterator[int]:
    """Encrypt a table in batches; yield how many rows each had."""
    kept = [column for column in table.columns if isinstance(column.type, _Kept)]
    last: tuple[Any, ...] | None = None
    while kept:
        with house.db.begin() as tx:
            overwrite(tx)
            rows = _page(tx, table, last)
            plain = [row for row in rows if any(_open(column, row) for column in kept)]
            for row in plain:
                _encrypt(tx, table, kept, row)
        yield len(plain)
        if len(rows) < BATCH:
            return
        last = tuple(rows[-1][column.name] for column in table.primary_key)


def _page(tx: sa.Connection, table: sa.Table, last: tuple[Any, ...] | None) -> list[sa.RowMapping]:
    stored = raw(table)
    key = [stored.c[column.name] for column in table.primary_key]
    query = sa.select(stored).order_by(*key).limit(BATCH)
    query = query if last is None else query.where(sa.tuple_(*key) > sa.tuple_(*last))
    return list(tx.execute(query.with_for_update()).mappings())


def _open(column: sa.Column[Any], row: sa.RowMapping) -> bool:
    return row[column.name] is not None and not column.type.is_closed(row[column.name])  # type: ignore[attr-defined]


def _encrypt(tx: sa.Connection, table: sa.Table, kept: list[sa.Column[Any]], row: sa.RowMapping) -> None:
    this = [column == row[column.name] for column in table.primary_key]
    values = {column.name: row[column.name] for column in kept if _open(column, row)}
    tx.execute(sa.update(table).where(*this).values(values))


def _keys(dialect: sa.Dialect) -> KeyRing | None:
    """Return the keys; what opens a database without them makes it ready, and keeps no values of records."""
    try:
        return ring(dialect)
    except VaultError:
        return None
