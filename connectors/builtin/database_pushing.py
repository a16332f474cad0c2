"""A database that carries out rules whose both sides are in it."""

from __future__ import annotations

import contextlib
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar

import sqlalchemy as sa

from connectors.builtin.database import WRITES, Database
from connectors.builtin.database_filter import CannotTest
from connectors.builtin.database_formula import CannotPush, Words
from connectors.builtin.database_push import DatabasePush, Statements
from connectors.builtin.database_types import Table
from connectors.pushing import Push, Pushing, PushRequest
from connectors.spi import Position
from rules.formula import Copy, PushedField
from rules.schema import FieldType
from rules.text import Message, msg

_KEYS = (FieldType.INTEGER, FieldType.TEXT)


class PushingDatabase(Database, Pushing):
    """A database that carries out rules."""

    words: ClassVar[Words]

    @abstractmethod
    def place(self) -> Any:
        """Return what is the same only of connections to the same database."""

    def hindered(self, schema: str | None, name: str) -> Message | None:  # noqa: ARG002 - most users see all records
        """Say why what a database holds may look otherwise to another user, or to Syncline; None if it does not."""
        return None

    def unable(self, request: PushRequest) -> Message | None:
        """Say why it cannot carry out a rule, None if it can."""
        source = request.source
        if not isinstance(source, PushingDatabase) or type(source) is not type(self) or source.place() != self.place():
            return msg("Both sides have to be in one database.")
        if not self._fences.usable(self.session):
            return msg("Syncline has to keep its small table there. Allow it in the connection of the target.")
        place = (source.namespace, request.objects[0])
        if (why := self.hindered(*place) or source.hindered(*place)) is not None:
            return why
        try:
            tables = self._both(request)
            return _unfit(request, tables) or self._refused(request, tables)
        except CannotPush as error:
            return error.message

    @contextlib.contextmanager
    def push(self, request: PushRequest, after: Position | None, size: int, *, writes: bool) -> Iterator[Push]:
        """Open the next range in a transaction; it is kept only where something was to be written."""
        statements = self._statements(request, self._both(request))
        with self.session(request.objects[1]) as connection:
            connection.execution_options(**{WRITES: writes}, **self._isolation)
            with connection.begin() as transaction:
                self.flavor.begin(connection, self.context.timeout)
                yield DatabasePush(statements, connection, self._fences, (after, size))
                if not writes:
                    transaction.rollback()

    @property
    def _isolation(self) -> dict[str, str]:
        return {"isolation_level": self.flavor.snapshot} if self.flavor.snapshot else {}

    def _both(self, request: PushRequest) -> tuple[Table, Table]:
        """Return both tables as the user of the target sees them."""
        name = request.objects[0]
        with self.session(name) as connection:
            source = self.flavor.table(connection, request.source.namespace, name)  # type: ignore[attr-defined]
        if source is None or not set(request.schemas[0].names) <= source.by_name.keys():
            text = msg("The user of the target's connection may not read all of '{object}'. Let it.", object=name)
            raise CannotPush(text)
        return source, self._written_table(request.objects[1])

    def _statements(self, request: PushRequest, tables: tuple[Table, Table]) -> Statements:
        source = sa.table(
            tables[0].name,
            *(sa.column(column.name) for column in tables[0].columns),
            schema=request.source.namespace,  # type: ignore[attr-defined]
        )
        return Statements(self.flavor, self.words, request, tables, (source, self._stored(tables[1])))

    def _refused(self, request: PushRequest, tables: tuple[Table, Table]) -> Message | None:
        """Say which part has no SQL here, None where all have."""
        try:
            self._statements(request, tables).check()
        except CannotPush as error:
            return error.message
        except CannotTest:
            pass
        else:
            return None
        names = [
            name
            for table, schema in zip(tables, request.schemas, strict=True)
            for name in _untested(self, table, schema.names)
        ]
        return msg("Of the values of {fields} it cannot be said whether they can be read.", fields=", ".join(names))


def _untested(database: Database, table: Table, names: tuple[str, ...]) -> Iterator[str]:
    for name in names:
        try:
            database.flavor.tests.plain(table.by_name[name])
        except CannotTest:
            yield name


def _unfit(request: PushRequest, tables: tuple[Table, Table]) -> Message | None:
    """Say what is wrong with the keys or tables, None where nothing is."""
    (source, target), (own, other) = tables, request.keys
    for table, name in ((source, own), (target, other)):
        if table.kind != "table" or table.key != (name,):
            return msg("'{field}' has to be the one key of the table {object}.", field=name, object=table.name)
    fields = source.by_name[own].field, target.by_name[other].field
    if fields[0].type not in _KEYS or fields[0].type is not fields[1].type or fields[0].nullable:
        return msg(
            "The keys '{own}' and '{other}' have to be of one type, whole numbers or texts, and never empty.",
            own=own,
            other=other,
        )
    given = next((field for field in request.rule.fields if field.name == other), None)
    plain = PushedField(other, Copy(own))
    if given is None or replace(given, on_update=True, weak=False) != plain:
        return msg(
            "The key '{other}' has to get '{own}' as it is, also when a record is created.", own=own, other=other
        )
    return None
