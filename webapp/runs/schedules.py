"""Schedules: each slot fires once, in the schedule's own time zone; what was missed follows the misfire policy."""

from __future__ import annotations

import contextlib
import logging
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from cronsim import CronSim, CronSimError

from rules.documents.relations import in_turn
from webapp.extensions import Actor, House
from webapp.rulebook.ownership import refusal
from webapp.rulebook.reading import ScheduledRule, find, scheduled
from webapp.runs import ordering
from webapp.runs.models import run, schedule_slot
from webapp.runs.requests import RunRefused, start

SCHEDULE = Actor("system", "Schedule")
LATE = timedelta(seconds=60)
"""A slot that is older was missed: nobody was there to fire it."""
LOOK_BACK = timedelta(days=7)
TOGETHER = 25
"""So many slots fire in one transaction of SQLite, where each one would wait anew for workers that write; on PostgreSQL
nobody waits, and no transaction holds the locks of many rules."""

log = logging.getLogger(__name__)


def next_slot(cron: str, timezone: str, after: datetime) -> datetime:
    """Return the next slot behind `after`, in UTC. Daylight saving: a time that occurs twice fires once."""
    return next(CronSim(cron, after.astimezone(ZoneInfo(timezone)))).astimezone(UTC)


def due(rule: ScheduledRule, last: datetime, now: datetime) -> list[datetime]:
    """Return the slots behind `last` up to now, oldest first."""
    slots = []
    at = max(last, now - LOOK_BACK)
    while (at := next_slot(rule.cron, rule.timezone, at)) <= now:
        slots.append(at)
    return slots


def fire_due(house: House, most: int | None = None) -> list[int]:
    """Start the runs whose time has come, or the first of them, and return their numbers; the others stay due."""
    now = house.clock()
    with house.db.read() as tx:
        rules = scheduled(tx)
        # slots that lie ahead were fired before the clock was set back: they do not fire again, and stop no others
        past = sa.select(schedule_slot.c.rule_id, sa.func.max(schedule_slot.c.slot).label("last"))
        fired = past.where(schedule_slot.c.slot <= now).group_by(schedule_slot.c.rule_id)
        last = {row.rule_id: row.last for row in tx.execute(fired)}
    by_name = {rule.name: rule for rule in rules}
    ordered = in_turn(list(by_name), {rule.name: rule.before for rule in rules})  # what comes after waits for what runs
    each = ((by_name[name], last.get(by_name[name].rule_id)) for name in ordered if name in by_name)
    found = [(rule, slot) for rule, fired_last in each if (slot := _slot(house, rule, fired_last, now)) is not None]
    size, started = TOGETHER if house.db.is_sqlite else 1, list[int]()
    for place in range(0, len(found), size):
        if most is not None and len(started) >= most:
            break
        with house.db.begin() as tx:
            fired_now = [_fire(house, tx, rule, slot, now) for rule, slot in found[place : place + size]]
        started += [run_id for run_id in fired_now if run_id is not None]
    return started


def _slot(house: House, rule: ScheduledRule, last: datetime | None, now: datetime) -> datetime | None:
    """Return the slot that is due, the last one where there are several."""
    if last is None:
        _begin(house, rule, now)
        return None
    try:
        slots = due(rule, last, now)
    except (CronSimError, LookupError, ValueError) as error:  # also a zone that this machine does not know
        log.warning("rule %s: its schedule cannot be read: %s", rule.name, error)
        return None
    return slots[-1] if slots else None


def _fire(house: House, tx: sa.Connection, rule: ScheduledRule, slot: datetime, now: datetime) -> int | None:
    skip = rule.misfire == "skip" and now - slot > LATE
    try:
        with tx.begin_nested():
            tx.execute(sa.insert(schedule_slot).values(rule_id=rule.rule_id, slot=slot, fired_at=now))
    except sa.exc.IntegrityError:
        return None  # another dispatcher was quicker
    run_id = None if skip else _start(house, tx, rule.name)
    mine = (schedule_slot.c.rule_id == rule.rule_id, schedule_slot.c.slot == slot)
    tx.execute(sa.update(schedule_slot).where(*mine).values(run_id=run_id))
    return run_id


def _start(house: House, tx: sa.Connection, name: str) -> int | None:
    if _told(tx, name):
        return None
    try:
        run_id = start(house, name, "live", SCHEDULE, tx=tx)
        ordering.wait_for(tx, run_id, (), well=True)
    except RunRefused as refusal:
        log.info("rule %s: not started on schedule: %s", name, refusal.message)
        return None
    return run_id


def _told(tx: sa.Connection, name: str) -> bool:
    """Tell whether the owner of a rule may not do what it does, and its last run says so already."""
    live = (run.c.rule_name == name, run.c.mode == "live")
    last = sa.select(run.c.state).where(*live).order_by(run.c.id.desc()).limit(1)
    if tx.scalar(last) != "suspended":  # asked first: what the owner may do takes a dozen questions
        return False
    row = find(tx, name)
    problem = None if row is None else refusal(tx, name, row.published or {}, row.owner)
    if problem is not None:
        log.info("rule %s: not started on schedule: %s", name, problem)
    return problem is not None


def _begin(house: House, rule: ScheduledRule, now: datetime) -> None:
    """Let a schedule that is new begin now: slots before it was published are not missed ones."""
    with contextlib.suppress(sa.exc.IntegrityError), house.db.begin() as tx:
        tx.execute(sa.insert(schedule_slot).values(rule_id=rule.rule_id, slot=now, fired_at=now))
