"""What undoing a run would do now, without doing it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl
import sqlalchemy as sa

from connectors.errors import ConnectorError
from connectors.spi import WriteResult
from rules.documents import DocumentError, parse_sync
from rules.reconcile.agreement import executed
from rules.reconcile.situations import UNDONE, Outcome
from rules.text import Message
from webapp.connections.opening import open_connector
from webapp.connections.probing import object_schema
from webapp.extensions import House
from webapp.rulebook.library import library
from webapp.runs.models import run
from webapp.runs.pipeline.chunk import OUTCOMES
from webapp.runs.pipeline.compensation import CHANGES, Compensation
from webapp.runs.pipeline.ends import Run
from webapp.runs.pipeline.opening import living, opened
from webapp.runs.pipeline.systems import Systems
from webapp.runs.pipeline.undoing import changed_chunks, changes
from webapp.runs.pipeline.writing import settled
from webapp.runs.reading import RunRow, in_a_line
from webapp.runs.sagas.reading import not_undone
from webapp.runs.sight import sight_of_run
from webapp.runs.sight_records import Shown

LOOKED_AT = 10_000
"""So many records of a run are looked up for a preview; an undo looks at all of them."""
SHOWN = 50


class NotPreviewed(Exception):
    """A system could not be asked; `message` says why."""

    def __init__(self, message: Message) -> None:
        super().__init__(str(message))
        self.message = message


@dataclass(frozen=True)
class Sample:
    """One record of a preview."""

    key: str | None
    outcome: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    reason: Message | None
    field: str | None

    @property
    def line(self) -> str:
        """Return what tells the record from others, in one line."""
        return in_a_line(self.after or self.before, self.key)

    def to_json(self) -> dict[str, Any]:
        """Return the published JSON form."""
        told = {"key": self.key, "outcome": self.outcome, "before": dict(self.before), "after": dict(self.after)}
        return {**told, "field": self.field, "reason": str(self.reason) if self.reason else None}


@dataclass
class Preview:
    """How many records would be restored and how many stay; `stays` and `undone` hold the first of them."""

    records: int
    looked_at: int = 0
    deleted: int = 0
    updated: int = 0
    created: int = 0
    left_alone: int = 0
    partly: int = 0
    stays: list[Sample] = field(default_factory=list)
    undone: list[Sample] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Tell whether all records were looked at."""
        return self.looked_at >= self.records

    def to_json(self) -> dict[str, Any]:
        """Return the published JSON form."""
        names = ("records", "looked_at", "deleted", "updated", "created", "left_alone", "partly", "complete")
        lists = {name: [sample.to_json() for sample in getattr(self, name)] for name in ("stays", "undone")}
        return {**{name: getattr(self, name) for name in names}, **lists}


def preview(house: House, row: RunRow) -> Preview:
    """Return what undoing a run would do now, with samples as far as who asks may see them; raises `NotPreviewed`."""
    found = Preview(sum(row.counts[name] for name in CHANGES))
    with house.db.read() as tx:
        kept = tx.execute(sa.select(run.c.document, run.c.uses).where(run.c.id == row.id)).one()
        numbers = changed_chunks(tx, row.id)
    systems = Systems(
        lambda name: open_connector(house, name),
        lambda name, thing: object_schema(house, name, thing),
        library(house, kept.uses),
    )
    try:
        rule = executed(parse_sync(kept.document))
        if (hindrance := not_undone(kept.document, row.id)) is not None:
            raise NotPreviewed(hindrance)
        with contextlib.ExitStack() as stack:
            ends = opened(stack, house, rule, Run(row.rule_id, kept.document, kept.uses), living(systems, rule))
            for number in numbers:
                if found.looked_at >= LOOKED_AT:
                    break
                with house.db.read() as tx:
                    done = changes(tx, row.id, number)
                chunk = settled(Compensation(ends, done.tail(LOOKED_AT - found.looked_at)).chunk(1, 1), WriteResult())
                with house.db.read() as tx:
                    _take(found, chunk.outcomes, _Samples(Shown(tx, sight_of_run(tx, row.id), row.id)))
    except ConnectorError as error:
        with house.db.read() as tx:
            raise NotPreviewed(sight_of_run(tx, row.id).message(error.message)) from error
    except DocumentError as error:
        raise NotPreviewed(error.problems[0].message) from error
    return found


class _Samples:
    """Makes samples of outcomes, of those that who asks may see."""

    def __init__(self, shown: Shown) -> None:
        self._shown = shown

    def add(self, samples: list[Sample], row: Mapping[str, Any]) -> None:
        """Add a sample to the first ones."""
        if len(samples) >= SHOWN:
            return
        seen: Mapping[str, Any] | None = row
        if not self._shown.sight.everything:
            seen = next(self._shown.outcomes(pl.DataFrame([row], schema=OUTCOMES)), None)
        if seen is not None:
            samples.append(_sample(seen))


def _take(found: Preview, outcomes: pl.DataFrame, samples: _Samples) -> None:
    """Add the outcomes of one chunk; a record that would be deleted has a second row without a number."""
    for row in outcomes.iter_rows(named=True):
        outcome = row["outcome"]
        if row["record_no"] is None:
            found.deleted += 1
            samples.add(found.undone, row)
            continue
        found.looked_at += 1
        undone = row["situation"] == UNDONE
        found.left_alone += not undone
        found.partly += undone and row["reason"] is not None
        found.updated += outcome == Outcome.UPDATED
        found.created += outcome == Outcome.CREATED
        if outcome != Outcome.SKIPPED:
            samples.add(found.undone, row)
        if row["reason"] is not None:
            samples.add(found.stays, row)


def _sample(row: Mapping[str, Any]) -> Sample:
    before, after = ({**_plain(row[name]), **_plain(row[f"own_{name}"])} for name in ("before", "after"))
    reason = Message.from_json(json.loads(row["reason"])) if row["reason"] else None
    key = row["left_key"] if row["left_key"] is not None else row["right_key"]
    return Sample(key, row["outcome"], before, after, reason, row["field"])


def _plain(text: str | None) -> dict[str, Any]:
    return json.loads(text) if text else {}
