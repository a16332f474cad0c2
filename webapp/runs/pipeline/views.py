"""A two-way rule seen from each of its sides: that side is read, the other one is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import polars as pl

from connectors.spi import Connector
from rules.documents.flows import seen_from
from rules.documents.sync import SideName, SyncRule
from rules.language.library import EMPTY, Library
from rules.mapping import Mapping as FieldMapping
from rules.mapping import compile_mapping
from rules.mapping.results import FieldError
from rules.reconcile.baseline import row_hash
from rules.reconcile.merge import MergeField
from rules.schema import Schema
from rules.trace import read_fields
from webapp.runs.pipeline.planning import Planner
from webapp.runs.pipeline.sides import OTHER


@dataclass(frozen=True)
class View:
    """One side of a two-way rule; `planner` reads it and writes the other one, `used` are the fields that matter."""

    name: str
    rule: SyncRule
    planner: Planner
    used: tuple[str, ...]

    @property
    def key(self) -> str:
        """Return the key field of the side."""
        return self.planner.sides.source_key

    @property
    def schema(self) -> Schema:
        """Return the fields of the side."""
        return self.planner.source_schema

    @property
    def object(self) -> str:
        """Return the object of the side."""
        return self.planner.sides.source.object

    @property
    def mapping(self) -> FieldMapping:
        """Return what the side gives to the other one."""
        return self.planner.mapping

    def hashes(self, records: pl.DataFrame) -> pl.Series:
        """Return a hash of what matters of each record."""
        linked = self.mapping.referred(records)
        return row_hash(records.with_columns(linked), (*self.used, *(column.name for column in linked)))

    def gives(
        self, records: pl.DataFrame, fields: tuple[MergeField, ...]
    ) -> tuple[pl.DataFrame, Mapping[str, pl.Series], tuple[FieldError, ...]]:
        """Return by field pair what records give to the other side, where they leave it alone, and what fails."""
        mapped = self.mapping.apply(self.mapping.ask(records, self.planner.at).batch)
        targets = {field.name: self.writes(field) for field in fields}
        columns = dict(self.given(records, mapped.records, fields))
        applies = {name: mapped.applies[target] for name, target in targets.items() if target in mapped.applies}
        return pl.DataFrame(columns), applies, mapped.errors

    def given(
        self, records: pl.DataFrame, mapped: pl.DataFrame, fields: tuple[MergeField, ...]
    ) -> Iterator[tuple[str, pl.Series]]:
        """Yield by field pair what records give to the other side; the target of a field that flows one way itself."""
        for field in fields:
            target = self.writes(field)
            if target in mapped.columns:
                yield field.name, mapped[target]
            elif field.guarded and (own := self.holds(field)) is not None:
                yield field.name, records[own]

    def holds(self, field: MergeField) -> str | None:
        """Return the field of this side that a field pair writes when the other side changes."""
        return field.left if self.name == "left" else field.right

    def writes(self, field: MergeField) -> str | None:
        """Return the field of the other side that a field pair writes when this side changes."""
        return field.right if self.name == "left" else field.left


def views(
    rule: SyncRule, schemas: Mapping[str, Schema], systems: Mapping[str, Connector], library: Library = EMPTY
) -> dict[str, View]:
    """Return both views of a two-way rule; `systems` are the connectors of its sides."""
    return {name: _view(name, rule, schemas, systems, library) for name in OTHER}


def one_way(rule: SyncRule, side: str) -> SyncRule:
    """Return the rule as if it only flowed away from a side, with the decisions and validations about its records."""
    return seen_from(rule, SideName(side))


def _view(
    name: str, rule: SyncRule, schemas: Mapping[str, Schema], systems: Mapping[str, Connector], library: Library
) -> View:
    plain, other = one_way(rule, name), OTHER[name]
    mapping = compile_mapping(plain, schemas["left"], schemas["right"], library)
    planner = Planner(plain, mapping, systems[other], (schemas[name], schemas[other]))
    planner.target_schema = schemas[other]
    asked = tuple(field for question in mapping.questions for field in question.fields)
    read = set(read_fields(plain, schemas[name], asked))
    read |= set(_written(rule, name))
    read.discard(planner.sides.source_key)
    return View(name, rule, planner, tuple(n for n in schemas[name].names if n in read))


def _written(rule: SyncRule, side: str) -> Iterator[str]:
    """Yield the fields of a side that its pairs name."""
    for pair in rule.fields:
        name = getattr(pair, side)
        if name is not None:
            yield name
