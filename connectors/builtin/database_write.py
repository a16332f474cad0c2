"""Writing changes in one transaction: in bulk, and by small parts where a record is refused.

A refused batch is rolled back to its savepoint. Where the database can tell itself which of many records it takes,
it does so and tells what is wrong with the others. Else the batch is tried again in small parts, and the records of a
part that fails one by one, so that n records with k bad ones take about n / 32 + 32·k attempts. All others become
durable, and the order of the records is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl
import sqlalchemy as sa

from connectors.builtin.database_checks import refusals
from connectors.builtin.database_flavor import Flavor, Loader, Refusal, RefusedError
from connectors.builtin.database_read import column_of, unfit
from connectors.builtin.database_types import Decoded, Table, convert
from connectors.errors import Misconfigured
from connectors.spi import Failure
from rules.schema import Change, Op
from rules.text import msg

_MANY, _PART = 16, 32
_ROW = "syncline row"
"""The name of the column that numbers the records; no field is called like that."""

Attempt = Callable[[pl.DataFrame], Any]


class Writer:
    """Writes the changes of one call into one table."""

    def __init__(self, flavor: Flavor, connection: sa.Connection, source: sa.TableClause, table: Table) -> None:
        self._flavor = flavor
        self._connection = connection
        self._table = table
        self._loader: Loader = flavor.loader(connection, source, table)
        self._errors: tuple[type[Exception], ...] = (sa.exc.DBAPIError, *flavor.driver_errors)
        self._failures: list[Failure] = []
        self._index = 0

    @property
    def failures(self) -> tuple[Failure, ...]:
        """Return the refused records in order."""
        return tuple(sorted(self._failures, key=lambda failure: (failure.change, failure.row)))

    def write(self, index: int, change: Change) -> pl.Series | None:
        """Write one change; returns the keys that the database made, if it did."""
        self._index = index
        self._check_names(change)
        if self._table.unsafe:
            raise Misconfigured(
                msg(
                    "'{object}' has no transactions (engine {engine}).",
                    object=self._table.name,
                    engine=self._table.unsafe,
                ),
                msg("Ask for another engine, such as InnoDB."),
                object_name=self._table.name,
            )
        good = self._checked(change)
        if change.op is Op.CREATE:
            return self._create(change, good)
        for part in _without_repeats(good, change.key):
            self._change(change, part)
        return None

    def _check_names(self, change: Change) -> None:
        written = set(change.records.columns) - ({change.key} if change.op is Op.UPDATE else set())
        for name in (change.key, *change.records.columns):
            column = column_of(self._table, name)
            if column.computed and name in written and change.op is not Op.DELETE:
                raise Misconfigured(
                    msg("'{field}' is filled in by the database itself and must not be written.", field=name),
                    msg("Take it out of the mapping."),
                    object_name=self._table.name,
                )

    def _checked(self, change: Change) -> pl.DataFrame:
        bad = refusals(self._table.schema, change.op, change.key, change.records, self._flavor.limits)
        columns = []
        for name in [change.key] if change.op is Op.DELETE else change.records.columns:
            field, values = self._table.schema[name], change.records[name]
            done = convert(Decoded(values), field)
            columns.append(done.values.alias(name))
            for row in done.bad.arg_true().to_list() if done.bad is not None else ():
                bad.setdefault(row, Refusal(unfit(field, values[row]), name))
        for row, refusal in bad.items():
            self._refuse(row, refusal)
        records = pl.DataFrame(columns).with_columns(pl.int_range(pl.len(), dtype=pl.Int64).alias(_ROW))
        return records.filter(~records[_ROW].is_in(list(bad))) if bad else records

    def _create(self, change: Change, records: pl.DataFrame) -> pl.Series | None:
        field = self._table.schema[change.key]
        if change.key in change.records.columns or not (field.generated or field.has_default):
            self._create_with_own_keys(records)
            return None
        keys: list[Any] = [None] * change.records.height
        numbers = self._loader.numbers(records.height, change.key)
        if numbers is not None:
            self._create_with_own_keys(records.with_columns(numbers))
            refused = {failure.row for failure in self._failures if failure.change == self._index}
            for row, number in zip(records[_ROW], numbers, strict=True):
                keys[row] = None if row in refused else number
            return pl.Series(change.key, keys, dtype=pl.Int64)
        make: Attempt = lambda part: self._loader.create_with_keys(part.drop(_ROW), change.key)  # noqa: E731
        for part, made in self._attempt(make, records):
            for row, key in zip(part[_ROW], made, strict=True):
                keys[row] = key
        return self._flavor.decode(column_of(self._table, change.key), keys).values.alias(change.key)

    def _create_with_own_keys(self, records: pl.DataFrame) -> None:
        first = self._loader.each_first
        if not (first and not records.is_empty() and self._each(records)):
            each = None if first else self._each
            self._attempt(lambda part: self._loader.create(part.drop(_ROW)), records, each)

    def _change(self, change: Change, records: pl.DataFrame) -> None:
        def do(part: pl.DataFrame) -> pl.Series:
            if change.op is Op.DELETE:
                return self._loader.delete(part[change.key])
            return self._loader.update(part.drop(_ROW), change.key)

        if change.op is Op.UPDATE and records.width == 2:
            do = lambda part: self._loader.present(part[change.key])  # noqa: E731 - nothing to set
        for part, there in self._attempt(do, records):
            for row, key in part.filter(~there).select(_ROW, change.key).rows():
                gone = msg("The record {key} is no longer there.", key=_shown(key))
                self._refuse(row, Refusal(gone))

    def _each(self, records: pl.DataFrame) -> bool:
        """Create what can be created and refuse the rest; False where that cannot be told, and then nothing is done."""
        try:
            with self._connection.begin_nested() as savepoint:
                found = self._loader.create_each(records.drop(_ROW))
                if found is not None and None in found.values():
                    savepoint.rollback()
                    return False
        except self._errors as error:
            if self._loader.each_first and self._flavor.refusal(getattr(error, "orig", None) or error) is None:
                raise
            return False
        for row, refusal in (found or {}).items():
            assert refusal is not None  # noqa: S101 - looked at above
            self._refuse(records[_ROW][row], refusal)
        return found is not None

    def _attempt(
        self, do: Attempt, records: pl.DataFrame, each: Callable[[pl.DataFrame], bool] | None = None
    ) -> list[tuple[pl.DataFrame, Any]]:
        if records.is_empty():
            return []
        try:
            with self._connection.begin_nested():
                return [(records, do(records))]
        except RefusedError as error:
            refusal: Refusal | None = error.refusal
        except self._errors as error:
            refusal = self._flavor.refusal(getattr(error, "orig", None) or error)
            if refusal is None:
                raise
        if records.height == 1 and refusal is not None:
            self._refuse(records[_ROW][0], refusal)
            return []
        if each is not None and records.height >= _MANY and each(records):
            return []
        # few records are refused as a rule: a part without one costs a call, a part with one a call for each record
        size = _PART if records.height > _PART else 1
        return [made for part in records.iter_slices(size) for made in self._attempt(do, part)]

    def _refuse(self, row: int, refusal: Refusal) -> None:
        self._failures.append(Failure(self._index, row, refusal.message, refusal.field))


def _without_repeats(records: pl.DataFrame, key: str) -> list[pl.DataFrame]:
    """Return the records in parts without a key twice, so that the last one of a key wins."""
    if not records[key].is_duplicated().any():
        return [records]
    turn = records.select(pl.int_range(pl.len()).over(key)).to_series()
    return [records.filter(turn == number) for number in turn.unique().sort()]


def _shown(key: Any) -> str:
    return f"0x{key.hex()}" if isinstance(key, bytes) else str(key)
