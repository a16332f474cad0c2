"""Which waiting runs may begin now: one of each rule, and as many on a connection as it allows; in fair order.

Limits hold over all workers of all machines, since they are looked at in the transaction that claims a run, behind a
lock on each connection that has one. A run that its worker has left behind still holds its place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from webapp.connections.catalogue import HUB
from webapp.connections.models import connection
from webapp.runs import ordering
from webapp.runs.models import fence, run
from webapp.runs.slices.models import run_slice
from webapp.runs.turns import Waiting, in_turn


class Limit(NamedTuple):
    """How much may be under way on a connection at a time; None is any number."""

    id: int
    runs: int | None
    per_rule: int | None


class UnderWay(NamedTuple):
    """A piece of work that a worker has."""

    run_id: int
    rule_id: int
    connections: tuple[str, ...]


def under_way(tx: sa.Connection) -> list[UnderWay]:
    """Return all work that workers have, also what was left behind: it goes on in its place."""
    columns = (run.c.id, run.c.rule_id, run.c.left_connection, run.c.right_connection)
    found = tx.execute(sa.select(*columns).where(run.c.state == "running")).all()
    parts = _slices(tx)
    return [UnderWay(row.id, row.rule_id, used(row)) for row in found for _ in range(parts.get(row.id, 1))]


def _slices(tx: sa.Connection) -> dict[int, int]:
    """Return of each run with slices that are not done how many of them are worked on: so many pieces of work it is."""
    running = sa.func.sum(sa.case((run_slice.c.state == "running", 1), else_=0))
    mine = run_slice.join(run, sa.and_(run.c.id == run_slice.c.run_id, run.c.state == "running"))
    query = sa.select(run_slice.c.run_id, running).select_from(mine).where(run_slice.c.state != "done")
    return {run_id: int(number) for run_id, number in tx.execute(query.group_by(run_slice.c.run_id))}


def used(row: Any) -> tuple[str, ...]:
    """Return the connections of a run's row; the hub is no system that could be slow."""
    return tuple(sorted({row.left_connection, row.right_connection} - {None, HUB}))


def limits(tx: sa.Connection, names: Iterable[str] | None = None) -> dict[str, Limit]:
    """Return the limits of the connections that have any, of all or of the named ones, in the order of their ids."""
    query = sa.select(connection.c.name, connection.c.id, connection.c.limits).where(connection.c.limits.is_not(None))
    query = query if names is None else query.where(connection.c.name.in_(list(names)))
    found = tx.execute(query.order_by(connection.c.id))
    return {row.name: Limit(row.id, row.limits.get("runs"), row.limits.get("per_rule")) for row in found}


def admitted(tx: sa.Connection, rule_id: int, names: tuple[str, ...]) -> bool:
    """Tell whether one more piece of work of a rule may begin on its connections.

    The answer holds until the caller's transaction ends: on PostgreSQL all who ask of a connection with a limit wait
    for each other, on SQLite there is one writer anyway.
    """
    given = limits(tx, names) if names else {}
    if not given:
        return True
    if tx.dialect.name == "postgresql":
        for one in given.values():  # in one order for all, so that no two wait for each other
            tx.execute(sa.text("SELECT pg_advisory_xact_lock(7302, CAST(:id AS integer))"), {"id": one.id})
    return _fits(rule_id, names, given, _counted(under_way(tx)))


def full(tx: sa.Connection, run_id: int) -> list[str]:
    """Return the connections that a run waits for, since as much is under way on them as they allow."""
    columns = (run.c.rule_id, run.c.left_connection, run.c.right_connection)
    row = tx.execute(sa.select(*columns).where(run.c.id == run_id, run.c.state == "queued")).one_or_none()
    if row is None or not (given := limits(tx, used(row))):
        return []
    counts = _counted(under_way(tx))
    return [name for name in used(row) if not _fits(row.rule_id, [name], given, counts)]


def waiting(tx: sa.Connection, now: datetime) -> list[Waiting]:
    """Return of each rule that has none under way the run that comes first, in the order in which they may begin."""
    work, given = under_way(tx), limits(tx)
    counts = _counted(work)
    heads = [_waiting(row, now) for row in tx.execute(_heads())]
    fitting = [one for one in heads if _fits(one.rule_id, one.connections, given, counts)]
    return in_turn(fitting, counts.on)


def together(tx: sa.Connection, now: datetime) -> list[Waiting]:
    """Return of the waiting runs those that could begin all at once, had they as many workers."""
    given, counts = limits(tx), _counted(under_way(tx))
    begin = []
    for one in waiting(tx, now):
        if _fits(one.rule_id, one.connections, given, counts):
            begin.append(one)
            counts.on.update(one.connections)
            counts.of_rule.update((name, one.rule_id) for name in one.connections)
    return begin


def fitting(tx: sa.Connection) -> set[int]:
    """Return the runs at work of which one more slice may begin on their connections."""
    given, counts = limits(tx), _counted(under_way(tx))
    columns = (run.c.id, run.c.rule_id, run.c.left_connection, run.c.right_connection)
    rows = tx.execute(sa.select(*columns).where(run.c.state == "running"))
    return {row.id for row in rows if _fits(row.rule_id, used(row), given, counts)}


def joining(tx: sa.Connection) -> int:
    """Return how many slices of runs at work could be taken up as well, had they as many workers."""
    given, counts = limits(tx), _counted(under_way(tx))
    columns = (run.c.id, run.c.rule_id, run.c.left_connection, run.c.right_connection)
    waits = sa.and_(run_slice.c.run_id == run.c.id, run_slice.c.state == "queued")
    found = 0
    for row in tx.execute(sa.select(*columns).join(run_slice, waits).where(run.c.state == "running")):
        if _fits(row.rule_id, used(row), given, counts):
            found += 1
            counts.on.update(used(row))
            counts.of_rule.update((name, row.rule_id) for name in used(row))
    return found


class _Counts(NamedTuple):
    on: Counter[str]
    of_rule: Counter[tuple[str, int]]


def _counted(work: Iterable[UnderWay]) -> _Counts:
    pairs = [(name, one.rule_id) for one in work for name in one.connections]
    return _Counts(Counter(name for name, _ in pairs), Counter(pairs))


def _fits(rule_id: int, names: Iterable[str], given: Mapping[str, Limit], counts: _Counts) -> bool:
    for name in names:
        if (limit := given.get(name)) is None:
            continue
        if limit.runs is not None and counts.on[name] >= limit.runs:
            return False
        if limit.per_rule is not None and counts.of_rule[name, rule_id] >= limit.per_rule:
            return False
    return True


def _waiting(row: sa.Row[Any], now: datetime) -> Waiting:
    # a turn that lies ahead was given before the clock was set back
    last = row.claimed_at if row.claimed_at and row.claimed_at <= now else None
    turn = row.turn_at or row.requested_at
    return Waiting(row.id, row.rule_id, row.requested_at, turn, last, used(row), row.announced_at)


def _heads() -> sa.Select[Any]:
    """Return the query for the first waiting run of each rule that has none under way."""
    other = run.alias()
    busy = sa.exists().where(other.c.rule_id == run.c.rule_id, other.c.state == "running").correlate(run)
    order = (sa.func.coalesce(run.c.turn_at, run.c.requested_at), run.c.id)
    names = ("id", "rule_id", "rule_name", "requested_at", "turn_at", "left_connection", "right_connection")
    columns = [run.c[name] for name in (*names, "announced_at")]
    place = sa.func.row_number().over(partition_by=run.c.rule_id, order_by=order).label("place")
    ready = sa.select(*columns, place).where(run.c.state == "queued", ordering.free(), ~busy).subquery()
    return (
        sa.select(ready, fence.c.claimed_at)
        .outerjoin(fence, fence.c.rule_name == ready.c.rule_name)
        .where(ready.c.place == 1)
    )
