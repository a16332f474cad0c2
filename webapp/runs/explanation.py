"""Why a run did what it did to one record: its rule executed once more on the values it had read, as a story to tell.

Expressions have no clock and no chance in them, so the same version on the same values comes to the same end; that it
did is checked against what the run stored (`proofs`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any

import polars as pl
import sqlalchemy as sa

import webapp.runs.pipeline.referencing  # noqa: F401 - rules ask it through the library
from rules.documents import DocumentError, actions, parse_sync
from rules.documents.flows import seen_from
from rules.documents.sync import Direction, SideName, SyncRule
from rules.language.library import Library
from rules.mapping import Mapping as FieldMapping
from rules.mapping import compile_mapping
from rules.reconcile.agreement import executed
from rules.reconcile.situations import Outcome, Situation
from rules.schema import Schema
from rules.text import N_, Message, msg
from rules.trace import DecisionTrace, RecordTrace, RecordTracer, complete
from rules.validations import compile_validations
from webapp.extensions import House
from webapp.rulebook.library import library, version_numbers
from webapp.runs import reading, unsent
from webapp.runs.explanation_pairs import PairStory, Story
from webapp.runs.explanation_untold import OLDER, untold, untold_pair
from webapp.runs.models import run, run_chunk, run_record
from webapp.runs.pipeline import inputs, made, pair_inputs
from webapp.runs.pipeline.codec import column_text, to_texts
from webapp.runs.pipeline.sides import OTHER, Sides
from webapp.runs.reading import RunRow
from webapp.runs.sight_explanation import shown_explanation

_MOST = 20


class NotExplained(Exception):
    """A record cannot be explained; `message` says why and what to do."""

    def __init__(self, message: Message) -> None:
        super().__init__(str(message))
        self.message = message


@dataclass(frozen=True)
class Result:
    """What the run stored of a record: what was found, what was done, and why not where it was parked."""

    record_no: int
    left_key: str | None
    right_key: str | None
    situation: str | None
    action: str | None
    outcome: str
    stage: str | None
    field: str | None
    reason: Message | None
    place: str | None
    before: dict[str, Any]
    after: dict[str, Any]
    raw: str | None
    side: str
    own_before: dict[str, Any]
    own_after: dict[str, Any]

    @property
    def gone(self) -> bool:
        """Tell whether it is the record itself that is gone, not its partner."""
        return self.situation == f"deleted_{self.side}"

    def to_json(self) -> dict[str, Any]:
        """Return the result as plain data."""
        return {**vars(self), "reason": None if self.reason is None else str(self.reason)}


@dataclass(frozen=True)
class Proof:
    """One comparison of what was worked out again with what the run stored."""

    claim: Message
    holds: bool

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as plain data."""
        return {"claim": str(self.claim), "holds": self.holds}


@dataclass(frozen=True)
class Explanation:
    """The whole story of one record; `untold` says why there is no `trace`.

    `others` are records with the same key, `versions` the versions of the tables that the run asked.
    """

    run: RunRow
    rule: SyncRule
    result: Result
    trace: RecordTrace | None
    untold: Message | None = None
    proofs: tuple[Proof, ...] = ()
    others: tuple[int, ...] = ()
    versions: Mapping[str, int] = field(default_factory=dict)
    story: Story | None = None
    """Two-way: what the partner gave, and how each field was decided."""

    @property
    def names(self) -> dict[str, str]:
        """Return what people call the two sides."""
        left, right = self.rule.left, self.rule.right
        if left.connection == right.connection:
            return {"left": left.object, "right": right.object}
        return {"left": left.connection, "right": right.connection}

    @cached_property
    def sides(self) -> Sides:
        """Return which side was read and which was written."""
        return Sides.of(self.rule)

    @property
    def decisions(self) -> tuple[DecisionTrace, ...]:
        """Return what decision tables said."""
        return () if self.trace is None else self.trace.decisions

    @property
    def proven(self) -> bool:
        """Tell whether working it out again came to what the run stored."""
        return all(proof.holds for proof in self.proofs)

    def to_json(self) -> dict[str, Any]:
        """Return the explanation as plain data."""
        source, target = self.sides.source, self.sides.target
        return {
            "run": self.run.id,
            "rule": self.run.rule_name,
            "version": self.run.rule_version,
            "mode": self.run.mode,
            "source": {"connection": source.connection, "object": source.object},
            "target": {"connection": target.connection, "object": target.object},
            "result": self.result.to_json(),
            "trace": None if self.trace is None else self.trace.to_json(),
            "untold": None if self.untold is None else str(self.untold),
            "proofs": [proof.to_json() for proof in self.proofs],
            "proven": self.proven,
            "partner": None if self.story is None or self.story.partner is None else self.story.partner.to_json(),
            "fields": [] if self.story is None else [told.to_json(self.names) for told in self.story.fields],
            "others": list(self.others),
            "tables": {
                told.table: self.versions.get(told.table) for told in (self.trace.decisions if self.trace else ())
            },
        }


def explain(house: House, run_id: int, *, key: str | None = None, record_no: int | None = None) -> Explanation:
    """Return why a run did what it did to a record, named by its key on either side or by its number in the run.

    It tells what who asks may see. Raises `RunMissing`, and `NotExplained` where the run has no such record for them.
    """
    told = _explanation(house, run_id, key, record_no)
    with house.db.read() as tx:
        seen = shown_explanation(tx, told)
    if seen is None or key not in (None, seen.result.left_key, seen.result.right_key):
        raise NotExplained(_no_record(key or str(record_no), told.run))
    return seen


def _explanation(house: House, run_id: int, key: str | None, record_no: int | None) -> Explanation:
    with house.db.read() as tx:
        row = reading.get(tx, run_id)
        numbers = [record_no] if record_no is not None else list(_numbers(tx, run_id, key or ""))
        if numbers:
            return _explained(house, tx, row, numbers[0], tuple(numbers[1:]))
        rule, left_out = parse_sync(reading.document(tx, run_id)), unsent.count_unsent(tx, row)
    told = _of_unsent(house, row, rule, key or "", left_out) if left_out else None
    if told is None:
        raise NotExplained(_no_record(key or "", row))
    return told


def _of_unsent(house: House, row: RunRow, rule: SyncRule, key: str, left_out: int) -> Explanation | None:
    """Return why a record that the source itself has left out does not meet the condition, as its values are now."""
    outcome, situation = unsent.SKIPPED
    action = actions(rule)[situation].value
    for tracer, record in unsent.found_now(house, row, rule, key):
        trace = tracer.trace(record, row.requested_at)
        if not trace.in_scope:
            side = Sides.of(rule).source_name
            result = Result(
                0, key, None, situation, action, outcome, None, None, None, None, {}, {}, None, side, {}, {}
            )
            return Explanation(row, rule, result, trace, unsent.sentence(left_out))
    return None


def _no_record(key: str, row: RunRow) -> Message:
    if row.active:
        return msg("The run has met no record with the key '{key}' so far.", key=key)
    text = N_("The run has met no record with the key '{key}'. Keys are compared exactly, on both sides.")
    return msg(text, key=key)


def _explained(house: House, tx: sa.Connection, row: RunRow, number: int, others: tuple[int, ...]) -> Explanation:
    columns = (run.c.document, run.c.schemas, run.c.uses, run.c.requested_at, run.c.kind, run.c.parameters)
    stored = tx.execute(sa.select(*columns).where(run.c.id == row.id)).one()
    rule = executed(parse_sync(stored.document))
    if rule.direction is Direction.TWO_WAY:
        return _explained_pair(house, tx, row, (stored, rule), (number, *others))
    found = inputs.of_record(tx, row.id, number)
    result = _result(tx, row.id, number, None if found is None else found[0], rule)
    if found is None:
        return Explanation(row, rule, result, None, untold(result, rule), (), others)
    schemas = inputs.schemas_of(stored.schemas, found[0])
    if schemas is None:
        return Explanation(row, rule, result, None, OLDER, (), others)
    again = Again(rule, schemas, library(house, stored.uses, tx), version_numbers(tx, stored.uses), stored.requested_at)
    return again.explain(Explanation(row, rule, result, None, None, (), others), found[1])


def _explained_pair(
    house: House, tx: sa.Connection, row: RunRow, executing: tuple[Any, SyncRule], numbers: tuple[int, ...]
) -> Explanation:
    """Return why a run that works on both sides did what it did to a record that it had read on one of them."""
    (stored, rule), (number, *others) = executing, numbers
    found = pair_inputs.of_record(tx, row.id, number)
    result = _result(tx, row.id, number, None if found is None else found.chunk, rule)
    told = Explanation(row, seen_from(rule, SideName(result.side)), result, None, None, (), tuple(others))
    schemas = None if found is None else inputs.schemas_of(stored.schemas, found.chunk)
    if found is None or schemas is None:
        return replace(told, untold=untold_pair(result, rule))
    tables, versions = library(house, stored.uses, tx), version_numbers(tx, stored.uses)
    seen = schemas if result.side == "left" else schemas[::-1]
    told = Again(told.rule, seen, tables, versions, stored.requested_at, both=True).explain(told, found.record)
    if told.trace is None:
        return told
    wins = (stored.parameters or {}).get("differing") if stored.kind == "rebaseline" else None
    sides = dict(zip(OTHER, schemas, strict=True))
    pairs = PairStory(rule, sides, tables, stored.requested_at, wins if wins in OTHER else None)
    story = pairs.tell(result.side, found)
    return replace(told, story=story, proofs=(*told.proofs, *_pair_proofs(result, pairs, story)))


def _pair_proofs(result: Result, pairs: PairStory, story: Story) -> Iterator[Proof]:
    if story.fields and result.outcome == Outcome.UPDATED and result.situation in _MERGED:
        stored = {OTHER[result.side]: result.after, result.side: result.own_after}
        same = all(pairs.again(story, side) == after for side, after in stored.items())
        yield Proof(msg("Each field is decided again as the run stored it, on both sides."), same)


_MERGED = (Situation.LINKED_CHANGED, Situation.LINKED_CONFLICT, Situation.UNLINKED)


@dataclass(frozen=True)
class Again:
    """What a record is worked out with once more: the rule, the fields and tables as the run had them, its moment."""

    rule: SyncRule
    schemas: tuple[Schema, Schema]
    library: Library
    versions: dict[str, int]
    at: datetime
    both: bool = False
    """The rule works on both sides, so a record may end as it did because of its partner."""

    def explain(self, told: Explanation, record: pl.DataFrame) -> Explanation:
        """Return the explanation with the trace of the record and what it proves."""
        ordered = self.schemas[::-1] if told.sides.reverse else self.schemas
        try:
            mapping = compile_mapping(self.rule, *ordered, self.library)
            checks = compile_validations(self.rule.validations, mapping.source, self.library)
        except DocumentError as error:
            text = N_("The rule of this run cannot be read by this version of Syncline: {problem}")
            return replace(told, untold=msg(text, problem=error.problems[0].message))
        trace = RecordTracer(mapping, self.schemas[0], self.library, checks).trace(record, self.at)
        batch = mapping.ask(complete(record, self.schemas[0]), self.at).batch
        proofs = tuple(_proofs(told.result, trace, mapping, batch, both=self.both))
        return replace(told, trace=trace, proofs=proofs, versions=self.versions)


def _proofs(
    result: Result, trace: RecordTrace, mapping: FieldMapping, batch: pl.DataFrame, *, both: bool
) -> Iterator[Proof]:
    if result.stage == "scope":
        same = trace.where_error is not None and _same(trace.where_error, result.reason)
        if same or not both:
            yield Proof(msg("The condition fails again, for the reason that the run stored."), same)
        return
    was_in = result.situation != Situation.OUT_OF_SCOPE
    if result.situation is not None and (was_in or not both or not trace.in_scope):
        yield Proof(msg("The condition comes to the same answer that the run stored."), trace.in_scope is was_in)
    if result.stage in _STAGES:
        yield from (proof for proof in _STAGES[result.stage](result, trace) if proof.holds or not both)
    elif result.after and result.outcome in (_MADE if both else _WRITTEN):
        again = json.loads(to_texts(mapping.apply(batch).records.select(list(result.after)))[0])
        yield Proof(msg("The values come out as the run stored them."), again == result.after)
    elif trace.in_scope and result.outcome == Outcome.UNCHANGED:
        yield Proof(msg("The values come out without an error, as in the run."), trace.failed is None)


def _unmapped(result: Result, trace: RecordTrace) -> Iterator[Proof]:
    failed = trace.failed
    same = failed is not None and failed.name == result.field and _same(failed.error, result.reason)
    yield Proof(msg("The same field fails again, for the reason that the run stored."), same)


def _waited(_result: Result, trace: RecordTrace) -> Iterator[Proof]:
    still = any(field.link is not None and field.error is not None for field in trace.fields)
    text = N_("It still waits for the record.") if still else N_("The record that it waited for is linked by now.")
    yield Proof(msg(text), holds=True)


def _invalid(_result: Result, trace: RecordTrace) -> Iterator[Proof]:
    met = [told.met for told in trace.validations if told.asked]
    yield Proof(msg("A validation is not met, as in the run."), not all(met) or None in met)


def _undecided(result: Result, trace: RecordTrace) -> Iterator[Proof]:
    same = trace.undecided is not None and _same(trace.undecided.error, result.reason)
    yield Proof(msg("The same decision fails again, for the reason that the run stored."), same)


_STAGES: Mapping[str | None, Callable[[Result, RecordTrace], Iterator[Proof]]] = {
    "map": _unmapped,
    "reference": _waited,
    "validate": _invalid,
    "decide": _undecided,
}
_MADE = (Outcome.CREATED,)
_WRITTEN = (Outcome.CREATED, Outcome.UPDATED, Outcome.QUARANTINED)


def _same(message: Message | None, stored: Message | None) -> bool:
    return message is not None and stored is not None and message.to_json() == stored.to_json()


def _result(tx: sa.Connection, run_id: int, number: int, chunk: int | None, rule: SyncRule) -> Result:
    for outcomes in _outcomes(tx, run_id, chunk):
        found = outcomes.filter(pl.col("record_no") == number)
        if not found.is_empty():
            return _read(found.row(0, named=True), rule)
    raise NotExplained(msg("The run has no record {number}.", number=number))


def _read(row: dict[str, Any], rule: SyncRule) -> Result:
    reason = json.loads(row["reason"]) if row["reason"] else None
    told_of = ("before", "after", "own_before", "own_after")
    changes = {name: json.loads(row[name]) if row[name] else {} for name in told_of}
    action = actions(rule).get(row["situation"]) if row["situation"] else None
    names = ("record_no", "left_key", "right_key", "situation", "outcome", "stage", "field", "place", "raw")
    told = None if reason is None else Message.from_json(reason)
    values: dict[str, Any] = {"action": action.value if action else None, "reason": told, "side": row["side"] or "left"}
    return Result(**{n: row[n] for n in names}, **changes, **values)


def _outcomes(tx: sa.Connection, run_id: int, chunk: int | None) -> Iterator[pl.DataFrame]:
    if chunk is None:
        yield from reading.outcomes(tx, run_id)
        return
    mine = (run_chunk.c.run_id == run_id, run_chunk.c.no == chunk, run_chunk.c.state == "done")
    blob = tx.scalar(sa.select(run_chunk.c.outcomes).where(*mine))
    if blob is not None:
        yield made.outcomes(blob)


def _numbers(tx: sa.Connection, run_id: int, key: str) -> Iterator[int]:
    """Yield the numbers of the records with a key: those that have rows first, then all others."""
    known = column_text(key)
    either = sa.or_(run_record.c.left_key == known, run_record.c.right_key == known)
    query = sa.select(run_record.c.record_no).where(run_record.c.run_id == run_id, either, run_record.c.record_no > 0)
    rows = list(tx.scalars(query.order_by(run_record.c.record_no).limit(_MOST)))
    if rows and not reading.unlisted(reading.get(tx, run_id).counts):
        yield from rows
        return
    found = 0
    for outcomes in reading.outcomes(tx, run_id):
        mine = outcomes.filter((pl.col("left_key") == key) | (pl.col("right_key") == key))["record_no"].drop_nulls()
        yield from mine.head(_MOST - found)
        found += len(mine)
        if found >= _MOST:
            return
