"""Both sides of a rule as a comparison sees them: the first one is read and mapped, its partners are looked up."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

import polars as pl

from connectors.spi import Connector
from rules.documents.sync import Direction, SideName, SyncRule
from rules.mapping import Mapping as FieldMapping
from rules.mapping import compile_mapping
from rules.reconcile.one_way import key_text, key_values
from rules.schema import Schema
from webapp.runs.pipeline.limits import complete
from webapp.runs.pipeline.links import Links
from webapp.runs.pipeline.meeting import linked
from webapp.runs.pipeline.pairs import APART, Pairs
from webapp.runs.pipeline.planning import Planner
from webapp.runs.pipeline.retry import Retry
from webapp.runs.pipeline.sides import Sides
from webapp.runs.pipeline.systems import Systems
from webapp.runs.pipeline.views import views

_AGAINST = {
    Direction.LEFT_TO_RIGHT: Direction.RIGHT_TO_LEFT,
    Direction.RIGHT_TO_LEFT: Direction.LEFT_TO_RIGHT,
}


@dataclass(frozen=True)
class End:
    """One side; `planner` maps what it gives to the other one (None: it gives nothing), `scope` knows its `where`."""

    name: str
    object: str
    key: str
    schema: Schema
    connector: Connector
    planner: Planner | None
    scope: FieldMapping | None

    def lookup(self, texts: pl.Series, retry: Retry) -> pl.DataFrame:
        """Return the record of each key, a row a key, nulls where there is none; one of several with the same key."""
        values = key_values(texts.drop_nulls().unique(), self.schema[self.key].dtype).drop_nulls().alias(self.key)
        found = self.schema.empty()
        if not values.is_empty():
            found = retry(lambda: self.connector.lookup(self.object, self.schema, self.key, values))
        found = found.select(self.schema.names).with_columns(__text=key_text(found[self.key]))
        one_each = found.unique("__text", keep="first", maintain_order=True)
        asked = pl.DataFrame({"__text": texts})
        return asked.join(one_each, on="__text", how="left", maintain_order="left").drop("__text")


class Book(Protocol):
    """What is known of links."""

    def partners(self, keys: pl.Series) -> tuple[pl.Series, pl.Series]:
        """Return the partner of each record of the first side (or null), and which of them are to stay alone."""

    def known(self, keys: pl.Series) -> tuple[pl.Series, pl.Series]:
        """Return which records of the second side have a link, and which of them are to stay alone."""


class OneWayBook:
    """The links of a rule that flows one way."""

    def __init__(self, links: Links) -> None:
        self._links = links

    def partners(self, keys: pl.Series) -> tuple[pl.Series, pl.Series]:
        """Return partners; no record is set apart here."""
        return self._links.find(keys), _none(keys)

    def known(self, keys: pl.Series) -> tuple[pl.Series, pl.Series]:
        """Return what is linked."""
        return self._links.taken(keys).fill_null(value=False), _none(keys)


class TwoWayBook:
    """The pairs of a two-way rule."""

    def __init__(self, pairs: Pairs) -> None:
        self._pairs = pairs

    def partners(self, keys: pl.Series) -> tuple[pl.Series, pl.Series]:
        """Return partners, also those of links that sleep."""
        known = self._pairs.find("left", keys)
        return known["partner"].set(~linked(known), None), _apart(known)

    def known(self, keys: pl.Series) -> tuple[pl.Series, pl.Series]:
        """Return what is linked, and what stays alone."""
        known = self._pairs.find("right", keys)
        return linked(known), _apart(known)


def _none(keys: pl.Series) -> pl.Series:
    return pl.repeat(value=False, n=keys.len(), dtype=pl.Boolean, eager=True)


def _apart(known: pl.DataFrame) -> pl.Series:
    return known["op"].eq_missing(pl.Series([APART])) & known["partner"].is_null()


def opened(stack: contextlib.ExitStack, rule: SyncRule, systems: Systems, at: datetime) -> tuple[End, End]:
    """Return the first and the second side of a rule; their connections close with the stack."""
    parts = {"left": rule.left, "right": rule.right}
    schemas = {name: systems.schema(part.connection, part.object) for name, part in parts.items()}
    connectors = {name: stack.enter_context(systems.connect(part.connection)) for name, part in parts.items()}
    complete(rule, {SideName(name): schema for name, schema in schemas.items()})
    if rule.direction is Direction.TWO_WAY:
        both = views(rule, schemas, connectors, systems.library)
        ends = tuple(
            End(name, view.object, view.key, view.schema, connectors[name], view.planner, view.mapping)
            for name, view in both.items()
        )
    else:
        ends = _one_way(rule, systems, schemas, connectors)
    for end in ends:
        if end.planner is not None:
            end.planner.at = at
    return ends[0], ends[1]


def _one_way(
    rule: SyncRule, systems: Systems, schemas: Mapping[str, Schema], connectors: Mapping[str, Connector]
) -> tuple[End, End]:
    sides = Sides.of(rule)
    first, second = ("right", "left") if sides.reverse else ("left", "right")
    mapping = compile_mapping(rule, schemas["left"], schemas["right"], systems.library)
    planner = Planner(rule, mapping, connectors[second], (schemas[first], schemas[second]))
    scope = None
    if sides.target.where is not None:
        against = replace(rule, direction=_AGAINST[rule.direction], fields=(), decisions=(), validations=())
        scope = compile_mapping(against, schemas["left"], schemas["right"], systems.library)
    return (
        End(first, sides.source.object, sides.source_key, schemas[first], connectors[first], planner, mapping),
        End(second, sides.target.object, sides.target_key, schemas[second], connectors[second], None, scope),
    )
