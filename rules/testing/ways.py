"""The directions of a sync rule as its tests see them: a record of one side goes in, one for the other comes out."""

from __future__ import annotations

from collections.abc import Mapping as Map
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import polars as pl

from rules.documents.example import TO_LEFT, TO_RIGHT, Ending
from rules.documents.flows import flows, seen_from
from rules.documents.sync import Direction, SideName, SyncRule
from rules.documents.validation import OnFailure
from rules.language.library import Library
from rules.mapping import Mapping, compile_mapping
from rules.reconcile.agreement import flows_away_from
from rules.schema import Schema
from rules.testing.alone import Alone
from rules.testing.coverage import Reach
from rules.testing.results import Coverage
from rules.text import Message, msg
from rules.trace import FieldTrace, RecordTrace, RecordTracer, complete, read_fields
from rules.trace.validations import trace_validations
from rules.validations import Compiled, Validator, Verdict, compile_validations

_BLOCKS = {OnFailure.REJECT: Ending.REJECTED, OnFailure.QUARANTINE: Ending.QUARANTINED}
_OTHER = {SideName.LEFT: SideName.RIGHT, SideName.RIGHT: SideName.LEFT}
_NAMES = {SideName.RIGHT: TO_RIGHT, SideName.LEFT: TO_LEFT}


@dataclass(frozen=True)
class Came:
    """What became of a test's record."""

    ending: Ending
    reason: Message | None
    fields: dict[str, FieldTrace]

    @property
    def values(self) -> dict[str, Any]:
        """Return target field -> value of what would be written."""
        return {name: field.value for name, field in self.fields.items() if field.applies and field.error is None}


class End:
    """One side of a rule: what it gives, what its records have to meet, and what tests have shown of it."""

    def __init__(self, rule: SyncRule, side: SideName, schemas: Map[SideName, Schema], library: Library) -> None:
        plain = seen_from(rule, side)
        self.rule, self.schema = plain, schemas[side]
        mapping = compile_mapping(plain, schemas[SideName.LEFT], schemas[SideName.RIGHT], library)
        self.gives = bool(mapping.steps)
        self.mapping: Mapping = mapping if self.gives else replace(mapping, scope=None)
        self.checks: tuple[Compiled, ...] = compile_validations(plain.validations, mapping.source, library)
        self.tracer = RecordTracer(self.mapping, self.schema, library, self.checks)
        self.reach = Reach(self.mapping, self.checks, side)
        self._validator = Validator(self.checks, mapping.source)

    def verdict(self, batch: pl.DataFrame) -> Verdict | None:
        """Return what keeps a record (a batch of one, with the outputs of decisions) from going on."""
        return self._validator.check(batch, Alone()).blocking.get(0) if self.checks else None


class Way:
    """One direction of a rule, for one record at a time; `at` is the moment for which decision tables are asked."""

    def __init__(self, own: End, other: End | None, target: Schema, at: datetime) -> None:
        self._own, self._other, self._at = own, other, at
        self.source, self.target = own.schema, target

    def came(self, given: pl.DataFrame) -> Came:
        """Return what becomes of a record (a batch of one with all fields of the source)."""
        trace = self._own.tracer.trace(given, self._at)
        self._own.reach.add(trace)
        fields = {field.name: field for field in trace.fields}
        if trace.where_error is not None:
            return Came(Ending.QUARANTINED, trace.where_error, {})
        if not trace.in_scope:
            return Came(Ending.OUT_OF_SCOPE, None, {})
        if trace.undecided is not None:
            return Came(Ending.QUARANTINED, trace.undecided.error, fields)
        verdict = self._own.verdict(self._own.mapping.ask(given, self._at).batch)
        if verdict is None and trace.failed is None:
            verdict = self._written(Came(Ending.MAPPED, None, fields).values)
        if verdict is not None:
            return Came(_BLOCKS[verdict.severity], verdict.reason, fields)
        return Came(Ending.MAPPED if trace.failed is None else Ending.QUARANTINED, _why(trace), fields)

    def _written(self, values: Map[str, Any]) -> Verdict | None:
        """Return what keeps a record with these values from being written."""
        if self._other is None or not self._other.checks:
            return None
        end = self._other
        made = pl.DataFrame({n: pl.Series([v], dtype=end.schema[n].dtype) for n, v in values.items()})
        batch = end.mapping.ask(complete(made, end.schema), self._at).batch
        end.reach.asked(trace_validations(end.checks, batch, end.tracer.step))
        return end.verdict(batch)

    @property
    def read(self) -> tuple[str, ...]:
        """Return the fields of the source that the rule reads."""
        asked = (name for question in self._own.mapping.questions for name in question.fields)
        return read_fields(self._own.rule, self.source, asked)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the target fields that the rule writes."""
        return self._own.mapping.names


class Ways:
    """All directions of a rule as it is executed, by their names in tests; raises `DocumentError`."""

    def __init__(self, rule: SyncRule, schemas: Map[SideName, Schema], library: Library, at: datetime) -> None:
        both = rule.direction is Direction.TWO_WAY
        sides = tuple(SideName) if both else (flows(rule)[0].source,)
        self._ends = {side: End(rule, side, schemas, library) for side in sides}
        away = flows_away_from(rule) or SideName.LEFT
        self.default = _NAMES[_OTHER[away]]
        self._library = library
        self.all = {
            _NAMES[_OTHER[side]]: Way(end, self._ends.get(_OTHER[side]), schemas[_OTHER[side]], at)
            for side, end in self._ends.items()
            if end.gives or side is away
        }

    def coverage(self) -> Coverage:
        """Return what the tests show of all directions."""
        found = [end.reach.coverage(self._library).points for end in self._ends.values()]
        return Coverage(tuple(point for points in found for point in points))


def _why(trace: RecordTrace) -> Message | None:
    failed = trace.failed
    if failed is None or failed.error is None:
        return None
    return msg("{field}: {reason}", field=failed.name, reason=failed.error)
