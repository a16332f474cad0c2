"""What is known of runs: the list, one run, its log, its records, as pages, API and command line show them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import polars as pl
import sqlalchemy as sa

from rules.reconcile.situations import MOVED, REFUSED, REJECTED
from rules.text import Message, msg
from webapp.policies.masks import DOTS
from webapp.runs.models import run, run_chunk, run_log, run_record
from webapp.runs.pipeline import made
from webapp.runs.pipeline.chunk import add_counts
from webapp.runs.pipeline.codec import column_text, columns_of, reason_of
from webapp.runs.pipeline.journal import LISTED
from webapp.runs.sight import Sights, sight_of_run
from webapp.runs.sight_records import Shown, filled

ACTIVE = ("queued", "running")
_ASKED = frozenset({"where", "range", "records"})
"""Parameters of a run that may quote values of records."""
LEFT_ALONE = (REJECTED, MOVED, REFUSED)
SUMMARY = 120
STATES = ("queued", "running", "succeeded", "failed", "suspended", "cancelled")


class RunMissing(Exception):
    """There is no such run."""

    def __init__(self, run_id: int) -> None:
        self.message = msg("There is no run {run}.", run=run_id)
        super().__init__(str(self.message))


@dataclass(frozen=True)
class RunRow:
    """A run as people see it."""

    id: int
    rule_id: int
    rule_name: str
    rule_version: int | None
    mode: str
    kind: str
    state: str
    message: Message | None
    counts: dict[str, int]
    chunks: int
    expected: int | None
    requested_by: str
    requested_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    worker: str | None
    attempts: int
    cancel_requested: bool
    pause_by: str | None
    parameters: dict[str, Any] | None = None
    priority: str = "normal"

    @property
    def active(self) -> bool:
        """Tell whether the run waits or works."""
        return self.state in ACTIVE

    @property
    def paused(self) -> bool:
        """Tell whether a person has stopped the run, to let it go on later."""
        return self.state == "suspended" and self.pause_by is not None

    @property
    def of(self) -> int | None:
        """Return the run that this one is about: whose plan it carries out, or which it undoes."""
        return (self.parameters or {}).get("of")

    @property
    def seconds(self) -> float | None:
        """Return how long the run took, None while it has not ended."""
        return (self.ended_at - self.started_at).total_seconds() if self.ended_at and self.started_at else None

    def to_json(self) -> dict[str, Any]:
        """Return the run in its published JSON form."""
        head = {"run": self.id, "rule": self.rule_name, "mode": self.mode, "state": self.state}
        return {**head, "counts": dict(self.counts)}


_COLUMNS = tuple(run.c[name] for name in RunRow.__dataclass_fields__)


def _row(found: sa.Row[Any]) -> RunRow:
    values = dict(found._mapping)  # noqa: SLF001 - SQLAlchemy's documented way
    values["message"] = Message.from_json(values["message"]) if values["message"] else None
    values["counts"] = add_counts([values["counts"]])  # in their own order, which PostgreSQL's JSON forgets
    return RunRow(**values)


def _rows(tx: sa.Connection, found: Sequence[sa.Row[Any]]) -> list[RunRow]:
    """Return runs; what a sentence about one quotes of records is there as far as who asks may see it."""
    sights = Sights(tx)
    return [_seen(_row(one), sights) for one in found]


def _seen(row: RunRow, sights: Sights) -> RunRow:
    quotes, asked = row.message is not None and row.message.values, (row.parameters or {}).keys() & _ASKED
    if not (quotes or asked) or (sight := sights.of_run(row.id)).everything:
        return row
    message = row.message and sight.message(row.message, counts=True)
    told = {name: DOTS if name in asked and value else value for name, value in (row.parameters or {}).items()}
    return replace(row, message=message, parameters=told and {**told, **_dotted(row.parameters or {})})


def _dotted(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a run over a part was asked for, without the values that were asked for."""
    span, records = parameters.get("range"), parameters.get("records")
    ends = {name: DOTS for name in ("from", "to") if span and span.get(name)}
    keys = [{**one, "key": DOTS} for one in records or ()]
    return {**({"range": {**span, **ends}} if span else {}), **({"records": keys} if keys else {})}


def get(tx: sa.Connection, run_id: int) -> RunRow:
    """Return a run; raises `RunMissing`."""
    found = tx.execute(sa.select(*_COLUMNS).where(run.c.id == run_id)).one_or_none()
    if found is None:
        raise RunMissing(run_id)
    return _rows(tx, [found])[0]


def listing(
    tx: sa.Connection, *, rule: str | None = None, state: str | None = None, before: int | None = None, limit: int = 50
) -> list[RunRow]:
    """Return runs, the latest first; `before` goes on behind a run's number."""
    query = sa.select(*_COLUMNS).order_by(run.c.id.desc()).limit(limit)
    for column, value in ((run.c.rule_name, rule), (run.c.state, state)):
        query = query.where(column == value) if value else query
    query = query.where(run.c.id < before) if before else query
    return _rows(tx, tx.execute(query).all())


def rows(tx: sa.Connection, *which: sa.ColumnElement[bool], limit: int) -> list[RunRow]:
    """Return the runs that meet conditions, the latest first."""
    query = sa.select(*_COLUMNS).where(*which).order_by(run.c.id.desc()).limit(limit)
    return _rows(tx, tx.execute(query).all())


def latest(tx: sa.Connection, names: Sequence[str]) -> dict[str, RunRow]:
    """Return the last run of each of the named rules."""
    newest = sa.select(sa.func.max(run.c.id)).where(run.c.rule_name.in_(names)).group_by(run.c.rule_name)
    found = tx.execute(sa.select(*_COLUMNS).where(run.c.id.in_(newest))).all()
    return {row.rule_name: row for row in _rows(tx, found)}


def document(tx: sa.Connection, run_id: int) -> dict[str, Any]:
    """Return the rule document that a run executed."""
    return dict(tx.scalar(sa.select(run.c.document).where(run.c.id == run_id)) or {})


@dataclass(frozen=True)
class LogLine:
    """A line of a run's log; `message` is a Message as JSON."""

    id: int
    at: datetime
    level: str
    message: dict[str, Any]


def log_lines(tx: sa.Connection, run_id: int, limit: int = 200) -> list[LogLine]:
    """Return the last lines of a run's log, oldest first; what they quote of records as far as who asks may see it."""
    columns = [run_log.c[name] for name in LogLine.__dataclass_fields__]
    query = sa.select(*columns).where(run_log.c.run_id == run_id).order_by(run_log.c.id.desc()).limit(limit)
    found = [LogLine(*row) for row in reversed(tx.execute(query).all())]
    if any(line.message.get("values") for line in found):
        sight = sight_of_run(tx, run_id)
        seen = (sight.message(Message.from_json(line.message), counts=True).to_json() for line in found)
        return [replace(line, message=message) for line, message in zip(found, seen, strict=True)]
    return found


@dataclass(frozen=True)
class RecordRow:
    """What a run did to a record: a row of `run_record`, or (`id` 0) found in a chunk."""

    id: int
    run_id: int
    record_no: int
    left_key: str | None
    right_key: str | None
    outcome: str
    situation: str | None
    before: str | None
    after: str | None
    side: str | None
    own_before: str | None
    own_after: str | None
    field: str | None
    reason: dict[str, Any] | None


RECORD = tuple(run_record.c[name] for name in RecordRow.__dataclass_fields__)


def unlisted(counts: Mapping[str, int]) -> bool:
    """Tell whether a run has created more records than have rows of their own."""
    return counts["created"] > LISTED


def records(
    tx: sa.Connection,
    run_id: int,
    *,
    outcome: str | None = None,
    key: str | None = None,
    after: int = 0,
    limit: int = 50,
) -> list[RecordRow]:
    """Return records that a run changed, deleted, parked or left out, in the order handled, behind row `after`.

    Only those are returned, and of these only what, who asks may see. The outcomes `rejected`, `moved` and `refused`
    stand for records that were left alone for that reason. Of records created, the first `LISTED` are returned, and
    any that a key asks for.
    """
    query = sa.select(*RECORD).where(run_record.c.run_id == run_id)
    if outcome in LEFT_ALONE:
        query = query.where(run_record.c.situation == outcome)
    elif outcome:
        query = query.where(run_record.c.outcome == outcome)
    if key:
        query = query.where(
            sa.or_(run_record.c.left_key == column_text(key), run_record.c.right_key == column_text(key))
        )
    shown = Shown(tx, sight_of_run(tx, run_id), run_id)
    found = listed(tx, query, shown, after, limit)
    if key and not after and outcome in (None, "", "created") and unlisted(get(tx, run_id).counts):
        found += shown.rows(_unlisted(tx, run_id, key, found))
    return _by_key(found, key)


def listed(tx: sa.Connection, query: sa.Select[Any], shown: Shown, after: int, limit: int) -> list[RecordRow]:
    """Return the first rows of a query for `RECORD` behind row `after`, as far as they may be seen."""

    def fetch(behind: int, count: int) -> list[RecordRow]:
        some = query.where(run_record.c.id > behind).order_by(run_record.c.id).limit(count)
        return [RecordRow(*row) for row in tx.execute(some)]

    if not shown.limited:
        return shown.rows(fetch(after, limit))
    return filled(fetch, shown.rows, lambda row: row.id, after, limit)


def _by_key(found: Sequence[RecordRow], key: str | None) -> list[RecordRow]:
    """Return the records that have a key, of those that may be seen: a key that is not seen cannot be asked for."""
    known = column_text(key) if key else None
    return [
        row for row in found if known in (None, row.left_key, row.right_key) or key in (row.left_key, row.right_key)
    ]


def history(tx: sa.Connection, rule: str, key: str, limit: int = 200) -> list[RecordRow]:
    """Return what runs of a rule did to the record with `key`, the latest first, as far as who asks may see it."""
    known = column_text(key)
    mine = (run_record.c.rule_name == rule, sa.or_(run_record.c.left_key == known, run_record.c.right_key == known))
    query = sa.select(*RECORD).where(*mine).order_by(run_record.c.id.desc()).limit(limit)
    found = [RecordRow(*row) for row in tx.execute(query)]
    large = [row.id for row in tx.execute(sa.select(run.c.id, run.c.counts).where(run.c.rule_name == rule))
             if unlisted(add_counts([row.counts]))]  # fmt: skip
    for run_id in large:
        found += _unlisted(tx, run_id, key, found)
    ordered = sorted(found, key=lambda row: (row.run_id, row.id), reverse=True)[:limit]
    sights = Sights(tx)
    seen = (Shown(tx, sights.of_run(row.run_id), row.run_id).rows([row]) for row in ordered)
    return _by_key([row for rows in seen for row in rows], key)


def _unlisted(tx: sa.Connection, run_id: int, key: str, listed: Sequence[RecordRow]) -> list[RecordRow]:
    """Return the created records with a key that are not listed."""
    known = {row.record_no for row in listed if row.run_id == run_id}
    return [row for row in _in_chunks(tx, run_id, key) if row.record_no not in known]


def _in_chunks(tx: sa.Connection, run_id: int, key: str) -> Iterator[RecordRow]:
    """Yield the created records with a key from a run's chunks."""
    for blob in _blobs(tx, run_id):
        keys = columns_of(blob, "outcomes", ("left_key", "right_key"))
        if not keys.select(pl.any_horizontal(pl.all() == key).any()).item():
            continue
        mine = (pl.col("left_key") == key) | (pl.col("right_key") == key)
        for row in made.outcomes(blob).filter(mine, pl.col("outcome") == "created").iter_rows(named=True):
            names = [name for name in RecordRow.__dataclass_fields__ if name in row and name != "reason"]
            values = {name: row[name] for name in names}
            yield RecordRow(id=0, run_id=run_id, reason=reason_of(row["reason"]), **values)


@dataclass(frozen=True)
class ShownRecord:
    """A record of a run with its field differences as plain values."""

    row: RecordRow
    before: dict[str, Any]
    after: dict[str, Any]
    reason: Message | None
    own_before: dict[str, Any] = field(default_factory=dict)
    own_after: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str | None:
        """Return the key by which people know the record."""
        found: str | None = self.row.left_key if self.row.left_key is not None else self.row.right_key
        return found

    @property
    def summary(self) -> str:
        """Return one line: the fields that changed, or the first values of a new record."""
        if (self.before and self.after) or (self.own_before and self.own_after):
            return ", ".join(dict.fromkeys((*(self.after if self.before else ()), *self.own_after)))
        return in_a_line(self.after or self.before, self.key)[:SUMMARY]


def in_a_line(values: Mapping[str, Any], key: str | None) -> str:
    """Return what tells a record from others in one line: its values but the key, what is empty, and yes or no."""
    shown = (str(v) for v in values.values() if v not in (None, "") and not isinstance(v, bool))
    return " · ".join(value for value in shown if value != key)


def with_differences(row: RecordRow) -> ShownRecord:
    """Return a row of `run_record` with what it holds as JSON made plain."""
    before, after, *own = (json.loads(t) if t else {} for t in (row.before, row.after, row.own_before, row.own_after))
    return ShownRecord(row, before, after, Message.from_json(row.reason) if row.reason else None, *own)


def outcomes(tx: sa.Connection, run_id: int) -> Iterator[pl.DataFrame]:
    """Yield what became of every record, a frame per chunk (columns of `pipeline.chunk.OUTCOMES`), whoever asks."""
    yield from map(made.outcomes, _blobs(tx, run_id))


def shown_outcomes(tx: sa.Connection, run_id: int, outcome: str | None = None) -> Iterator[dict[str, Any]]:
    """Yield what became of every record, or of those with an outcome, as far as who asks may see it."""
    shown = Shown(tx, sight_of_run(tx, run_id), run_id)
    for whole in outcomes(tx, run_id):
        frame = whole if outcome is None else whole.filter(pl.col("outcome") == outcome)
        yield from frame.iter_rows(named=True) if shown.sight.everything else shown.outcomes(frame)


def found(tx: sa.Connection, run_id: int) -> Iterator[pl.DataFrame]:
    """Yield the situation and outcome of every record, a frame per chunk."""
    for blob in _blobs(tx, run_id):
        yield columns_of(blob, "outcomes", ("situation", "outcome"))


def _blobs(tx: sa.Connection, run_id: int) -> Iterator[bytes]:
    mine = (run_chunk.c.run_id == run_id, run_chunk.c.state == "done")
    numbers = tx.scalars(sa.select(run_chunk.c.no).where(*mine).order_by(run_chunk.c.no)).all()
    for number in numbers:
        blob = tx.scalar(sa.select(run_chunk.c.outcomes).where(*mine, run_chunk.c.no == number))
        if blob is not None:
            yield blob
