"""Runs that follow from the order of rules: what a rule depends on first, and records that wait for other records."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

import polars as pl
import sqlalchemy as sa

import webapp.runs.pipeline.referencing  # noqa: F401 - knows what is linked
from rules.text import msg
from webapp.extensions import Actor, House
from webapp.rulebook import reading as rulebook
from webapp.rulebook.linking import Shelf
from webapp.rulebook.relations import all_before, published_graph
from webapp.runs import ordering
from webapp.runs.claims import one_at_a_time
from webapp.runs.models import dependants_due, quarantine, run
from webapp.runs.pipeline.named import has_key
from webapp.runs.reading import ACTIVE
from webapp.runs.requests import RETRY, RunRefused, records, start

_MOST = 1000
"""So many records are retried at once; the next run of their rule retries them all."""
_AGAIN = timedelta(seconds=15)
"""After this time the dispatcher looks at what is still due: the worker has died, or a rule was at work."""
_AT_ONCE = 20
"""Of so many runs at a time."""

log = logging.getLogger(__name__)


def start_in_order(house: House, name: str, mode: str, actor: Actor) -> list[int]:
    """Request runs of all rules that come before a rule, then of itself; return their numbers, its own the last.

    Each waits for those of the rules before its own, and is called off unless they end well. A whole live run that is
    at work already counts as the run of its rule. Raises `RunRefused`.
    """
    if mode != "live":
        raise RunRefused(msg("Rules run in order live only: a simulation links nothing that others could follow."))
    with house.db.begin() as tx:
        row = rulebook.find(tx, name)
        numbers: dict[str, int] = {}
        graph = published_graph(tx)
        for one in all_before(tx, name, (row.published or {}) if row else {}):
            working = _at_work(tx, one)
            numbers[one] = working or start(house, one, mode, actor, tx=tx)
            if working is None:  # what others have asked for, or works already, does not wait for what is new
                ordering.wait_for(tx, numbers[one], [numbers[n] for n in graph.get(one, ()) if n in numbers], well=True)
        run_id = start(house, name, mode, actor, tx=tx)
        ordering.wait_for(tx, run_id, numbers.values(), well=True)
        return [*numbers.values(), run_id]


def _at_work(tx: sa.Connection, name: str) -> int | None:
    mine = (run.c.rule_name == name, run.c.mode == "live", run.c.kind == "sync", run.c.state.in_(ACTIVE))
    found = tx.scalar(sa.select(run.c.id).where(*mine))
    return None if found is None else int(found)


def retry_dependants(house: House, run_id: int) -> list[int]:
    """Request runs over the parked records that wait for records which are linked by now; return their numbers.

    Those that wait for records of the rule that has run, and those of that rule itself: what they wait for may have
    been linked while it was at work. What the run itself was asked for is not asked for again, since nothing would come
    of it. A rule that is paused is left alone: its next run retries them anyway. For one that is at work or about to
    run, they are looked at again, since it may not end well.

    That it is due is noted with the end of the run, and forgotten once it is done: whoever dies meanwhile, the
    dispatcher does it again, and a record that has been retried is not ready any more.
    """
    with house.db.read() as tx:
        both = sa.select(run.c.rule_name, run.c.parameters).join(dependants_due, dependants_due.c.run_id == run.c.id)
        due = tx.execute(both.where(run.c.id == run_id)).one_or_none()
        if due is None:
            return []
        waiting = _waiting(tx, due.rule_name, due.parameters or {})
        busy = set(tx.scalars(_at_work_on({row.rule_name for row in waiting})))
    ready = _ready(house, [row for row in waiting if row.rule_name not in busy])
    started = []
    for name in dict.fromkeys(row.rule_name for row in ready):
        wanted = [{"side": row.side, "key": row.left_key} for row in ready if row.rule_name == name]
        number = _retry(house, name, wanted[:_MOST])
        started += [] if number is None else [number]
    _looked(house, run_id, again=bool(busy))
    return started


def retry_forgotten(house: House) -> list[int]:
    """Do what `retry_dependants` does for runs that ended a while ago and for which it is still due."""
    now, at = house.clock(), dependants_due.c.looked_at
    # what was looked at later than now was looked at before the clock was set back
    long_ago = sa.or_(at < now - _AGAIN, at > now + _AGAIN)
    with house.db.read() as tx:
        runs = tx.scalars(sa.select(dependants_due.c.run_id).where(long_ago).order_by(at).limit(_AT_ONCE)).all()
    started = []
    for run_id in runs:
        try:
            started += retry_dependants(house, run_id)
        except sa.exc.OperationalError:
            raise
        except Exception:
            log.exception("what waits for the records of run %s could not be retried", run_id)
            _looked(house, run_id, again=True)
    return started


def _looked(house: House, run_id: int, *, again: bool) -> None:
    """Note that the dependants of a run have been looked at; unless that is due `again`, it is over."""
    mine = dependants_due.c.run_id == run_id
    later = sa.update(dependants_due).where(mine).values(looked_at=house.clock())
    with house.db.begin() as tx:
        tx.execute(later if again else sa.delete(dependants_due).where(mine))


def _at_work_on(names: Iterable[str]) -> sa.Select[tuple[str]]:
    return sa.select(run.c.rule_name).where(
        run.c.rule_name.in_(list(names)), run.c.mode == "live", run.c.state.in_(ACTIVE)
    )


def _waiting(tx: sa.Connection, name: str, parameters: Mapping[str, Any]) -> list[sa.Row[Any]]:
    """Return the entries that a run of a rule concerns and that can be looked up, but for those it was asked for."""
    q = quarantine.c
    columns = (q.rule_name, q.side, q.left_key, q.place, q.stage, q.waits_rule, q.waits_side, q.waits_key)
    mine = sa.or_(q.waits_rule == name, q.rule_name == name)
    query = sa.select(*columns).where(mine, q.waits_rule.is_not(None), q.state == "open").order_by(q.id)
    asked = {(name, one["side"], one["key"]) for one in parameters.get("records", [])}
    rows: list[sa.Row[Any]] = list(tx.execute(query.limit(10 * _MOST)))
    return [row for row in rows if has_key(row) and (row.rule_name, row.side, row.left_key) not in asked]


def _ready(house: House, waiting: list[sa.Row[Any]]) -> list[sa.Row[Any]]:
    """Return the entries whose records are linked by now."""
    shelf, found = Shelf(house.db.read), []
    for rule, side in dict.fromkeys((row.waits_rule, row.waits_side) for row in waiting if row.waits_rule in shelf):
        rows = [row for row in waiting if (row.waits_rule, row.waits_side) == (rule, side)]
        partners = shelf[rule].partners(side, pl.Series([row.waits_key for row in rows], dtype=pl.String))
        found += [row for row, partner in zip(rows, partners, strict=True) if partner is not None]
    return found


def _retry(house: House, name: str, wanted: list[dict[str, str]]) -> int | None:
    with house.db.begin() as tx:
        row = rulebook.find(tx, name)
        if row is None or row.published is None or row.state != rulebook.ACTIVE:
            return None
        one_at_a_time(tx, row.id)
        if tx.scalar(_at_work_on([name])) is not None:
            return None
        try:
            return records(house, name, wanted, RETRY, tx)
        except RunRefused as refusal:
            log.info("rule %s: records that wait were not retried: %s", name, refusal.message)
            return None
