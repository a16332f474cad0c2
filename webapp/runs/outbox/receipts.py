"""What the target has answered: deliveries end, links say that both sides agree, refused records are parked."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import polars as pl
import sqlalchemy as sa

from rules.documents import parse_sync
from rules.reconcile.situations import Outcome
from rules.text import Message
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.extensions import SYSTEM, House
from webapp.runs.models import link_segment, run
from webapp.runs.outbox import keeping, lanes
from webapp.runs.outbox.lanes import Lane
from webapp.runs.outbox.models import delivery
from webapp.runs.outbox.states import OPEN, Op, State, after_failure, backoff
from webapp.runs.outbox.writing import Result
from webapp.runs.pipeline.chunk import OUTCOMES
from webapp.runs.pipeline.journal import Claim
from webapp.runs.pipeline.link_log import LinkLog
from webapp.runs.pipeline.links import Links
from webapp.runs.pipeline.parking import park, settle_delivered
from webapp.vault.journal import MARK as SEALED

_SEGMENTS = 100
"""Links are put together when they lie in so many segments."""


@dataclass(frozen=True)
class Told:
    """What became of a delivery of a run (its row)."""

    about: sa.Row[Any]
    result: Result


def confirm(house: House, lane: Lane, told: Sequence[Told]) -> None:
    """Note what became of a batch, and give the lane back; raises `Fenced` where somebody else has it."""
    passed = any(one.result.problem is None or one.result.refused for one in told)
    away = bool(told) and not passed
    now = house.clock()
    with house.db.begin() as tx:
        passed = passed or (away and _alive(tx, [one.result for one in told]))
        lanes.leave(tx, house, lane, away=away)
        for run_id in dict.fromkeys(one.about.id for one in told):
            mine = [one for one in told if one.about.id == run_id]
            _end(tx, mine, now, passed=passed)
    for one in {one.about.rule_id: one for one in told if one.result.linked is not None}.values():
        _put_together(house, one)


def leave(tx: sa.Connection, now: datetime, why: Message) -> int:
    """Park what is under way instead of sending it; return how many deliveries that were.

    Of a record with several, the last one is parked; without its values where their key does not open, since they are
    bound to their place.
    """
    c, ended = delivery.c, 0
    under_way = (c.state.in_(OPEN), c.op.in_((Op.CREATE, Op.UPDATE, Op.DELETE)))  # the others send nothing
    for about in tx.execute(
        sa.select(run).where(run.c.id.in_(sa.select(c.run_id).where(*under_way))).order_by(run.c.id)
    ):
        rows = tx.execute(sa.select(delivery).where(c.run_id == about.id, *under_way).order_by(c.id)).all()
        left = [Result(row, problem=why) for row in rows]
        for one in left:
            _set_back(tx, one, State.FAILED, one.row.failures, now)
        claim = replace(Claim.of(about), kind="sync")
        parked = _parked({one.row.key: one for one in left}.values())
        closed = pl.col("record").str.starts_with(SEALED)
        park(tx, claim, parked.with_columns(record=pl.when(~closed).then("record")), now)
        ended += len(left)
    return ended


def _alive(tx: sa.Connection, results: Sequence[Result]) -> bool:
    """Tell whether others have got through to the same target since all of these were tried before."""
    before = [result.row.sent_at for result in results]
    if None in before:
        return False
    c, row = delivery.c, results[0].row
    others = (c.connection == row.connection, c.object == row.object, c.did.is_not(None), c.ended_at > max(before))
    return bool(tx.scalar(sa.select(sa.exists().where(*others))))


def _end(tx: sa.Connection, told: Sequence[Told], now: datetime, *, passed: bool) -> None:
    """Note what became of the deliveries of one run."""
    about, claim = told[0].about, replace(Claim.of(told[0].about), kind="sync")
    times = parse_sync(about.document).errors.transient.retry
    done = [one.result for one in told if one.result.problem is None]
    failed = []
    for result in (one.result for one in told if one.result.problem is not None):
        failures = result.row.failures + (1 if passed else 0)
        state = after_failure(failures, times, refused=result.refused, others_passed=passed)
        _set_back(tx, result, state, failures, now)
        failed += [result] if state is State.FAILED else []
    _delivered(tx, done, now)
    if done:
        settle_delivered(tx, claim, done[0].row.side, [result.row.key for result in done], now)
    if failed:
        park(tx, claim, _parked(failed), now)
    _audit(tx, claim, done, failed, now)
    _link(tx, claim, done)


def _delivered(tx: sa.Connection, done: Sequence[Result], now: datetime) -> None:
    if not done:
        return
    change = sa.update(delivery).where(delivery.c.id == sa.bindparam("of"))
    ended = {"state": State.DELIVERED.value, "ended_at": now, "problem": None, "record": None, "fields": None}
    each = [{"of": r.row.id, "did": r.did, "answer": r.answer or None, **ended} for r in done]
    tx.execute(change.values({name: sa.bindparam(name) for name in each[0] if name != "of"}), each)


def _set_back(tx: sa.Connection, result: Result, state: State, failures: int, now: datetime) -> None:
    problem = None if result.problem is None else result.problem.to_json()
    values: dict[str, Any] = {"state": state.value, "failures": failures, "problem": problem}
    values |= {"due_at": now + backoff(failures)} if failures else {}
    values |= {"ended_at": now, "record": None, "fields": None} if state is State.FAILED else {}
    tx.execute(sa.update(delivery).where(delivery.c.id == result.row.id).values(values))


def _parked(failed: Iterable[Result]) -> pl.DataFrame:
    """Return the outcomes by which records are parked whose delivery has failed."""
    rows = [
        {
            "record_no": one.row.record_no,
            "left_key": one.row.key,
            "right_key": one.row.target_key,
            "outcome": Outcome.QUARANTINED.value,
            "side": one.row.side,
            "stage": keeping.AT_DELIVERY,
            "field": one.at,
            "reason": json.dumps(one.problem.to_json() if one.problem else None, ensure_ascii=False),
            "place": f"key {one.row.key}" if one.row.record_no is None else f"record {one.row.record_no}",
            "record": one.row.record,
        }
        for one in failed
    ]
    return pl.DataFrame(rows, schema_overrides=OUTCOMES).with_columns(
        pl.lit(None, dtype=kind).alias(name) for name, kind in OUTCOMES.items() if name not in rows[0]
    )


def _audit(tx: sa.Connection, claim: Claim, done: Sequence[Result], failed: Sequence[Result], now: datetime) -> None:
    """Note a batch: how many of what, and by name each record that was refused."""
    subject = Subject("rule", claim.rule_name)
    events = []
    if done:
        told = {"deliveries": [done[0].row.id, done[-1].row.id], **Counter(result.did for result in done)}
        events.append(Event(Tag.DELIVERY_MADE, subject, None, told, run_id=claim.run_id))
    for one in failed:
        told = {"delivery": one.row.id, "problem": str(one.problem), "attempts": one.row.attempts + 1}
        named = Subject("rule", claim.rule_name, one.row.key)
        events.append(Event(Tag.DELIVERY_FAILED, named, None, told, run_id=claim.run_id))
    if events:
        record(tx, SYSTEM, now, *events)


def _link(tx: sa.Connection, claim: Claim, done: Iterable[Result]) -> None:
    """Note what both sides agree on now; last in its transaction, since others wait for it."""
    moved = [result for result in done if result.linked is not None]
    if not moved:
        return
    frame = pl.concat(list(_links(moved)))
    keeping.lock_links(tx, claim.rule_id)
    _log(moved[0]).append(tx, claim.run_id, frame)


def _links(moved: Sequence[Result]) -> Iterator[pl.DataFrame]:
    yield keeping.linked(
        pl.Series([result.row.key for result in moved], dtype=pl.String),
        pl.Series([result.row.target_key if result.linked else None for result in moved], dtype=pl.String),
        pl.Series([_hash(result) for result in moved], dtype=pl.UInt64),
    )


def _hash(result: Result) -> int | None:
    holds = result.linked and result.complete and result.row.hash
    return int(result.row.hash, 16) if holds else None


def _log(result: Result) -> LinkLog:
    return LinkLog(result.row.rule_id, (result.row.scheme, ""), reverse=result.row.side == "right")


def _put_together(house: House, one: Told) -> None:
    """Put the links of a rule together where they lie in many segments."""
    row = one.result.row
    mine = sa.select(sa.func.count()).where(link_segment.c.rule_id == row.rule_id)
    with house.db.read() as tx:
        if (tx.scalar(mine) or 0) < _SEGMENTS:
            return
    with house.db.begin() as tx:
        keeping.lock_links(tx, row.rule_id)
        links = Links.load(tx, row.rule_id, row.scheme, reverse=row.side == "right")
        links.compact(tx, row.run_id)
