"""Service levels: whether rules keep what people may expect of them, and telling when that changes.

A rule is late when its last run that went well began too long ago. It is failing when its last run ended badly or took
too long, when too many records are in quarantine, or when too many pairs wait for a person, or one for too long.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Any

import sqlalchemy as sa

from rules.documents import parse_sync
from rules.documents.policies import ServiceLevel
from rules.text import N_, Message, msg
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.extensions import SYSTEM, House
from webapp.rulebook.models import rule, rule_version
from webapp.rulebook.reading import ACTIVE
from webapp.runs import hooks
from webapp.runs.claims import one_at_a_time
from webapp.runs.models import pair_case, quarantine, run, service_level

MET, LATE, FAILING = "met", "late", "failing"
_TAGS = {MET: Tag.SERVICE_MET, LATE: Tag.SERVICE_LATE, FAILING: Tag.SERVICE_FAILING}


@dataclass(frozen=True)
class Level:
    """How a rule stands now; `reasons` are empty where it keeps its service level."""

    rule_id: int
    rule_name: str
    state: str
    reasons: tuple[Message, ...]
    last_good: datetime | None
    promised: ServiceLevel


def levels(tx: sa.Connection, now: datetime, *, name: str | None = None) -> list[Level]:
    """Return how the active rules with a service level stand, or the named one."""
    query = sa.select(rule.c.id, rule.c.name, rule_version.c.document, rule_version.c.published_at).where(
        rule.c.state == ACTIVE,
        rule_version.c.rule_id == rule.c.id,
        rule_version.c.version == rule.c.published_version,
    )
    query = query.where(rule.c.name == name) if name else query
    found = tx.execute(query.order_by(rule.c.name))
    return [_level(tx, row, now) for row in found if row.document.get("service") and row.document["kind"] == "sync"]


def broken(tx: sa.Connection, now: datetime) -> list[Level]:
    """Return the rules that do not keep their service level."""
    return [level for level in levels(tx, now) if level.state != MET]


def _level(tx: sa.Connection, row: Any, now: datetime) -> Level:
    promised = parse_sync(row.document).service or ServiceLevel()
    real = (run.c.rule_id == row.id, run.c.kind == "sync", run.c.mode == "live")
    good = tx.scalar(sa.select(sa.func.max(run.c.id)).where(*real, run.c.state == "succeeded"))
    last_good = tx.scalar(sa.select(run.c.started_at).where(run.c.id == good)) if good else None
    late = list(_late(promised, last_good, row.published_at, now))
    failing = list(_failing(tx, promised, row.id, real, now))
    state = LATE if late else FAILING if failing else MET
    return Level(row.id, row.name, state, (*late, *failing), last_good, promised)


def _late(promised: ServiceLevel, last_good: datetime | None, published: datetime, now: datetime) -> Iterator[Message]:
    if promised.fresh_time is None or now - (last_good or published) <= promised.fresh_time:
        return
    if last_good is None:
        yield msg("It has not run well yet, and should within {time}.", time=promised.fresh_within)
    else:
        yield msg("Its last run that went well began more than {time} ago.", time=promised.fresh_within)


def _failing(
    tx: sa.Connection, promised: ServiceLevel, rule_id: int, real: tuple[Any, ...], now: datetime
) -> Iterator[Message]:
    columns = (run.c.id, run.c.state, run.c.started_at, run.c.ended_at, run.c.counts, run.c.pause_by)
    begun = run.c.state.in_(("running", "succeeded", "failed", "suspended"))
    runs = tx.execute(sa.select(*columns).where(*real, begun).order_by(run.c.id.desc()).limit(2)).all()
    ended = next((row for row in runs if row.state != "running"), None)
    if ended is not None and ended.state != "succeeded" and ended.pause_by is None:
        yield msg("Its last run, number {run}, did not go well.", run=ended.id)
    if runs and runs[0].pause_by is None:
        yield from _slow(promised, runs[0], now)
    yield from _parked(tx, promised, rule_id, ended)
    yield from _waiting(tx, promised, rule_id, now)


def _slow(promised: ServiceLevel, row: Any, now: datetime) -> Iterator[Message]:
    """Yield that the last run took too long, or is taking too long."""
    if promised.run_time is None or row.started_at is None:
        return
    if (row.ended_at or now) - row.started_at <= promised.run_time:
        return
    if row.ended_at is None:
        yield msg("Run {run} has been at work for more than {time}.", run=row.id, time=promised.done_within)
    else:
        yield msg("Its last run, number {run}, took more than {time}.", run=row.id, time=promised.done_within)


def _parked(tx: sa.Connection, promised: ServiceLevel, rule_id: int, ended: Any) -> Iterator[Message]:
    """Yield that too many records are in quarantine, or too large a share of what the last run has read."""
    if isinstance(promised.at_most_failed, int):
        parked = _count(tx, quarantine, quarantine.c.rule_id == rule_id, quarantine.c.state == "open")
        if parked > promised.at_most_failed:
            text = N_("Records in quarantine: {count}; at most {most} may be there.")
            yield msg(text, count=parked, most=promised.at_most_failed)
    elif promised.at_most_failed is not None and ended is not None:
        share, counts = Fraction(promised.at_most_failed.removesuffix("%")) / 100, ended.counts
        if counts["quarantined"] > share * counts["read"]:
            text = N_("Of {read} records that run {run} has read, {count} went into quarantine; at most {most} may.")
            told = {"run": ended.id, "read": counts["read"], "count": counts["quarantined"]}
            yield msg(text, **told, most=promised.at_most_failed)


def _waiting(tx: sa.Connection, promised: ServiceLevel, rule_id: int, now: datetime) -> Iterator[Message]:
    """Yield that too many pairs wait for a person, or one for too long."""
    mine = (pair_case.c.rule_id == rule_id, pair_case.c.state == "open")
    if promised.at_most_waiting is not None and (waiting := _count(tx, pair_case, *mine)) > promised.at_most_waiting:
        text = N_("Pairs of records that wait for a person: {count}; at most {most} may.")
        yield msg(text, count=waiting, most=promised.at_most_waiting)
    if promised.deciding_time is not None:
        old = _count(tx, pair_case, *mine, pair_case.c.first_at < now - promised.deciding_time)
        if old:
            text = N_("Pairs of records that have waited for a person for more than {time}: {count}.")
            yield msg(text, count=old, time=promised.decided_within)


def _count(tx: sa.Connection, table: sa.Table, *which: sa.ColumnElement[bool]) -> int:
    return tx.scalar(sa.select(sa.func.count()).select_from(table).where(*which)) or 0


def watch(house: House) -> list[str]:
    """Note which rules have begun or ceased to keep their service level, tell of it, and return their names."""
    now = house.clock()
    with house.db.read() as tx:
        found = levels(tx, now)
        known = _known(tx)
    moved = [level for level in found if level.state != known.get(level.rule_id, MET)]
    gone = set(known) - {level.rule_id for level in found}
    told = [level.rule_name for level in moved if _tell(house, level, now)]
    if gone:
        with house.db.begin() as tx:
            tx.execute(sa.delete(service_level).where(service_level.c.rule_id.in_(gone)))
    return told


def _known(tx: sa.Connection) -> Mapping[int, str]:
    return {row.rule_id: row.state for row in tx.execute(sa.select(service_level.c.rule_id, service_level.c.state))}


def _tell(house: House, level: Level, now: datetime) -> bool:
    """Note a change and tell of it, unless another dispatcher was faster."""
    mine = service_level.c.rule_id == level.rule_id
    reasons = [reason.to_json() for reason in level.reasons]
    with house.db.begin() as tx:
        one_at_a_time(tx, level.rule_id)
        before = tx.scalar(sa.select(service_level.c.state).where(mine)) or MET
        if before == level.state:
            return False
        tx.execute(sa.delete(service_level).where(mine))
        row = {"rule_id": level.rule_id, "state": level.state, "since": now, "reasons": reasons}
        tx.execute(sa.insert(service_level).values(row))
        subject, after = Subject("rule", level.rule_name), {"reasons": [str(reason) for reason in level.reasons]}
        record(tx, SYSTEM, now, Event(_TAGS[level.state], subject, None, after))
        told = hooks.LevelMoved(level.rule_name, level.state, tuple(str(r) for r in level.reasons), now)
        for tell in hooks.levels:
            tell(tx, told)
    return True
