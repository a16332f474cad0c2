"""The numbers of the home page, counted from what is really there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from webapp.cases import services as cases
from webapp.cases.services import Wanted
from webapp.connections.models import connection
from webapp.entities.models import entity
from webapp.rulebook.models import rule
from webapp.runs.models import quarantine, run
from webapp.runs.reading import RunRow, rows

LATEST = 8
GOING = ("queued", "running")
BAD = ("failed", "suspended")
RECENT = timedelta(days=7)


@dataclass(frozen=True)
class Progress:
    """How far a newcomer has come."""

    connections: int
    entities: int
    rules: int
    simulated: bool
    ran: bool
    at_work_on: str | None = None
    """The rule that was edited last."""

    @property
    def steps(self) -> tuple[bool, ...]:
        """Tell of each step of the list whether it is done."""
        ends = self.connections + self.entities
        return (self.connections > 0, ends > 1, self.rules > 0, self.simulated, self.ran)

    @property
    def complete(self) -> bool:
        """Tell whether the list has nothing left to say."""
        return all(self.steps)


@dataclass(frozen=True)
class Week:
    """What the runs of the last days did."""

    runs: int
    written: int
    failed: int
    quarantined: int


def progress(tx: sa.Connection) -> Progress:
    """Count what a newcomer has done."""
    ended_well = sa.select(run.c.id).where(run.c.state == "succeeded")
    return Progress(
        _count(tx, connection),
        _count(tx, entity, entity.c.state == "active"),
        _count(tx, rule),
        tx.scalar(sa.select(ended_well.where(run.c.mode == "simulate").exists())) or False,
        tx.scalar(sa.select(ended_well.where(run.c.mode == "live").exists())) or False,
        tx.scalar(sa.select(rule.c.name).where(rule.c.kind == "sync").order_by(rule.c.updated_at.desc()).limit(1)),
    )


def going(tx: sa.Connection) -> list[RunRow]:
    """Return the runs that wait or run."""
    return rows(tx, run.c.state.in_(GOING), limit=LATEST)


def latest(tx: sa.Connection) -> list[RunRow]:
    """Return the runs that ended last."""
    return rows(tx, run.c.state.not_in(GOING), limit=LATEST)


def failing(tx: sa.Connection) -> list[RunRow]:
    """Return the last run of each rule whose last real run ended badly."""
    ended = sa.and_(run.c.state.not_in((*GOING, "cancelled")), run.c.mode != "simulate")
    last = sa.select(sa.func.max(run.c.id)).where(ended).group_by(run.c.rule_id)
    still = sa.select(rule.c.id).where(rule.c.id == run.c.rule_id).exists()
    return rows(tx, run.c.id.in_(last), run.c.state.in_(BAD), still, limit=LATEST)


def parked(tx: sa.Connection) -> list[tuple[str, int]]:
    """Return how many records are in quarantine, by rule."""
    count = sa.func.count()
    query = (
        sa.select(quarantine.c.rule_name, count).where(quarantine.c.state == "open").group_by(quarantine.c.rule_name)
    )
    return [(row[0], row[1]) for row in tx.execute(query.order_by(count.desc()).limit(LATEST))]


def waiting(tx: sa.Connection, me: str) -> tuple[int, list[tuple[str, int]]]:
    """Return how many open cases one has oneself, and how many nobody has, by rule."""
    mine = cases.count(tx, Wanted("open", assignee=me))
    found = cases.counts(tx, Wanted("open", nobodys=True), "rule_name")
    return mine, [(rule or "", number) for rule, number in found.items()][:LATEST]


def unreachable(tx: sa.Connection) -> list[Any]:
    """Return the connections whose last test failed."""
    query = sa.select(connection.c.name, connection.c.label, connection.c.last_check, connection.c.last_check_at)
    found = tx.execute(query.where(connection.c.last_check_at.is_not(None)).order_by(connection.c.name))
    return [row for row in found if not all(step["ok"] for step in row.last_check or ())]


def week(tx: sa.Connection, now: datetime) -> Week:
    """Add up the real runs that ended in the last seven days."""
    query = sa.select(run.c.state, run.c.counts).where(run.c.ended_at >= now - RECENT, run.c.mode == "live")
    rows = list(tx.execute(query))
    written = sum(row.counts.get(name, 0) for row in rows for name in ("created", "updated", "deleted"))
    open_now = tx.scalar(sa.select(sa.func.count()).where(quarantine.c.state == "open")) or 0
    return Week(len(rows), written, sum(row.state in BAD for row in rows), open_now)


def states(tx: sa.Connection) -> dict[str, int]:
    """Return how many runs are in each state."""
    return {row[0]: row[1] for row in tx.execute(sa.select(run.c.state, sa.func.count()).group_by(run.c.state))}


def quarantined(tx: sa.Connection) -> int:
    """Return how many records are in quarantine."""
    return tx.scalar(sa.select(sa.func.count()).where(quarantine.c.state == "open")) or 0


def _count(tx: sa.Connection, table: sa.Table, *conditions: sa.ColumnElement[bool]) -> int:
    return tx.scalar(sa.select(sa.func.count()).select_from(table).where(*conditions)) or 0
