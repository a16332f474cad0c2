"""Guards and changed fields: what stops a run before it does too much, or works on fields it was not made for."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import polars as pl
import sqlalchemy as sa

from rules.documents.policies import Drift, GuardAction, Metric
from rules.documents.problems import DocumentError
from rules.documents.sync import Direction, SideName, SyncRule
from rules.language.problems import ExpressionError
from rules.reconcile.drift import Drifted, DriftKind, drifted, lacking
from rules.reconcile.guards import blanked, tripped
from rules.reconcile.situations import Outcome
from rules.schema import Op, Schema
from rules.text import N_, Message, msg
from webapp.extensions import House
from webapp.runs.models import run
from webapp.runs.pipeline.chunk import Chunk, counts
from webapp.runs.pipeline.journal import Claim, Journal, Suspended

_UNFIT = N_(
    "The rule does not fit any more: {problem} The run has stopped. Undo what has changed and resume the run, or "
    "change the rule, publish it and start it anew."
)
Tell = Callable[[str, Message], None]


class Limits:
    """The guards of one run; `total` is what shares refer to (the linked records), `tell` notes what they say."""

    def __init__(self, rule: SyncRule, total: int, tell: Tell) -> None:
        self.rule, self.total, self.tell = rule, total, tell
        self._blanked = 0
        self._told: set[int] = set()
        self.share: Callable[[Mapping[str, int], int], tuple[Mapping[str, int], int]] | None = None
        """Adds what other slices of the run come to, to what is counted and to the number of records read."""

    def passed(self, chunk: Chunk, done: Mapping[str, int]) -> Message | None:
        """Return why a run has to stop before it writes a chunk, None if it may go on; `done` are its counts so far."""
        if not self.rule.guards:
            return None
        numbers, read = self._with(chunk, done), done["read"] + chunk.read
        return self._passed(*((numbers, read) if self.share is None else self.share(numbers, read)))

    def deleting(self, number: int) -> Message | None:
        """Return why a run has to stop before it deletes so many records, None if it may go on."""
        return self._passed({Metric.DELETES.value: number}, 0)

    def _passed(self, numbers: Mapping[str, int], read: int) -> Message | None:
        stop = None
        for found in tripped(self.rule.guards, numbers, self.total, read):
            if found.number not in self._told:
                self._told.add(found.number)
                self.tell("warning", found.message)
            if found.guard.do is GuardAction.SUSPEND and stop is None:
                stop = found.message
        return stop

    def _with(self, chunk: Chunk, done: Mapping[str, int]) -> dict[str, int]:
        now = counts(chunk)
        if any(guard.metric is Metric.BLANKED for guard in self.rule.guards):
            self._blanked += _blanked(chunk)
        deletes = sum(w.change.records.height for w in chunk.writes if w.change.op is Op.DELETE)
        return {
            Metric.CREATES.value: done[Outcome.CREATED] + now[Outcome.CREATED],
            Metric.UPDATES.value: done[Outcome.UPDATED] + now[Outcome.UPDATED],
            Metric.DELETES.value: done[Outcome.DELETED] + deletes,
            Metric.CONFLICTS.value: done[Outcome.CASES] + now[Outcome.CASES],
            Metric.REJECTS.value: done[Outcome.QUARANTINED] + now[Outcome.QUARANTINED],
            Metric.BLANKED.value: self._blanked,
        }


def _blanked(chunk: Chunk) -> int:
    """Count the values that a chunk empties."""
    pairs = (("before", "after"), ("own_before", "own_after"))
    both = (chunk.outcomes.select(names).drop_nulls() for names in pairs)
    return sum(blanked(*(_values(texts[:, place]) for place in (0, 1))) for texts in both if not texts.is_empty())


def _values(texts: pl.Series) -> pl.DataFrame:
    """Return the values of JSON objects as texts, a column a field; null where an object does not name it."""
    rows = [{name: None if v is None else str(v) for name, v in json.loads(text).items()} for text in texts]
    return pl.DataFrame(rows, schema={name: pl.String() for row in rows for name in row})


@contextlib.contextmanager
def heeding_drift(house: House, journal: Journal, rule: SyncRule, schemas: Mapping[SideName, Schema]) -> Iterator[None]:
    """Stop a run where fields have changed so that its rule does not want, or is not able, to work with them.

    Within the block the rule is compiled. Raises `Suspended`.
    """
    with house.db.read() as tx:
        found = changed_fields(tx, journal.claim, rule, schemas)
    told = [("warning" if d.do is Drift.SUSPEND else "info", d.message) for d in found if d.do is not Drift.IGNORE]
    for level, text in told:
        journal.log(level, text)
    stop = _stopping(found)
    if stop is not None:
        raise Suspended(stop)
    with fitting(tuple(one.what for one in found if one.kind is DriftKind.TYPE_CHANGE)):
        complete(rule, schemas)
        yield


@contextlib.contextmanager
def fitting(changed: tuple[Message, ...] = ()) -> Iterator[None]:
    """Stop a run whose rule does not fit what it finds; `changed` is known to have changed. Raises `Suspended`."""
    try:
        yield
    except (DocumentError, ExpressionError) as error:
        why = msg(_UNFIT, problem=error.problems[0].message)
        raise Suspended(msg("{changed} {why}", changed=changed[0], why=why) if changed else why) from None


def complete(rule: SyncRule, schemas: Mapping[SideName, Schema]) -> None:
    """See that the fields are there that a rule cannot do without; raises `DocumentError`."""
    if problems := lacking(rule, schemas):
        raise DocumentError(problems)


def lost_fields(tx: sa.Connection, claim: Claim, rule: SyncRule, schemas: Mapping[SideName, Schema]) -> Message | None:
    """Return why a run at work has to stop: what it uses is gone since it has noted the fields; None: all is there."""
    noted = tx.scalar(sa.select(run.c.schemas).where(run.c.id == claim.run_id))
    found = changed_fields(tx, replace(claim, schemas=noted), rule, schemas)
    return _stopping(found)


def _stopping(found: Iterable[Drifted]) -> Message | None:
    return next((one.message for one in found if one.do is Drift.SUSPEND), None)


def changed_fields(
    tx: sa.Connection, claim: Claim, rule: SyncRule, schemas: Mapping[SideName, Schema]
) -> tuple[Drifted, ...]:
    """Return which fields have changed since the run has noted them, or since the last run of its version has."""
    noted = claim.schemas if claim.kind == "sync" and claim.schemas else _last(tx, claim)
    if not noted:
        return ()
    found = (Schema.from_json(noted[-1]["source"]), Schema.from_json(noted[-1]["target"]))
    order = (SideName.RIGHT, SideName.LEFT) if rule.direction is Direction.RIGHT_TO_LEFT else tuple(SideName)
    before = dict(zip(order, found, strict=True))
    return () if before == schemas else drifted(rule, before, schemas)


def _last(tx: sa.Connection, claim: Claim) -> Any:
    """Return the fields as the last run of the same version has noted them."""
    mine = (run.c.rule_id == claim.rule_id, run.c.id < claim.run_id, run.c.kind == "sync", run.c.schemas.is_not(None))
    version = tx.scalar(sa.select(run.c.rule_version).where(run.c.id == claim.run_id))
    if version is None:
        return None
    query = sa.select(run.c.schemas).where(*mine, run.c.rule_version == version)
    return tx.scalar(query.order_by(run.c.id.desc()).limit(1))
