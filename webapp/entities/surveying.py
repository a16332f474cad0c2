"""How many of the records that exist meet validations: all of them, page by page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import polars as pl
import sqlalchemy as sa

from rules.documents.validation import Reference
from rules.schema import Schema
from rules.validations import Claims, Compiled, Memory, Tally, Validator, Verdicts
from webapp.entities import frames, storage
from webapp.entities.model import Entity
from webapp.entities.validating import Stored

PAGE = 20_000


def pages(tx: sa.Connection, entity: Entity, schema: Schema) -> Iterator[pl.DataFrame]:
    """Yield all records by id, with the fields of `schema` (the id among them)."""
    table = storage.table(tx, entity)
    columns = [table.c[name] for name in schema.names]
    last = 0
    while True:
        query = sa.select(*columns).where(table.c.id > last).order_by(table.c.id).limit(PAGE)
        page = frames.from_rows(schema, tx.execute(query).all())
        if page.is_empty():
            return
        yield page
        last = int(page["id"][-1])


@dataclass
class Survey:
    """Asks validations of pages of stored records, and counts; `failing` holds the first ids of those that fail.

    Each validation is asked by itself: the records are there, whatever else is wrong with them.
    """

    tx: sa.Connection
    entity: Entity
    schema: Schema
    items: Sequence[Compiled]
    listed: int
    tallies: dict[str, Tally] = field(default_factory=dict)
    failing: dict[str, list[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._validators = [Validator((item,), self.schema) for item in self.items]
        self._memory = Memory()
        self._stored = Stored(self.tx, self.entity)

    def ask(self, page: pl.DataFrame) -> None:
        """Count the records of a page."""
        keys = page["id"].cast(pl.String)
        for validator in self._validators:
            self._note(page, validator.check(page, self, keys=keys))

    def _note(self, page: pl.DataFrame, verdicts: Verdicts) -> None:
        self._memory.remember(verdicts.marks)
        for name, tally in verdicts.tallies.items():
            before = self.tallies.get(name, Tally(0, 0))
            self.tallies[name] = Tally(before.asked + tally.asked, before.met + tally.met)
        for verdict in verdicts.failures:
            shown = self.failing.setdefault(verdict.validation.name, [])
            if len(shown) < self.listed:
                shown.append(int(page["id"][verdict.row]))

    def held(self, asked: Claims) -> pl.Series:
        """Return for each claim the id of the record further up that has the values."""
        return self._memory.held(asked)

    def exists(self, reference: Reference, values: pl.Series) -> pl.Series:
        """Return a mask of the values that a record of the other entity has."""
        return self._stored.exists(reference, values)


def survey(tx: sa.Connection, entity: Entity, schema: Schema, items: Sequence[Compiled], listed: int) -> Survey:
    """Return what validations over the fields of `schema` say of all records."""
    found = Survey(tx, entity, schema, items, listed)
    if items:
        for page in pages(tx, entity, schema):
            found.ask(page)
    return found
