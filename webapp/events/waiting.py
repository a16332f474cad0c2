"""What waits for people: told once a run and rule with its counts, not once a record.

`case.opened` holds how many cases a run has opened, by what was found, or the case that a person or an event rule has
opened; `case.assigned` who was given how many cases; `quarantine.added` how many records a run has parked for the first
time. Each has the address of the page where they wait. People who wish so are told by e-mail (`notices`); of what waits
for an approval, everybody who may approve it is told.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa

from rules.text import N_, msg
from webapp.access import hooks as access_hooks
from webapp.approvals import hooks as approval_hooks
from webapp.approvals.hooks import Told
from webapp.cases import hooks as case_hooks
from webapp.cases.hooks import Assigned, Opened
from webapp.events import notices
from webapp.events.intake import Incoming, store
from webapp.events.listening import depth_of, listened
from webapp.events.notices import Line, Wish
from webapp.runs import hooks as run_hooks
from webapp.runs.hooks import Ended
from webapp.runs.models import pair_case, quarantine, run_chunk
from webapp.runs.models import run as run_table

OPENED, ASSIGNED, ADDED = "case.opened", "case.assigned", "quarantine.added"


def register() -> None:
    """Hang in where runs end and cases are opened and given; done once in every process that may do either."""
    if run_ended not in run_hooks.ended:
        run_hooks.ended.append(run_ended)
        case_hooks.opened.append(case_opened)
        case_hooks.assigned.append(cases_assigned)
    if approval_moved not in approval_hooks.told:
        approval_hooks.told.append(approval_moved)
    if notices.forget not in access_hooks.deleted:
        access_hooks.deleted.append(notices.forget)


def run_ended(tx: sa.Connection, ended: Ended) -> None:
    """Tell of the cases that a live run has opened, of the records that it has parked, and of its not ending well."""
    wishes = notices.wishes(tx)
    heard = {OPENED, ADDED} & listened(tx)
    if ended.mode != "live" or not (heard or wishes):
        return
    since = _since(tx, ended)
    found = _opened(tx, ended, since)
    parked = _parked(tx, ended, since)
    if found and OPENED in heard:
        address = f"/cases/?rule={quote(ended.rule_name)}"
        data = {"run": ended.run_id, "rule": ended.rule_name, "cases": sum(found.values()), "situations": found}
        _store(tx, f"case/{ended.run_id}/{ended.token}", OPENED, ended.at, {**data, "address": address})
    if parked and ADDED in heard:
        data = {"run": ended.run_id, "rule": ended.rule_name, "records": parked}
        _store(tx, f"parked/{ended.run_id}/{ended.token}", ADDED, ended.at, {**data, "address": _parked_at(ended)})
    for name in notices.owners(tx, ended.rule_name) & wishes.keys():
        lines = [line for wish, line in _lines(ended, sum(found.values()), parked) if wish in wishes[name]]
        notices.add(tx, f"run/{ended.run_id}/{ended.token}/{name}", name, lines, ended.at)


def _lines(ended: Ended, opened: int, parked: int) -> Iterator[tuple[Wish, Line]]:
    rule, run, page = ended.rule_name, ended.run_id, f"/runs/{ended.run_id}"
    if ended.state == "failed":
        yield (
            Wish.STOPPED,
            Line(msg("Run {run} of {rule} has failed. {why}", run=run, rule=rule, why=ended.message), page),
        )
    if ended.state == "suspended":
        yield Wish.STOPPED, Line(msg("Run {run} of {rule} waits. {why}", run=run, rule=rule, why=ended.message), page)
    if ended.state == "cancelled" and ended.message:  # by Syncline: whoever cancels a run gives no reason
        yield (
            Wish.STOPPED,
            Line(msg("Run {run} of {rule} was cancelled. {why}", run=run, rule=rule, why=ended.message), page),
        )
    if opened:
        text = N_("New cases of {rule}: {count} (run {run})")
        yield Wish.OPENED, Line(msg(text, count=opened, rule=rule, run=run), f"/cases/?rule={quote(rule)}")
    if parked:
        text = N_("New in the quarantine of {rule}: {count} (run {run})")
        yield Wish.PARKED, Line(msg(text, count=parked, rule=rule, run=run), _parked_at(ended))


def _parked_at(ended: Ended) -> str:
    return f"/quarantine/?rule={quote(ended.rule_name)}&run={ended.run_id}"


def _since(tx: sa.Connection, ended: Ended) -> datetime | None:
    """Return when the run checked in its first chunk since it last ended: what was before has been told of.

    A worker that dies or gives its run back tells nothing, so what counts is what was told, not who has worked.
    """
    told = sa.select(run_table.c.told_chunks).where(run_table.c.id == ended.run_id).scalar_subquery()
    mine = (run_chunk.c.run_id == ended.run_id, run_chunk.c.no > told, run_chunk.c.state == "done")
    found: datetime | None = tx.scalar(sa.select(sa.func.min(run_chunk.c.at)).where(*mine))
    return found


def _opened(tx: sa.Connection, ended: Ended, since: datetime | None) -> dict[str, int]:
    """Return how many pairs have begun to wait for a person in this run, by what was found."""
    if since is None or not ended.counts.get("cases"):
        return {}
    table = pair_case.c
    mine = (table.rule_name == ended.rule_name, table.run_id == ended.run_id, table.first_at >= since)
    query = sa.select(table.situation, sa.func.count()).where(*mine, table.state != "settled")
    return {row[0]: row[1] for row in tx.execute(query.group_by(table.situation).order_by(table.situation))}


def _parked(tx: sa.Connection, ended: Ended, since: datetime | None) -> int:
    if since is None or not ended.counts.get("quarantined"):
        return 0
    table = quarantine.c
    mine = (table.run_id == ended.run_id, table.first_at >= since, table.state == "open")
    return int(tx.scalar(sa.select(sa.func.count()).select_from(quarantine).where(*mine)) or 0)


def case_opened(tx: sa.Connection, opened: Opened) -> None:
    """Tell of a case that a person or an event rule has opened."""
    if OPENED not in listened(tx):
        return
    names = ("case", "kind", "title", "subject", "assignee")
    data = {**{name: getattr(opened, name) for name in names}, "rule": opened.rule_name, "cases": 1}
    data |= {"by": opened.actor.name, "address": f"/cases/{opened.case}"}
    _store(tx, f"case/{opened.case}/opened", OPENED, opened.at, data, depth_of(tx, opened.actor))


def cases_assigned(tx: sa.Connection, given: Assigned) -> None:
    """Tell that somebody has been given cases; who takes a case knows it already."""
    number, first = len(given.cases), given.cases[0]
    address = f"/cases/{first}" if number == 1 else "/cases/?mine=1"
    if ASSIGNED in listened(tx):
        data = {"cases": number, "case": first, "assignee": given.assignee, "by": given.actor.name, "address": address}
        uid = f"case/{first}/{given.assignee}/{given.at.isoformat()}"
        _store(tx, uid, ASSIGNED, given.at, data, depth_of(tx, given.actor))
    if given.actor.name != given.assignee and Wish.ASSIGNED in notices.wishes(tx).get(given.assignee, ()):
        text = msg("Cases given to you by {who}: {count}", who=given.actor.name, count=number)
        if number == 1:
            text = msg("{who} has given you case {case}.", who=given.actor.name, case=first)
        uid = f"assigned/{first}/{given.assignee}/{given.at.isoformat()}"
        notices.add(tx, uid, given.assignee, [Line(text, address)], given.at)


def approval_moved(tx: sa.Connection, told: Told) -> None:
    """Tell those who may approve of a proposal, and its author of what became of it; nobody has to wish for it."""
    for name in told.usernames:
        notices.add(tx, f"{told.uid}/{name}", name, [Line(told.message, told.path)], told.at)


def _store(tx: sa.Connection, uid: str, kind: str, at: datetime, data: dict[str, Any], depth: int = 0) -> None:
    store(tx, [Incoming(uid[:200], kind, at, data, depth)], kind.partition(".")[0], at)
