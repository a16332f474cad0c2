"""The versions that are compared: a sync rule, or a decision table inside a rule or by itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import polars as pl

from rules.decisions import CompiledTable
from rules.decisions.asking import compile_decisions
from rules.documents.flows import Entry, flows, object_name
from rules.documents.sync import FieldMap, SideName, SyncRule
from rules.language import RowError
from rules.language.library import Library
from rules.mapping import Mapping, compile_mapping
from rules.schema import Schema
from rules.testing.alone import Alone
from rules.testing.replay import Came, Fate
from rules.text import Message, msg
from rules.trace import complete, named_fields
from rules.validations import Validator, compile_validations


class NotStored(ValueError):
    """A version needs fields whose values were not kept; `fields` says which, `part` what needs them."""

    def __init__(self, part: Message, fields: Sequence[str]) -> None:
        super().__init__(f"{part}: {', '.join(fields)}")
        self.part = part
        self.fields = tuple(fields)


@dataclass(frozen=True)
class Fields:
    """The fields of both sides in the order of the document, and those of the source whose values were kept."""

    left: Schema
    right: Schema
    stored: frozenset[str]


def reduced(rule: SyncRule, fields: Fields) -> tuple[SyncRule, tuple[str, ...]]:
    """Return a rule without the target fields that need values which were not kept, and their names.

    Raises `NotStored` where the condition of the rule itself needs such a value.
    """
    flow = flows(rule)[0]
    source = fields.left if flow.source is SideName.LEFT else fields.right
    missing = frozenset(source.names) - fields.stored
    side = rule.left if flow.source is SideName.LEFT else rule.right
    _refuse(msg("The condition"), named_fields(side.where or "", source) & missing)
    for decision in rule.decisions:
        used = {name for text in (decision.inputs or {}).values() for name in named_fields(text, source)}
        _refuse(msg("The decision '{name}'", name=decision.prefix), used & missing)
    needs = {entry.path: _read(entry, source) & missing for entry in flow.entries}
    out = {entry.path: entry.target for entry in flow.entries if needs[entry.path]}
    kept = tuple(part for number, part in enumerate(rule.fields) if f"fields/{number}" not in out)
    checks = tuple(v for v in rule.validations if not _checked(v.check, v.when, source) & missing)
    if not kept:
        _refuse(msg("Every field of the rule"), frozenset().union(*needs.values()))
    return replace(rule, fields=kept, validations=checks), tuple(out.values())


def without(rule: SyncRule, targets: Iterable[str]) -> SyncRule:
    """Return a rule that does not write some fields, so that it can be compared with one that cannot."""
    side = flows(rule)[0].target.value
    left_out = frozenset(targets)
    kept: tuple[FieldMap, ...] = tuple(part for part in rule.fields if getattr(part, side) not in left_out)
    return replace(rule, fields=kept or rule.fields)


def _refuse(part: Message, fields: frozenset[str] | set[str]) -> None:
    if fields:
        raise NotStored(part, sorted(fields))


def _read(entry: Entry, source: Schema) -> frozenset[str]:
    copied = frozenset({entry.source} if entry.source and entry.expression is None else ())
    return copied | named_fields(entry.expression or "", source) | named_fields(entry.when or "", source)


def _checked(check: str | None, when: str | None, source: Schema) -> frozenset[str]:
    return named_fields(check or "", source) | named_fields(when or "", source)


class SyncVersion:
    """A version of a sync rule; raises `DocumentError` where it does not fit the fields."""

    def __init__(self, rule: SyncRule, fields: Fields, library: Library) -> None:
        source = flows(rule)[0].source
        self.source = fields.left if source is SideName.LEFT else fields.right
        self.key = getattr(rule.key, source.value)
        self._mapping: Mapping = compile_mapping(rule, fields.left, fields.right, library)
        for question in self._mapping.questions:
            missing = question.fields & (frozenset(self.source.names) - fields.stored)
            _refuse(msg("The decision '{name}'", name=question.prefix), missing)
        checks = compile_validations(rule.validations, self._mapping.source, library)
        self._validator = Validator(checks, self._mapping.source) if checks else None

    def come(self, batch: pl.DataFrame, at: datetime) -> Came:
        """Return what becomes of the records of a batch that has the kept fields."""
        whole = complete(batch, self.source)
        in_scope, unclear = self._mapping.where(whole)
        reasons = {error.row: error.message for error in unclear}
        asked = self._mapping.ask(whole, at)
        scope = {row for row, inside in enumerate(in_scope) if inside}
        for row, message in self._refusals(asked.batch, in_scope, asked.errors):
            if row in scope:
                reasons.setdefault(row, message)
        mapped = self._mapping.apply(asked.batch)
        for failure in mapped.errors:
            if failure.row in scope:
                reasons.setdefault(failure.row, msg("{field}: {reason}", field=failure.field, reason=failure.message))
        refused = pl.repeat(value=False, n=batch.height, eager=True).scatter(list(reasons), values=True)
        fates = pl.select(
            pl.when(refused)
            .then(pl.lit(Fate.REFUSED.value))
            .when(in_scope)
            .then(pl.lit(Fate.MADE.value))
            .otherwise(pl.lit(Fate.OUT.value))
        ).to_series()
        return Came(fates, mapped.records, reasons, mapped.applies)

    def _refusals(
        self, batch: pl.DataFrame, in_scope: pl.Series, undecided: Sequence[tuple[str, RowError]]
    ) -> Iterator[tuple[int, Message]]:
        for _prefix, error in undecided:
            yield error.row, error.message
        if self._validator is not None:
            verdicts = self._validator.check(batch, Alone(), in_scope)
            yield from ((row, verdict.reason) for row, verdict in verdicts.blocking.items())


class AskedVersion:
    """A version of a decision table as a rule asks it; what is compared are its outputs."""

    def __init__(self, table: str, rule: SyncRule, fields: Fields, library: Library) -> None:
        source = flows(rule)[0].source
        self.source = fields.left if source is SideName.LEFT else fields.right
        self.key = getattr(rule.key, source.value)
        name = object_name(rule, source)
        self._questions, _schema = compile_decisions(rule.decisions, self.source, library, name)
        self._mine = [q for q in self._questions if q.table.table.name == table]
        for question in self._questions:
            missing = question.fields & (frozenset(self.source.names) - fields.stored)
            _refuse(msg("The decision '{name}'", name=question.prefix), missing)

    def come(self, batch: pl.DataFrame, at: datetime) -> Came:
        """Return what the table says about the records of a batch."""
        whole, reasons = complete(batch, self.source), dict[int, Message]()
        for question in self._questions:
            answer = question.ask(whole, at)
            whole = answer.batch
            reasons |= {error.row: error.message for error in answer.errors} if question in self._mine else {}
        outputs = [field.name for question in self._mine for field in question.outputs]
        return Came(_made(batch.height, reasons), whole.select(outputs), reasons)


class TableVersion:
    """A version of a decision table by itself."""

    def __init__(self, compiled: CompiledTable) -> None:
        self._compiled = compiled

    def come(self, batch: pl.DataFrame, at: datetime) -> Came:
        """Return what the table says about the records of a batch; fields that it has not are empty."""
        record = self._compiled.parts.front.record
        decided = self._compiled.evaluate(complete(batch, record), self._compiled.table.day(at))
        reasons = {error.row: error.message for error in decided.errors}
        return Came(_made(batch.height, reasons), decided.outputs, reasons)


def _made(height: int, refused: dict[int, Message]) -> pl.Series:
    fates = [Fate.REFUSED.value if row in refused else Fate.MADE.value for row in range(height)]
    return pl.Series(fates, dtype=pl.String)
