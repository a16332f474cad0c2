"""The hub as a connector: every entity is an object that rules read and write like any other system.

Writes go through the same checks, history and numbering as the pages. A write and its fence are one transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import polars as pl
import psycopg
import sqlalchemy as sa

from connectors import registry
from connectors.builtin.database_filter import TableFilter
from connectors.errors import ConnectorError, Fenced, Misconfigured, ObjectMissing, Unavailable
from connectors.spi import (
    Capabilities,
    Connector,
    ConnectorSpec,
    Cursor,
    Failure,
    Fence,
    ObjectInfo,
    Page,
    Position,
    ReadRequest,
    Step,
    Warned,
    WriteResult,
)
from connectors.two_phase import Within
from rules.predicate import Predicate
from rules.schema import Change, Op, Schema
from rules.text import N_, Message, msg
from webapp.entities import bulk, frames, hub_cursor, hub_deletions, keyset, numbers, records, storage
from webapp.entities.history import Author
from webapp.entities.hub_filter import entity_filter
from webapp.entities.keyset import Mark
from webapp.entities.model import Entity, Kind
from webapp.entities.models import entity as entity_table
from webapp.entities.models import entity_fence
from webapp.entities.records import Outcome
from webapp.entities.refusals import Refusal
from webapp.entities.sealed import NotComparable, unfit
from webapp.entities.values import to_plain
from webapp.extensions import SYSTEM, House, away

_CAPABILITIES = Capabilities(
    read=True,
    create=True,
    update=True,
    delete=True,
    cursor=True,
    lookup=True,
    transactions=True,
    generates_keys=True,
    deletions=True,
    concurrent=True,
    filter=True,
    two_phase=True,
)


class HubAway(Unavailable):
    """The metadata database, which is where entities are kept, does not answer for now."""


class HubConnector(Connector, Within):
    """The entities of one house; `hub_connector` makes the class for a house."""

    spec: ClassVar[ConnectorSpec] = ConnectorSpec(
        name="hub",
        label=N_("Entities of Syncline"),
        category="syncline",
        summary=N_("The record types that are designed and kept in Syncline itself."),
        settings=(),
        capabilities=_CAPABILITIES,
    )
    house: ClassVar[House]

    def check(self) -> Iterator[Step]:
        """Say how many entities there are."""
        try:
            count = len(self.objects())
        except ConnectorError as error:
            yield Step(N_("Open the database"), ok=False, detail=error.message)
            return
        yield Step(N_("Open the database"), ok=True, detail=msg("There are {count} entities.", count=count))

    def objects(self) -> list[ObjectInfo]:
        """Return the entities."""
        with self._reading() as tx:
            found = []
            names = tx.scalars(sa.select(entity_table.c.name).where(entity_table.c.state == "active"))
            for name in sorted(names):
                entity = storage.current(tx, name)
                found.append(ObjectInfo(name, "entity", entity.label.en, numbers.records(tx, entity)[0]))
            return found

    def schema(self, name: str) -> Schema:
        """Return the fields of an entity."""
        with self._reading() as tx:
            return _entity(tx, name).schema

    def read(self, request: ReadRequest) -> Iterator[Page]:
        """Yield the records by id, or by the cursor's field and tie; each page is a snapshot of its own.

        Behind the records that a cursor selects come those that were deleted since.
        """
        after = request.after
        while not (after and hub_deletions.GONE in after):
            with self._reading() as tx:
                if request.filter is not None:
                    self._freeze(tx)
                page = _page(tx, request, after)
            yield page
            after = page.position
            if page.records.height < request.page_size:
                break
        if request.cursor is not None and request.cursor.since is not None:
            yield from self._gone(request, after or {})

    def _gone(self, request: ReadRequest, after: Position) -> Iterator[Page]:
        """Yield what was deleted, page by page, as the history tells; at least a page where the read begins there."""
        if hub_deletions.GONE in after:
            yield Page(request.schema.empty(), after)
        while True:
            with self._reading() as tx:
                page = hub_deletions.page(tx, _entity(tx, request.object), request, after)
            if page is None:
                return
            yield page
            after = page.position

    def filterable(self, request: ReadRequest) -> Predicate | None:
        """Return what of the request's filter can be tested."""
        if request.filter is None or request.cursor is not None:
            return None
        with self._reading() as tx:
            entity = _entity(tx, request.object)
            if not _is_key(entity, request.schema.key):
                return None
            return _filter(tx, entity, request.schema).narrowed(request.filter)

    def left_out(self, request: ReadRequest, key: str, values: pl.Series) -> pl.DataFrame:
        """Return the records that the request's filter leaves out and whose `key` is among `values`."""
        return self.lookup(request.object, request.schema, key, values, request.filter)

    def lookup(
        self, name: str, schema: Schema, key: str, values: pl.Series, unsent: Predicate | None = None
    ) -> pl.DataFrame:
        """Return the records whose `key` is among `values`, only those that the filter `unsent` leaves out."""
        with self._reading() as tx:
            entity = _entity(tx, name)
            _known(entity, [*schema.names, key])
            _clear(entity, schema.key)
            table = storage.table(tx, entity)
            wanted = values.drop_nulls().unique().to_list()
            query = sa.select(*(table.c[n] for n in schema.names)).where(bulk.among(tx, table.c[key], wanted))
            if unsent is not None:
                query = query.where(_filter(tx, entity, schema).not_sent(unsent))
            return frames.from_rows(schema, tx.execute(query).all())

    def write(self, name: str, schema: Schema, changes: Sequence[Change], fence: Fence | None = None) -> WriteResult:  # noqa: ARG002
        """Write all good records of the call, and the fence, in one transaction."""
        with self._failing(), self.house.db.begin() as tx:
            return self._written(tx, name, changes, fence)

    def write_within(self, tx: sa.Connection, name: str, changes: Sequence[Change], fence: Fence) -> WriteResult:
        """Write all good records of the call, and the fence, in a transaction of the caller."""
        with self._failing():
            return self._written(tx, name, changes, fence)

    def _written(self, tx: sa.Connection, name: str, changes: Sequence[Change], fence: Fence | None) -> WriteResult:
        if fence:
            _take(tx, fence)
        entity = _entity(tx, name, lock=True)
        author = Author(SYSTEM, self.house.clock(), fence.run if fence else None)
        failures: list[Failure] = []
        warnings: list[Warned] = []
        keys: list[pl.Series | None] = []
        for number, change in enumerate(changes):
            outcome = _apply(tx, entity, change, author)
            failures += _failures(number, outcome.refusals)
            warnings += [Warned(number, w.row, f"{name}.{w.validation}", w.message, w.field) for w in outcome.warnings]
            made = change.op is Op.CREATE and change.key == "id"
            keys.append(pl.Series("id", outcome.ids, dtype=pl.Int64) if made else None)
        return WriteResult(tuple(failures), tuple(keys), tuple(warnings))

    def applied(self, fence: Fence) -> bool | None:
        """Tell whether the chunk, or a later one of its run, is durable."""
        with self._reading() as tx:
            row = tx.execute(sa.select(entity_fence).where(entity_fence.c.scope == fence.scope)).first()
            return row is not None and row.run == fence.run and row.chunk >= fence.chunk

    def _freeze(self, tx: sa.Connection) -> None:
        """Let all that is read see one moment, which it does in every transaction of SQLite."""
        if not self.house.db.is_sqlite:
            tx.execution_options(isolation_level="REPEATABLE READ")

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        with self._failing(), self.house.db.read() as tx:
            yield tx

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except NotComparable as error:
            raise Misconfigured(error.message) from None
        except (sa.exc.DBAPIError, psycopg.Error, sa.exc.TimeoutError) as error:
            reason = str(getattr(error, "orig", None) or error).splitlines()[0]
            kind = HubAway if away(error) else Unavailable
            raise kind(msg("The database of Syncline does not answer: {reason}", reason=reason)) from error


def hub_connector(house: House) -> type[Connector]:
    """Return the hub's connector class for a house."""
    return type("Hub", (HubConnector,), {"house": house, "__doc__": HubConnector.__doc__})


def register(house: House) -> None:
    """Make the hub of this house known to the registry of connectors."""
    registry.register(hub_connector(house))


def _entity(tx: sa.Connection, name: str, *, lock: bool = False) -> Entity:
    try:
        return storage.current(tx, name, lock=lock)
    except storage.NoEntity:
        raise ObjectMissing(msg("There is no entity '{name}'.", name=name), object_name=name) from None


def _clear(entity: Entity, names: Iterable[str]) -> None:
    """Refuse encrypted fields as what names or orders records: links and places keep these in clear."""
    for name in names:
        if name in entity.encrypted:
            raise Misconfigured(unfit(entity.name, name), object_name=entity.name)


def _known(entity: Entity, names: Sequence[str]) -> None:
    for name in names:
        if name not in entity.schema:
            sentence = msg("The entity '{entity}' has no field '{name}' (any more).", entity=entity.name, name=name)
            raise ObjectMissing(sentence, object_name=entity.name)


def _page(tx: sa.Connection, request: ReadRequest, after: Position | None) -> Page:
    entity = _entity(tx, request.object)
    cursor = request.cursor or Cursor("id", "id")
    _known(entity, [*request.schema.names, cursor.field, cursor.tie])
    _clear(entity, (*request.schema.key, cursor.field, cursor.tie))
    table = storage.table(tx, entity)
    column, tie = table.c[cursor.field], table.c[cursor.tie]
    names = request.schema.names
    query = sa.select(*(table.c[n] for n in names), column.label("_value"), tie.label("_tie"))
    if cursor.since is not None:
        since = column >= hub_cursor.value(entity.schema[cursor.field], cursor.since)
        query = query.where(since | column.is_(None) if column.nullable else since)
    if request.filter is not None:
        query = query.where(_filter(tx, entity, request.schema).sent(request.filter))
    order, mark = keyset.Order(column, tie, bool(column.nullable)), hub_cursor.mark(entity, cursor, after)
    rows = keyset.fetch(tx, query, order, mark, request.page_size)
    found = frames.from_rows(request.schema, [row[: len(names)] for row in rows])
    position = (
        {"value": to_plain(None, rows[-1][-2]), "tie": to_plain(None, rows[-1][-1])} if rows else dict(after or {})
    )
    left_out = 0 if request.filter is None else _met(tx, tie, mark, rows, request.page_size) - len(rows)
    return Page(found, position, left_out=left_out)


def _is_key(entity: Entity, names: tuple[str, ...]) -> bool:
    """Tell whether no two records have the same value in the one field named."""
    unique = {field.name for field in entity.fields if field.unique and field.required and field.kind is not Kind.MONEY}
    return names == ("id",) or (len(names) == 1 and names[0] in unique)


def _filter(tx: sa.Connection, entity: Entity, schema: Schema) -> TableFilter:
    return entity_filter(entity, storage.table(tx, entity), schema, sqlite=tx.dialect.name == "sqlite")


def _met(tx: sa.Connection, tie: sa.ColumnElement[Any], mark: Mark | None, rows: Sequence[Any], size: int) -> int:
    """Return how many records there are behind a mark, up to the end of a page; a page that is not full is the last."""
    query = sa.select(sa.func.count(tie))
    query = query if mark is None else query.where(tie > mark.tie)
    return int(tx.execute(query.where(tie <= rows[-1][-1]) if len(rows) == size else query).scalar_one())


def _apply(tx: sa.Connection, entity: Entity, change: Change, author: Author) -> Outcome:
    frame = change.records
    _known(entity, [change.key, *frame.columns])
    _clear(entity, [change.key])
    if change.op is Op.CREATE:
        _writable(entity, frame.columns)
        return records.create(tx, entity, frame, author)
    ids, absent = _ids(tx, entity, change.key, frame[change.key])
    rows = [row for row in range(frame.height) if row not in absent]
    if change.op is Op.DELETE:
        outcome = records.delete(tx, entity, [ids[row] for row in rows], author)
    else:
        names = [n for n in frame.columns if n != change.key]
        _writable(entity, names)
        batch = frame[rows].select(names).with_columns(pl.Series("id", [ids[row] for row in rows], dtype=pl.Int64))
        outcome = records.update(tx, entity, batch, author)
    refusals = (*absent.values(), *(r.at(rows[r.row]) for r in outcome.refusals))
    warnings = tuple(w.at(rows[w.row]) for w in outcome.warnings)
    return Outcome(tuple(ids.get(row) for row in range(frame.height)), refusals, outcome.changed, warnings)


def _writable(entity: Entity, names: Sequence[str]) -> None:
    for name in names:
        if entity.schema[name].generated:
            sentence = msg(
                "'{name}' of '{entity}' is filled in by Syncline. Take it out of the mapping.",
                name=name,
                entity=entity.name,
            )
            raise Misconfigured(sentence, object_name=entity.name)


def _ids(tx: sa.Connection, entity: Entity, key: str, values: pl.Series) -> tuple[dict[int, int], dict[int, Refusal]]:
    """Return row -> id of the record that has the row's key, and a refusal for each row without exactly one."""
    wanted = values.to_list()
    if key == "id":
        return {row: value for row, value in enumerate(wanted) if value is not None}, _empty_keys(wanted, key)
    column = storage.table(tx, entity).c[key]
    found: dict[Any, list[int]] = {}
    query = sa.select(column, storage.table(tx, entity).c.id)
    for value, record in tx.execute(query.where(bulk.among(tx, column, [v for v in wanted if v is not None]))):
        found.setdefault(value, []).append(record)
    ids: dict[int, int] = {}
    refusals = _empty_keys(wanted, key)
    for row, value in enumerate(wanted):
        owners = found.get(value, [])
        if len(owners) == 1:
            ids[row] = owners[0]
        elif row not in refusals:
            refusals[row] = Refusal(row, _no_owner(key, value, len(owners)), key)
    return ids, refusals


def _no_owner(key: str, value: Any, count: int) -> Message:
    if not count:
        return msg("There is no record with {key} = '{value}' (any more).", key=key, value=str(value))
    return msg(
        "{count} records have {key} = '{value}'; the key has to be unique.", key=key, value=str(value), count=count
    )


def _empty_keys(values: Sequence[Any], key: str) -> dict[int, Refusal]:
    return {
        row: Refusal(row, msg("The key '{key}' is empty.", key=key), key)
        for row, value in enumerate(values)
        if value is None
    }


def _failures(number: int, refusals: Sequence[Refusal]) -> list[Failure]:
    """Return one failure a record: its first refusal."""
    first: dict[int, Refusal] = {}
    for refusal in refusals:
        first.setdefault(refusal.row, refusal)
    return [Failure(number, r.row, r.message, r.field) for _, r in sorted(first.items())]


def _take(tx: sa.Connection, fence: Fence) -> None:
    """Note the fence; raises `Fenced` where a higher token has been seen in its scope."""
    values = {"token": fence.token, "run": fence.run, "chunk": fence.chunk}
    query = sa.select(entity_fence.c.token).where(entity_fence.c.scope == fence.scope).with_for_update()
    seen = tx.scalar(query)
    if seen is None:
        with _first_writer():
            tx.execute(sa.insert(entity_fence).values(scope=fence.scope, **values))
        return
    if seen > fence.token:
        raise Fenced
    tx.execute(sa.update(entity_fence).where(entity_fence.c.scope == fence.scope).values(values))


@contextmanager
def _first_writer() -> Iterator[None]:
    """Two first writers of a scope meet only when one has been taken over; the one that comes second gives way."""
    try:
        yield
    except sa.exc.IntegrityError:
        raise Fenced from None
