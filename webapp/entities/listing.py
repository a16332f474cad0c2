"""Pages of records: filtered, searched, sorted, both ways by key; how many there are; what they are called."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, tzinfo
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from rules.schema import FieldType
from rules.text import N_, msg
from webapp.access.roles import READ
from webapp.entities import bulk, filters, keyset, numbers, search, storage
from webapp.entities.filters import BadFilter, Filter, Operator
from webapp.entities.keyset import Mark, Order
from webapp.entities.model import Entity
from webapp.entities.permitted import Permit, permit_of
from webapp.entities.values import to_plain, to_text
from webapp.policies.who import SYSTEM_WHO, Who

COUNT_CAP = 10_000
FEW = 5_000
NEWEST_FIRST = "-id"
DOING_FILTER, DOING_SORT = N_("filter"), N_("sort")


@dataclass(frozen=True)
class Query:
    """Which records, in which order: `sort` is a column, with a minus in front for falling order.

    `permit` is what the reader may see of them (None: all, where nothing is shown to anybody).
    """

    filters: tuple[Filter, ...] = ()
    search: str = ""
    sort: str = NEWEST_FIRST
    zone: tzinfo = UTC
    permit: Permit | None = None

    @property
    def narrow(self) -> bool:
        """Tell whether it asks for less than all records."""
        return bool(self.filters or self.search.strip())

    @property
    def limited(self) -> bool:
        """Tell whether the reader may see only some of the records."""
        return self.permit is not None and self.permit.rows is not None


@dataclass(frozen=True)
class Page:
    """A page of records as stored values by column, and the marks of its neighbours (None: there is none)."""

    records: list[dict[str, Any]]
    before: str | None
    after: str | None


@dataclass(frozen=True)
class Count:
    """How many records there are; `exact` is false for an estimate, `more` says "at least so many"."""

    records: int
    exact: bool = True
    more: bool = False


def page(
    tx: sa.Connection,
    entity: Entity,
    query: Query,
    limit: int = 50,
    *,
    after: str | None = None,
    before: str | None = None,
) -> Page:
    """Return the records behind the mark `after`, or in front of the mark `before`, as far as they may be seen.

    Raises `BadFilter`, and `NotPermitted` where the query compares or sorts by what may not be seen.
    """
    _permitted(query)
    table = storage.table(tx, entity)
    order = _order(entity, table, query.sort)
    backwards = before is not None
    mark = _mark(entity, query, before if backwards else after)
    statement, order = _statement(tx, entity, query, order)
    rows = keyset.fetch(tx, statement, order.reversed() if backwards else order, mark, limit + 1)
    more = len(rows) > limit
    records = [dict(zip(entity.schema.names, row, strict=False)) for row in rows[:limit]]
    if backwards:
        records.reverse()
    earlier = more if backwards else mark is not None
    later = (mark is not None) if backwards else more
    name = query.sort.lstrip("-")
    first, last = (_token(records[0], name), _token(records[-1], name)) if records else (None, None)
    if query.permit is not None and not query.permit.whole:
        records = [query.permit.shown(record) for record in records]
    return Page(records, first if earlier else None, last if later else None)


def count(tx: sa.Connection, entity: Entity, query: Query) -> Count:
    """Return how many records a query finds: exact up to a cap where it is filtered, else the table's own number."""
    _permitted(query)
    if not query.narrow and not query.limited:
        return Count(*numbers.records(tx, entity))
    table = storage.table(tx, entity)
    some = sa.select(sa.literal(1)).select_from(table).where(_where(tx, entity, table, query)).limit(COUNT_CAP + 1)
    found = tx.scalar(sa.select(sa.func.count()).select_from(some.subquery())) or 0
    return Count(min(found, COUNT_CAP), more=found > COUNT_CAP)


def counts(tx: sa.Connection, permits: Mapping[Entity, Permit]) -> dict[str, Count]:
    """Return by name how many records of each entity a reader may see; nothing of one that may not be read."""
    asked = {entity: Query(permit=permit) for entity, permit in permits.items() if permit.may(READ)}
    whole = [entity for entity, query in asked.items() if not query.limited]
    known = {name: Count(*number) for name, number in numbers.every(tx, whole).items()}
    return {entity.name: known.get(entity.name) or count(tx, entity, query) for entity, query in asked.items()}


def ids(tx: sa.Connection, entity: Entity, query: Query, limit: int) -> list[int]:
    """Return the ids of the records that a query finds, ascending, `limit` at most."""
    _permitted(query)
    table = storage.table(tx, entity)
    statement = sa.select(table.c.id).where(_where(tx, entity, table, query)).order_by(table.c.id).limit(limit)
    return list(tx.scalars(statement))


def titles(tx: sa.Connection, name: str, wanted: Iterable[int], who: Who = SYSTEM_WHO) -> dict[int, str]:
    """Return what records of an entity are called, by id; those that do not exist or may not be seen are left out."""
    numbers_ = sorted(set(wanted))
    if not numbers_:
        return {}
    try:
        entity = storage.current(tx, name)
    except storage.NoEntity:
        return {}
    permit = None if who.system else permit_of(tx, who, entity)
    if permit is not None and not permit.may(READ):
        return {}
    table = storage.table(tx, entity)
    query = sa.select(table.c.id, table.c[entity.title_field]).where(bulk.among(tx, table.c.id, numbers_))
    rows = tx.execute(query if permit is None or permit.rows is None else query.where(permit.rows)).all()
    found = [{"id": row[0], entity.title_field: row[1]} for row in rows]
    return {r["id"]: title(entity, r if permit is None else permit.shown(r)) for r in found}


def title(entity: Entity, record: Mapping[str, Any]) -> str:
    """Return what a record is called, by what is seen of it; its number where its name is hidden."""
    value = record.get(entity.title_field)
    if entity.title_field == "id" or value in (None, ""):
        return f"#{record['id']}"
    return to_text(entity.by_name.get(entity.title_field), value)


def _permitted(query: Query) -> None:
    """Refuse to compare and to sort by what may not be seen: the answer would tell it."""
    if query.permit is None:
        return
    query.permit.require(READ)
    query.permit.require_plain((f.field for f in query.filters), DOING_FILTER)
    query.permit.require_plain((query.sort.lstrip("-"),), DOING_SORT)


def sort_of(entity: Entity, text: str | None) -> str:
    """Return a sort that the entity can serve, the usual one where `text` names none."""
    return text if text and text.lstrip("-") in entity.sortable else NEWEST_FIRST


def _order(entity: Entity, table: sa.Table, sort: str) -> Order:
    name = sort.lstrip("-")
    if name not in entity.sortable:
        raise BadFilter(msg("The list cannot be sorted by '{name}'; give the field an index first.", name=name))
    column = table.c[name]
    return Order(column, table.c.id, bool(column.nullable), sort.startswith("-"))


def _statement(tx: sa.Connection, entity: Entity, query: Query, order: Order) -> tuple[sa.Select[Any], Order]:
    """Return the statement; a search on SQLite in the order of ids walks the search index itself."""
    table = storage.table(tx, entity)
    columns = [table.c[n] for n in entity.schema.names]
    if tx.dialect.name == "sqlite" and order.plain and entity.searchable and search.wanted(query.search):
        index = search.sqlite_index(entity)
        rest = sa.and_(_where(tx, entity, table, replace(query, search="")), _in_sight(tx, entity, table, query))
        joined = sa.select(*columns).select_from(index.join(table, table.c.id == index.c.rowid))
        found = joined.where(search.match(index, query.search), rest)
        return found, Order(index.c.rowid, index.c.rowid, nullable=False, descending=order.descending)
    return sa.select(*columns).where(_found(tx, entity, table, query)), order


def _found(tx: sa.Connection, entity: Entity, table: sa.Table, query: Query) -> sa.ColumnElement[bool]:
    """Return the condition; where it may find few records by an index, it names their ids.

    Both planners take the beginnings of words for common ones and would walk the whole table in the wanted order.
    """
    where = _where(tx, entity, table, query)
    postgresql = tx.dialect.name == "postgresql"
    searching = postgresql and bool(search.wanted(query.search))
    if not searching and not any(f.operator is Operator.STARTS for f in query.filters):
        return where
    if postgresql:
        tx.exec_driver_sql("SET LOCAL enable_seqscan = off")
    few = list(tx.scalars(sa.select(table.c.id).where(where).limit(FEW + 1)))
    if postgresql:
        tx.exec_driver_sql("SET LOCAL enable_seqscan = on")
        # of many records the first ones in order are found soonest by walking the order's own index
        tx.exec_driver_sql(f"SET LOCAL enable_bitmapscan = {'off' if len(few) > FEW else 'on'}")
    return where if len(few) > FEW else bulk.among(tx, table.c.id, few)


def _where(tx: sa.Connection, entity: Entity, table: sa.Table, query: Query) -> sa.ColumnElement[bool]:
    found = search.condition(entity, table, query.search)
    wanted = filters.condition(entity, table, query.filters, query.zone)
    if query.permit is not None and query.permit.rows is not None:
        wanted = sa.and_(wanted, query.permit.rows)
    if query.search.strip() and found is None:
        return sa.false()
    return wanted if found is None else sa.and_(wanted, found, _in_sight(tx, entity, table, query))


def _in_sight(tx: sa.Connection, entity: Entity, table: sa.Table, query: Query) -> sa.ColumnElement[bool]:
    """Return the condition that a search finds a record by what the reader sees in full.

    The search index knows only that some field of the record has a word, so the texts are looked at again.
    """
    permit = query.permit
    if permit is None or permit.whole or all(map(permit.plain, entity.searchable)):
        return sa.true()
    names = [name for name in entity.searchable if permit.plain(name)]
    found = search.condition(entity, table, query.search)
    if not names or found is None:
        return sa.false()
    found = found if permit.rows is None else sa.and_(found, permit.rows)
    rows = tx.execute(sa.select(table.c.id, *(table.c[name] for name in names)).where(found))
    words = search.wanted(query.search)
    return bulk.among(tx, table.c.id, [row[0] for row in rows if search.matches(words, row[1:])])


def _token(record: Mapping[str, Any], name: str) -> str:
    text = json.dumps([to_plain(None, record[name]), record["id"]], ensure_ascii=False, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _mark(entity: Entity, query: Query, token: str | None) -> Mark | None:
    if not token:
        return None
    try:
        value, tie = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        name = query.sort.lstrip("-")
        return Mark(_stored(entity.schema[name].type, value), int(tie))
    except (ValueError, TypeError, ArithmeticError):
        raise BadFilter(msg("The address of this page is damaged. Start from the first page.")) from None


def _stored(kind: FieldType, value: Any) -> Any:
    if value is None:
        return None
    readers: dict[FieldType, Callable[[str], Any]] = {
        FieldType.DECIMAL: Decimal,
        FieldType.DATE: date.fromisoformat,
        FieldType.DATETIME: datetime.fromisoformat,
    }
    return readers[kind](value) if kind in readers else value
