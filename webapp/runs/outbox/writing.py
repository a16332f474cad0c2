"""Deliveries of one run at their target: looked up, decided about once more, and written.

A record that has been sent before without an answer is found as it should be, so nothing is written twice where the
target can be asked.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl
import sqlalchemy as sa

from connectors.errors import ConnectorError, Fenced, RecordRejected
from connectors.spi import Connector, Fence, WriteResult
from rules.documents.defaults import actions
from rules.documents.sync import Action, Side, SyncRule
from rules.reconcile.one_way import PARTNER, Batch, TargetField, decide, key_text, key_values
from rules.reconcile.situations import Outcome, Situation
from rules.schema import Change, Op, Schema
from rules.text import Message, msg
from webapp.runs.outbox import states
from webapp.runs.pipeline.codec import from_texts
from webapp.runs.pipeline.one_way_chunk import OUTCOME_OF, groups
from webapp.runs.pipeline.sides import Sides
from webapp.runs.pipeline.unreadable import Bad, found_by_halves

Row = sa.Row[Any]


class NotTaken(Exception):
    """The target was asked for its records and has answered, but did not take what was written."""

    def __init__(self, error: ConnectorError) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass
class Result:
    """What became of a delivery: what it came to, or why it was refused (`problem`)."""

    row: Row
    did: str = "unchanged"
    linked: bool | None = True
    """Whether the record has a link afterwards; None leaves that as it was."""
    complete: bool = True
    """Whether the target holds all that the rule says; if not, the next run has something left to say."""
    problem: Message | None = None
    at: str | None = None
    refused: bool = True
    answer: list[Any] = field(default_factory=list)


@dataclass(frozen=True)
class Receiver:
    """Where deliveries of one run go: the connector, the rule, the fields of the object, the fence of the batch."""

    connector: Connector
    rule: SyncRule
    schema: Schema
    fence: Fence
    guard: Callable[[], None]
    """Called right before something is written; raises `Fenced` where another deliverer has taken over."""
    unmade: frozenset[int] = frozenset()
    """The deliveries whose records an earlier one was to make, which has failed or was dropped."""

    @staticmethod
    def target_of(rule: SyncRule) -> Side:
        """Return the side that a rule writes."""
        return Sides.of(rule).target

    @property
    def sides(self) -> Sides:
        """Return which side is written."""
        return Sides.of(self.rule)

    def write(self, rows: Sequence[Row]) -> list[Result]:
        """Write deliveries of different keys; raises `ConnectorError` where nothing can be said of them one by one."""
        return _Batch(self, rows).written()


class _Batch:
    def __init__(self, to: Receiver, rows: Sequence[Row]) -> None:
        self.to, self.rows = to, rows
        self.results = [Result(row) for row in rows]
        self.key = to.sides.target_key
        self.blind = to.connector.spec.capabilities.messages
        told = [json.loads(row.fields or "{}") for row in rows]
        used = {name for fields in told for name in fields} | {self.key}
        self.schema = to.schema.select(tuple(name for name in to.schema.names if name in used))
        self._check(told)
        mapped, errors = from_texts([json.dumps(self._known(fields)) for fields in told], self.schema)
        for number, (name, problem) in errors.items():
            self._refuse(number, problem, name)
        own = key_values(pl.Series([row.target_key for row in rows], dtype=pl.String), self.schema[self.key].dtype)
        self.mapped = mapped.with_columns(own.alias(self.key)).select(self.schema.names)
        self.applies = {name: pl.Series([name in fields for fields in told]) for name in self.schema.names}
        self.applies[self.key] = pl.repeat(value=True, n=len(rows), eager=True)

    def written(self) -> list[Result]:
        """Write what there is to be written and return what became of each."""
        for result in self.results:
            if result.row.op == states.Op.UNLINK:
                result.did, result.linked = "unlinked", False
            elif result.row.op == states.Op.LINK:
                result.did = "linked"
        changes = [part for part in (self._as_told() if self.blind else self._decided()) if part[1]]
        if changes:
            self.to.guard()
            name = self.to.sides.target.object
            try:
                fence = replace(self.to.fence, chunk=self.rows[0].id)  # each write is one of its own to the target
                done = self.to.connector.write(name, self.schema, [change for change, _ in changes], fence)
                self.to.connector.finish(name)
            except Fenced:
                raise
            except ConnectorError as error:
                raise NotTaken(error) from error
            self._take(done, [numbers for _, numbers in changes])
        return self.results

    def _check(self, told: Sequence[Mapping[str, Any]]) -> None:
        for number, fields in enumerate(told):
            lost = next((name for name in fields if name not in self.schema), None)
            if lost is not None:
                text = msg("{object} has no field '{field}' any more.", object=self.to.sides.target.object, field=lost)
                self._refuse(number, text, lost)

    def _known(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in fields.items() if name in self.schema}

    def _refuse(self, number: int, problem: Message, name: str | None = None) -> None:
        result = self.results[number]
        result.problem, result.at = result.problem or problem, result.at or name

    def _open(self, *ops: states.Op) -> list[int]:
        return [number for number, r in enumerate(self.results) if r.problem is None and r.row.op in ops]

    def _as_told(self) -> Iterator[tuple[Change, list[int]]]:
        """Yield what is sent to a target that holds messages: nobody can ask it anything."""
        for op, kind, did in (
            (states.Op.CREATE, Op.CREATE, "created"),
            (states.Op.UPDATE, Op.UPDATE, "updated"),
        ):
            yield from self._split(kind, self._open(op), self.schema.names, did)
        yield self._deletes(self._open(states.Op.DELETE))

    def _decided(self) -> Iterator[tuple[Change, list[int]]]:
        """Yield what the target does not hold yet."""
        puts, gone = self._open(states.Op.CREATE, states.Op.UPDATE), self._open(states.Op.DELETE)
        if not puts and not gone:
            return
        partners = self._partners([*puts, *gone])
        there = set(partners[PARTNER])
        yield self._deletes([number for number in gone if f"k:{self.rows[number].target_key}" in there])
        puts = [number for number in puts if self.results[number].problem is None]
        if puts:
            yield from self._puts(puts, partners)

    def _partners(self, numbers: list[int]) -> pl.DataFrame:
        """Return the records that the target holds; those that cannot be read are refused."""
        name, key = self.to.sides.target.object, self.key
        values = self.mapped[key][numbers].drop_nulls().unique().alias(key)
        bad: Bad = {}
        found = found_by_halves(lambda part: self.to.connector.lookup(name, self.schema, key, part), values, bad, "k:")
        for number in numbers:
            error: RecordRejected | None = bad.get(f"k:{self.rows[number].target_key}")
            if error is not None:
                text = msg("Its partner in {object} cannot be read: {problem}", object=name, problem=error.message)
                self._refuse(number, text, error.field)
        frame = pl.concat([self.schema.empty(), *found])
        return frame.with_columns(("k:" + key_text(frame[key])).alias(PARTNER))

    def _puts(self, numbers: list[int], partners: pl.DataFrame) -> Iterator[tuple[Change, list[int]]]:
        found = self._decide(numbers, partners)
        creating, updating = [], list[tuple[int, tuple[str, ...]]]()
        for number, (situation, action, changed) in zip(numbers, found.iter_rows(), strict=True):
            outcome, result = OUTCOME_OF.get(action, Outcome.SKIPPED), self.results[number]
            if action == Action.CASE:
                text = msg("The rule wants a person to decide about this record ({situation}).", situation=situation)
                self._refuse(number, text)
            elif outcome is Outcome.CREATED:
                creating += [number] if result.row.whole else []
                result.linked = True if result.row.whole else None
            elif outcome is Outcome.UPDATED:
                updating += [(number, tuple(changed))] if changed else []
            elif situation != Situation.LINKED_UNCHANGED:
                result.linked = {Action.LINK.value: True, Action.IGNORE.value: None}.get(action, False)
        yield from self._creates(creating)
        for names in sorted({names for _, names in updating}):
            mine = [number for number, changed in updating if changed == names]
            yield from self._split(Op.UPDATE, mine, names, "updated")

    def _decide(self, numbers: list[int], partners: pl.DataFrame) -> pl.DataFrame:
        """Return situation, action and differing fields of each record, now that the target can be asked."""
        rows = [self.rows[number] for number in numbers]
        partner = pl.Series([f"k:{row.target_key}" for row in rows])
        again = pl.Series([row.attempts > 0 for row in rows])  # what was sent before may be there by now: it is ours
        update = pl.Series([row.op == states.Op.UPDATE and row.id not in self.to.unmade for row in rows])
        linked = update | (again & partner.is_in(partners[PARTNER].implode()))
        every = pl.repeat(value=True, n=len(rows), eager=True)
        applies = {name: mask[numbers] for name, mask in self.applies.items()}
        batch = Batch(every, every, linked, partner, self.mapped[numbers], applies, partners)
        return decide(batch, list(self._fields().values()), self._actions()).found

    def _creates(self, numbers: list[int]) -> Iterator[tuple[Change, list[int]]]:
        fields = self._fields()
        names = [name for name in self.schema.names if name not in fields or fields[name].on_create]
        for number in numbers:
            held_back = [n for n in fields if self.applies[n][number] and not fields[n].on_create]
            self.results[number].complete = not held_back
        yield from self._split(Op.CREATE, numbers, names, "created")

    def _split(self, op: Op, numbers: list[int], names: Sequence[str], did: str) -> Iterator[tuple[Change, list[int]]]:
        """Yield changes whose records set the same fields."""
        if not numbers:
            return
        sets = pl.DataFrame({name: self.applies[name][numbers] for name in names if name != self.key})
        rows = pl.Series(numbers, dtype=pl.UInt32)
        signature = sets.with_columns(row=rows) if sets.width else None
        for applies, part in groups(pl.Series(range(len(numbers)), dtype=pl.UInt32), signature):
            wanted = [self.key, *(name for name in names if name != self.key and applies.get(name, True))]
            mine = part.to_list() if signature is not None else numbers
            for number in mine:
                self.results[number].did = did
            yield Change(op, self.key, self.mapped.select(wanted)[mine]), mine

    def _deletes(self, numbers: list[int]) -> tuple[Change, list[int]]:
        for number in self._open(states.Op.DELETE):
            self.results[number].linked = False
        for number in numbers:
            self.results[number].did = "deleted"
        return Change(Op.DELETE, self.key, self.mapped.select(self.key)[numbers]), numbers

    def _take(self, done: WriteResult, numbers: list[list[int]]) -> None:
        for failure in done.failures:
            self._refuse(numbers[failure.change][failure.row], failure.message, failure.field)
        for warning in done.warnings:
            self.results[numbers[warning.change][warning.row]].answer.append(warning.message.to_json())

    def _fields(self) -> dict[str, TargetField]:
        """Return how each field is written; what is not mapped (the mark of what is gone) only in an update."""
        known = {field.name: field for field in self.to.sides.target_fields(self.to.rule, self.schema.names)}
        others = [name for name in self.schema.names if name not in known and name != self.key]
        return known | {name: TargetField(name, on_create=False) for name in others}

    def _actions(self) -> dict[str, str]:
        return self.to.sides.seen_from_source({name: a.value for name, a in actions(self.to.rule).items()})
