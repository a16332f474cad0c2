"""What Prometheus reads of an installation: counted from its database and Redis, so any console answers for all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import redis
import sqlalchemy as sa
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from rules.documents.policies import Priority
from webapp import wake
from webapp.audit.models import audit_checkpoint, audit_event, audit_head
from webapp.extensions import House
from webapp.rulebook.models import rule
from webapp.runs.demand import demand
from webapp.runs.models import run
from webapp.runs.outbox import reading as outbox

DAY = timedelta(days=1)
MOST_RUNS = 5_000
"""So many of the latest runs of a day are counted at the most."""
ENDED = ("succeeded", "failed", "suspended", "cancelled")


def text(house: House) -> str:
    """Return the numbers in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Installation(house))
    return generate_latest(registry).decode()


class _Installation(Collector):
    """The numbers of one installation."""

    def __init__(self, house: House) -> None:
        self._house = house

    def describe(self) -> Iterable[Any]:
        """Return nothing: what there is depends on the installation."""
        return ()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the families."""
        now = self._house.clock()
        with self._house.db.read() as tx:
            yield from _queue(tx, now)
            yield from _day(tx, now)
            yield _freshness(tx, now)
            yield _seal(tx, now)
            yield from _outbox(tx, now)
        yield from _pool(self._house)
        yield from _alive(self._house)


def _gauge(name: str, told: str, labels: tuple[str, ...], values: Mapping[Any, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"syncline_{name}", told, labels=labels)
    for key, value in sorted(values.items()):
        family.add_metric(key, value)
    return family


def _queue(tx: sa.Connection, now: datetime) -> Iterator[GaugeMetricFamily]:
    oldest = tx.scalar(sa.select(sa.func.min(run.c.requested_at)).where(run.c.state == "queued"))
    age = max((now - oldest).total_seconds(), 0.0) if oldest else 0.0
    yield _gauge("queue_oldest_seconds", "Age of the run that has waited longest for a worker.", (), {(): age})
    asked = demand(tx, now)
    waiting = {(name,): asked.waiting.get(name, 0) for name in Priority}
    ages = {(name,): asked.oldest.get(name, 0.0) for name in Priority}
    yield _gauge("runs_waiting", "Runs that wait, by priority.", ("priority",), waiting)
    yield _gauge("runs_waiting_seconds", "Age of the oldest run that waits, by priority.", ("priority",), ages)
    yield _gauge("runs_ready", "Runs that could begin at once, had they a worker.", (), {(): asked.ready})
    yield _gauge("workers_needed", "Workers that would find something to do now.", (), {(): asked.workers})
    late = sa.select(sa.func.count()).where(run.c.state == "running", run.c.lease_until < now)
    text = "Runs whose worker has let its lease expire and that nobody has taken up yet."
    yield _gauge("runs_lease_expired", text, (), {(): tx.scalar(late) or 0})


def _day(tx: sa.Connection, now: datetime) -> Iterator[GaugeMetricFamily]:
    columns = (run.c.rule_name, run.c.state, run.c.counts, run.c.attempts, run.c.document)
    since = (run.c.ended_at >= now - DAY, run.c.state.in_(ENDED), run.c.mode == "live")
    states, records, failures = Counter[Any](), Counter[Any](), Counter[Any]()
    again = 0
    for row in tx.execute(sa.select(*columns).where(*since).order_by(run.c.id.desc()).limit(MOST_RUNS)):
        states[row.rule_name, row.state] += 1
        again += max(row.attempts - 1, 0)
        for outcome, count in row.counts.items():
            records[row.rule_name, outcome] += count
        if row.state in ("failed", "suspended"):
            failures.update((name,) for name in _connections(row.document))
    yield _gauge("rule_runs_day", "Live runs that ended within a day.", ("rule", "state"), states)
    yield _gauge("rule_records_day", "Records of these runs by outcome.", ("rule", "outcome"), records)
    yield _gauge("connection_failed_runs_day", "Runs that did not end well within a day.", ("connection",), failures)
    yield _gauge("runs_taken_up_again_day", "Times that a run lost its worker within a day.", (), {(): again})


def _connections(document: Mapping[str, Any]) -> set[str]:
    sides = (document.get(side) for side in ("left", "right"))
    return {side["connection"] for side in sides if isinstance(side, Mapping) and side.get("connection")}


def _freshness(tx: sa.Connection, now: datetime) -> GaugeMetricFamily:
    good = sa.and_(run.c.rule_id == rule.c.id, run.c.state == "succeeded", run.c.mode == "live")
    query = sa.select(rule.c.name, sa.func.max(run.c.started_at)).join(run, good).group_by(rule.c.name)
    ages = {(name,): (now - at).total_seconds() for name, at in tx.execute(query) if at is not None}
    return _gauge("rule_last_success_seconds", "Age of a rule's last live run that went well.", ("rule",), ages)


def _seal(tx: sa.Connection, now: datetime) -> GaugeMetricFamily:
    """Tell how long the oldest event has waited for its seal, or at least the time since the last one."""
    settled = tx.scalar(sa.select(audit_head.c.settled)) or 0
    waits = tx.scalar(sa.select(sa.func.min(audit_event.c.at)).where(audit_event.c.id > settled))
    last = tx.scalar(sa.select(sa.func.max(audit_checkpoint.c.at)))
    since = max(filter(None, (waits, last)), default=now) if waits else now
    told = "For how long events have waited for the seal of the audit log."
    return _gauge("audit_seal_age_seconds", told, (), {(): max((now - since).total_seconds(), 0.0)})


def _outbox(tx: sa.Connection, now: datetime) -> Iterator[GaugeMetricFamily]:
    waiting = {(name,): number for name, number in outbox.waiting(tx).items()}
    yield _gauge("deliveries_waiting", "Deliveries under way to a connection.", ("connection",), waiting)
    told = "For how long the oldest delivery has been under way."
    yield _gauge("delivery_oldest_seconds", told, (), {(): outbox.oldest(tx, now).total_seconds()})


def _pool(house: House) -> Iterator[GaugeMetricFamily]:
    if isinstance(pool := house.db.engine.pool, sa.QueuePool):
        states = {("in_use",): pool.checkedout(), ("idle",): pool.checkedin(), ("kept",): pool.size()}
        yield _gauge("database_connections", "Connections of this console to the database.", ("state",), states)


def _alive(house: House) -> Iterator[GaugeMetricFamily]:
    """Yield since when workers and schedulers have not been heard of; nothing where Redis does not answer."""
    try:
        heard = wake.heard(house.settings, house.clock())
    except (redis.RedisError, OSError):
        return
    ages: dict[tuple[str, ...], float] = {}
    for (kind, _name), seconds in heard.items():
        ages[kind,] = min(seconds, ages.get((kind,), seconds))
    counts = Counter((kind,) for kind, _name in heard)
    yield _gauge("processes", "Processes that were heard of within the last minutes.", ("kind",), counts)
    told = "Seconds since the last sign of life of any process of a kind."
    yield _gauge("heartbeat_seconds", told, ("kind",), ages)
