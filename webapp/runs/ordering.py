"""Runs that wait for others: a row a pair, so that the order of a round survives restarts.

A run that waits stays queued. Nobody announces or claims it before the runs that it waits for have ended; where they
had to end well and have not, it is called off. One that has begun waits for none any more: it may be half-done.
"""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from rules.documents.relations import Document
from rules.text import N_, Message, msg
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.extensions import SYSTEM, House
from webapp.rulebook.relations import all_before
from webapp.runs import endings
from webapp.runs.models import run, run_wait

_ACTIVE = ("queued", "running")
_first = run.alias("first")
_GOES_ON = sa.or_(_first.c.state.in_(_ACTIVE), sa.and_(run_wait.c.well, _first.c.state != "succeeded"))
_NOT_BEGUN = run.c.started_at.is_(None)
_ENDED_BADLY = sa.or_(
    _first.c.state.in_(("failed", "cancelled")), sa.and_(_first.c.state == "suspended", _first.c.pause_by.is_(None))
)


def free() -> sa.ColumnElement[bool]:
    """Tell of a run whether it waits for no other one (any more)."""
    waits = sa.exists().where(run_wait.c.run_id == run.c.id, run_wait.c.for_run == _first.c.id, _GOES_ON)
    return sa.or_(~_NOT_BEGUN, ~waits.correlate(run))


def hold(tx: sa.Connection, run_id: int, name: str, document: Document, *, well: bool = False) -> list[int]:
    """Let a run wait for the live runs at work of all rules that come before its rule; return their numbers."""
    names = all_before(tx, name, document)
    if not names:
        return []
    asked = (run.c.rule_name.in_(names), run.c.mode == "live", run.c.kind != "verify", run.c.state.in_(_ACTIVE))
    numbers = list(tx.scalars(sa.select(run.c.id).where(*asked, run.c.id != run_id).order_by(run.c.id)))
    wait_for(tx, run_id, numbers, well=well)
    return numbers


def wait_for(tx: sa.Connection, run_id: int, others: Iterable[int], *, well: bool) -> None:
    """Let a run wait for others; `well` tells that it is called off unless they end well."""
    known = set(tx.scalars(sa.select(run_wait.c.for_run).where(run_wait.c.run_id == run_id)))
    fresh = [{"run_id": run_id, "for_run": other, "well": well} for other in others if other not in known]
    if fresh:
        tx.execute(sa.insert(run_wait), fresh)
    if well:
        tx.execute(sa.update(run_wait).where(run_wait.c.run_id == run_id).values(well=True))


def awaited(tx: sa.Connection, run_id: int) -> list[tuple[int, str, str]]:
    """Return number, rule and state of the runs for which a queued run waits."""
    columns = (_first.c.id, _first.c.rule_name, _first.c.state)
    query = (
        sa.select(*columns).join(run_wait, run_wait.c.for_run == _first.c.id).join(run, run.c.id == run_wait.c.run_id)
    )
    goes_on = sa.or_(_first.c.state.in_(_ACTIVE), sa.and_(run_wait.c.well, _first.c.state != "succeeded"))
    mine = query.where(run.c.id == run_id, run.c.state == "queued", _NOT_BEGUN, goes_on)
    return [(row.id, row.rule_name, row.state) for row in tx.execute(mine.order_by(_first.c.id))]


def next_up(tx: sa.Connection, run_id: int) -> int:
    """Return the run that has to be carried out first so that a run can begin; itself where it waits for none."""
    waits = awaited(tx, run_id)
    return next_up(tx, waits[0][0]) if waits and waits[0][2] == "queued" else run_id


def call_off(house: House) -> list[int]:
    """Cancel the queued runs that wait in vain for others to end well; return their numbers."""
    called: list[int] = []
    while found := _in_vain(house):
        for run_id, name, why in found:
            with house.db.begin() as tx:
                values = {"state": "cancelled", "ended_at": house.clock(), "message": why.to_json()}
                mine = (run.c.id == run_id, run.c.state == "queued", _NOT_BEGUN)
                if tx.execute(sa.update(run).where(*mine).values(values)).rowcount == 1:
                    after = {"message": str(why)}
                    event = Event(Tag.RUN_CANCELLED, Subject("rule", name), None, after, run_id=run_id)
                    record(tx, SYSTEM, house.clock(), event)
                    endings.tell(tx, run_id, house.clock(), why)
                    called.append(run_id)
    return called


def _in_vain(house: House) -> list[tuple[int, str, Message]]:
    columns = (run.c.id, run.c.rule_name, _first.c.id.label("other"), _first.c.rule_name.label("before"))
    query = (
        sa.select(*columns)
        .join(run_wait, run_wait.c.run_id == run.c.id)
        .join(_first, run_wait.c.for_run == _first.c.id)
    )
    query = query.where(run.c.state == "queued", _NOT_BEGUN, run_wait.c.well, _ENDED_BADLY)
    text = N_("It was not started, since run {run} of the rule '{rule}', which comes before it, did not end well.")
    with house.db.read() as tx:
        rows = {row.id: row for row in tx.execute(query.order_by(run.c.id, _first.c.id))}
    return [(row.id, row.rule_name, msg(text, run=row.other, rule=row.before)) for row in rows.values()]
