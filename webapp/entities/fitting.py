"""Do the values that are stored fit a changed field? Reads the column in pages and tells how many do not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
import sqlalchemy as sa

from webapp.entities import references, validation
from webapp.entities.model import NUMBER_KINDS, Entity, EntityField, Kind
from webapp.entities.refusals import refused_rows
from webapp.entities.values import BadValue, from_text, to_text

PAGE = 5000
EXAMPLES = 5


@dataclass(frozen=True)
class Fit:
    """How many values there are, how many do not fit, and the first records that hold one which does not."""

    total: int
    failing: int
    examples: tuple[int, ...]


@dataclass(frozen=True)
class Converted:
    """A page of ids, their values in the new form (None where there is none), and the ids whose value was lost."""

    ids: list[int]
    values: list[Any]
    lost: list[int]


def fit(tx: sa.Connection, table: sa.Table, old: EntityField, new: EntityField) -> Fit:
    """Return how the stored values of `old` fit `new`."""
    total, lost = 0, 0
    examples: list[int] = []
    for page in converted(tx, table, old, new):
        total += len(page.ids)
        lost += len(page.lost)
        examples += page.lost[: EXAMPLES - len(examples)]
    return Fit(total, lost, tuple(examples))


def converted(tx: sa.Connection, table: sa.Table, old: EntityField, new: EntityField) -> Iterator[Converted]:
    """Yield the values of `old` (which `table` has under that name) as values of `new`."""
    names = [f.name for f in old.fields]
    last = None
    while True:
        query = sa.select(table.c.id, *(table.c[n] for n in names)).where(table.c[old.name].is_not(None))
        rows = tx.execute(
            (query.where(table.c.id > last) if last is not None else query).order_by(table.c.id).limit(PAGE)
        ).all()
        if not rows:
            return
        last = rows[-1][0]
        yield _page(tx, old, new, rows)


def _page(tx: sa.Connection, old: EntityField, new: EntityField, rows: Sequence[Sequence[Any]]) -> Converted:
    ids = [row[0] for row in rows]
    known: dict[Any, Any] = {}
    values = [_value(old, new, row[1], known) for row in rows]
    frame = pl.DataFrame([pl.Series(new.name, values, dtype=new.fields[0].dtype), *_currencies(old, new, rows)])
    checked, refusals = validation.checked(Entity("conversion", fields=(new,)), frame, frame.columns)
    refusals += references.violations(tx, Entity("conversion", fields=(new,)), checked, [new.name])
    bad = refused_rows(refusals) | {i for i, value in enumerate(values) if value is None} | _foreign(old, new, rows)
    result = checked[new.name].to_list()
    return Converted(ids, [None if i in bad else v for i, v in enumerate(result)], [ids[i] for i in sorted(bad)])


def _value(old: EntityField, new: EntityField, value: Any, known: dict[Any, Any]) -> Any:
    if old.kind is new.kind and new.kind not in NUMBER_KINDS:
        return value
    if value not in known:
        try:
            known[value] = from_text(new, to_text(old, value))
        except BadValue:
            known[value] = None
    return known[value]


def _currencies(old: EntityField, new: EntityField, rows: Sequence[Sequence[Any]]) -> list[pl.Series]:
    if new.kind is not Kind.MONEY:
        return []
    given = [row[2] for row in rows] if old.kind is Kind.MONEY else [None] * len(rows)
    return [pl.Series(new.currency_name, given, dtype=pl.String)]


def _foreign(old: EntityField, new: EntityField, rows: Sequence[Sequence[Any]]) -> set[int]:
    """Return the rows whose amount is in another currency than the one that shall hold for all."""
    if not (old.kind is new.kind is Kind.MONEY and new.currency):
        return set()
    return {i for i, row in enumerate(rows) if row[2] not in (None, new.currency)}
