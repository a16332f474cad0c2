"""Guards and changed fields: what stops a run before it does too much, or works on fields it was not made for."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

import polars as pl
import sqlalchemy as sa

from rules.documents.policies import Drift, GuardAction, Metric
from rules.documents.sync import Direction, SideName, SyncRule
from rules.reconcile.drift import drifted
from rules.reconcile.guards import blanked, tripped
from rules.reconcile.situations import Outcome
from rules.schema import Op, Schema
from rules.text import Message
from webapp.extensions import House
from webapp.runs.models import run
from webapp.runs.pipeline import inputs
from webapp.runs.pipeline.chunk import Chunk, counts
from webapp.runs.pipeline.journal import Claim, Journal, Suspended

Tell = Callable[[str, Message], None]


class Limits:
    """The guards of one run; `total` is what shares refer to (the linked records), `tell` notes what they say."""

    def __init__(self, rule: SyncRule, total: int, tell: Tell) -> None:
        self.rule, self.total, self.tell = rule, total, tell
        self._blanked = 0
        self._told: set[int] = set()

    def passed(self, chunk: Chunk, done: Mapping[str, int]) -> Message | None:
        """Return why a run has to stop before it writes a chunk, None if it may go on; `done` are its counts so far."""
        if not self.rule.guards:
            return None
        return self._passed(self._with(chunk, done), done["read"] + chunk.read)

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


def heed_drift(house: House, journal: Journal, rule: SyncRule, schemas: Mapping[SideName, Schema]) -> None:
    """Stop a run where fields have changed in a way that its rule does not want to work with; raises `Suspended`."""
    claim = journal.claim
    if claim.kind != "sync" or claim.chunks:
        return
    told: list[tuple[str, Message]] = []
    with house.db.read() as tx:
        stop = changed_fields(tx, claim, rule, schemas, lambda level, text: told.append((level, text)))
    for level, text in told:
        journal.log(level, text)
    if stop is not None:
        raise Suspended(stop)


def changed_fields(
    tx: sa.Connection, claim: Claim, rule: SyncRule, schemas: Mapping[SideName, Schema], tell: Tell
) -> Message | None:
    """Tell which fields have changed since the last run of this version; return why the run has to stop, if so."""
    before = _last(tx, claim, reverse=rule.direction is Direction.RIGHT_TO_LEFT)
    if before is None or before == schemas:
        return None
    found = drifted(rule, before, schemas)
    for one in found:
        if one.do is not Drift.IGNORE:
            tell("warning" if one.do is Drift.SUSPEND else "info", one.message)
    return next((one.message for one in found if one.do is Drift.SUSPEND), None)


def _last(tx: sa.Connection, claim: Claim, *, reverse: bool) -> dict[SideName, Schema] | None:
    """Return the fields of both sides as the last run of the same version has noted them."""
    mine = (run.c.rule_id == claim.rule_id, run.c.id < claim.run_id, run.c.kind == "sync", run.c.schemas.is_not(None))
    version = tx.scalar(sa.select(run.c.rule_version).where(run.c.id == claim.run_id))
    if version is None:
        return None
    query = sa.select(run.c.schemas, run.c.chunks).where(*mine, run.c.rule_version == version)
    row = tx.execute(query.order_by(run.c.id.desc()).limit(1)).one_or_none()
    found = inputs.schemas_of(row.schemas, row.chunks) if row is not None and row.schemas else None
    if found is None:
        return None
    order = (SideName.LEFT, SideName.RIGHT)
    return dict(zip(order[::-1] if reverse else order, found, strict=True))
