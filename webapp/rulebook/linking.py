"""The links of sync rules, as fields that refer to their records ask them; the room of runs knows what is linked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from typing import Any, Protocol

import polars as pl
import sqlalchemy as sa

from rules.mapping.references import LinkEnd, LinkTable, Standing
from rules.schema import Field, Schema
from webapp.connections.models import connection, connection_object
from webapp.rulebook.models import rule, rule_version

Connect = Callable[[], AbstractContextManager[sa.Connection]]
Document = Mapping[str, Any]
SIDES = ("left", "right")


class Links(Protocol):
    """What is linked by one rule; keys are texts of `rules.reconcile.one_way.key_text`."""

    def partners(self, side: str, keys: pl.Series) -> pl.Series:
        """Return the linked key of the other side for each key of a side, null where there is none."""

    def standing(self, side: str, keys: Sequence[str]) -> Mapping[str, Standing]:
        """Return why keys of a side have no link; what is not named has never had one."""


linked: list[Callable[[Connect, int, Document], Links]] = []
"""Id and document of a rule -> its links; the first entry is asked."""


class Shelf(Mapping[str, LinkTable]):
    """The link tables of sync rules by name; each rule's links are read when they are first asked."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._taken: dict[str, LinkTable] = {}

    @cached_property
    def _rules(self) -> dict[str, tuple[int, Document]]:
        """Return id and document of each sync rule: what is published, or else the draft."""
        version = sa.and_(rule_version.c.rule_id == rule.c.id, rule_version.c.version == rule.c.published_version)
        columns = (rule.c.id, rule.c.name, rule_version.c.document, rule.c.draft)
        query = sa.select(*columns).select_from(rule).outerjoin(rule_version, version)
        with self._connect() as tx:
            rows = tx.execute(query.where(rule.c.kind == "sync")).all()
        return {row.name: (row.id, row.document or row.draft or {}) for row in rows}

    def __getitem__(self, name: str) -> LinkTable:
        if name not in self._taken:
            self._taken[name] = _Table(self._connect, *self._rules[name])
        return self._taken[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rules)

    def __len__(self) -> int:
        return len(self._rules)


class _Table:
    """The links of one rule, with where they lie."""

    def __init__(self, connect: Connect, rule_id: int, document: Document) -> None:
        self._connect, self._rule_id, self._document = connect, rule_id, document

    @cached_property
    def ends(self) -> Mapping[str, LinkEnd]:
        """Return both sides by name."""
        with self._connect() as tx:
            return {side: _end(tx, self._document, side) for side in SIDES}

    @cached_property
    def _links(self) -> Links:
        return linked[0](self._connect, self._rule_id, self._document)

    def partners(self, side: str, keys: pl.Series) -> pl.Series:
        """Return the linked key of the other side for each key of a side, null where there is none."""
        return self._links.partners(side, keys)

    def standing(self, side: str, keys: Sequence[str]) -> Mapping[str, Standing]:
        """Return why keys of a side have no link; what is not named has never had one."""
        return self._links.standing(side, keys)


def _end(tx: sa.Connection, document: Document, side: str) -> LinkEnd:
    """Return where a rule's records of a side are; a key whose type nobody has seen yet is taken for text."""
    part, keys = document.get(side) or {}, document.get("key") or {}
    place, name = (str(part.get("connection")), str(part.get("object"))), str(keys.get(side))
    schemas = sa.select(connection_object.c.schema).join(connection)
    known = tx.scalar(schemas.where(connection.c.name == place[0], connection_object.c.name == place[1]))
    schema = Schema.from_json(known) if known else Schema(())
    return LinkEnd(*place, schema[name] if name in schema else Field(name))
