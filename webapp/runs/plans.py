"""The plan of a simulation: whether it can be approved, what it holds, and how long it is kept."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from rules.documents.policies import Execute
from rules.documents.sync import Direction
from rules.reconcile.agreement import executed_way
from rules.reconcile.situations import Outcome
from rules.text import N_, Message, msg
from webapp.rulebook import reading as rulebook
from webapp.rulebook.library import pins
from webapp.rulebook.usage import asks
from webapp.runs import plan_cases, reading
from webapp.runs.models import run, run_chunk, run_record
from webapp.runs.reading import RECORD, RecordRow, RunRow
from webapp.runs.sight import sight_of_run
from webapp.runs.sight_records import Shown

PLANNED = ("sync", "part", "rebaseline")
"""Kinds of runs whose simulations can be approved."""
_FIELDS = ("before", "after", "own_before", "own_after")


@dataclass(frozen=True)
class Group:
    """Records of a plan for which the same was found and is to be done."""

    situation: str | None
    outcome: str
    records: int


@dataclass(frozen=True)
class Wanted:
    """Which records of a plan are asked for; empty texts ask for all."""

    situation: str = ""
    outcome: str = ""
    field: str = ""


def expires(row: RunRow, days: int) -> datetime:
    """Return until when the plan of a simulation can be approved."""
    return (row.ended_at or row.requested_at) + timedelta(days=days)


def about(tx: sa.Connection, row: RunRow, kind: str) -> list[int]:
    """Return the runs of a kind ("approved", "undo") that are about a run, the latest first."""
    query = sa.select(run.c.id, run.c.parameters).where(run.c.rule_id == row.rule_id, run.c.kind == kind)
    found = tx.execute(query.where(run.c.id > row.id).order_by(run.c.id.desc()))
    return [other.id for other in found if (other.parameters or {}).get("of") == row.id]


def hindrance(tx: sa.Connection, row: RunRow, now: datetime, days: int) -> Message | None:
    """Say why the plan of a run cannot be approved; None if it can."""
    if row.mode != "simulate" or row.kind not in PLANNED:
        return msg("Run {run} is not a simulation, so it has no plan.", run=row.id)
    if row.state != "succeeded":
        return msg("The simulation has not ended well, so its plan is not complete. Simulate the rule again.")
    if _pushed(tx, row):
        return msg(
            "The database of both sides carries this rule out itself, so the plan says what would be done but holds no"
            " values. Run the rule instead."
        )
    approvals = about(tx, row, "approved")
    if approvals:
        return msg("This plan was approved already; run {run} carries it out.", run=approvals[0])
    if expires(row, days) <= now or not _kept(tx, row):
        text = N_("This plan is older than {days} days and can no longer be approved. Simulate the rule again.")
        return msg(text, days=days)
    return _republished(tx, row) or _other_tables(tx, row)


def _pushed(tx: sa.Connection, row: RunRow) -> bool:
    document = tx.scalar(sa.select(run.c.document).where(run.c.id == row.id)) or {}
    return row.kind == "sync" and document.get("execute") == Execute.PUSHDOWN


def _republished(tx: sa.Connection, row: RunRow) -> Message | None:
    known = rulebook.find(tx, row.rule_name)
    if known is None or known.id != row.rule_id or known.published_version is None:
        return msg("The rule '{name}' is not published, so nothing may be written by it.", name=row.rule_name)
    if row.rule_version is None:
        return msg("This is a plan of a draft. Publish the rule, then simulate what is published.")
    if known.published_version != row.rule_version:
        text = N_(
            "The rule has been published anew since: this is a plan of version {old}, and now version {new} holds."
            " Simulate the rule again."
        )
        return msg(text, old=row.rule_version, new=known.published_version)
    return None


def _other_tables(tx: sa.Connection, row: RunRow) -> Message | None:
    """Say which table that the rule asks has been published anew since, None if there is none."""
    then = tx.execute(sa.select(run.c.uses, run.c.document).where(run.c.id == row.id)).one()
    now = pins(tx)
    for kind, names in (then.uses or {}).items():
        for name, version in names.items():
            if now.get(kind, {}).get(name) != version and asks(then.document, name):
                text = N_(
                    "The table '{name}', which the rule asks, has been published anew since. Simulate the rule again."
                )
                return msg(text, name=name)
    return None


def _kept(tx: sa.Connection, row: RunRow) -> bool:
    lost = sa.and_(run_chunk.c.run_id == row.id, run_chunk.c.plan.is_(None))
    return not tx.scalar(sa.select(sa.exists().where(lost)))


def forget(tx: sa.Connection, now: datetime, days: int) -> None:
    """Drop plans that can no longer be approved; what the simulations found stays."""
    old = sa.select(run.c.id).where(run.c.mode == "simulate", run.c.ended_at < now - timedelta(days=days))
    gone = (run_chunk.c.state == "done", run_chunk.c.plan.is_not(None), run_chunk.c.run_id.in_(old))
    tx.execute(sa.update(run_chunk).where(*gone).values(plan=None))


def groups(tx: sa.Connection, run_id: int) -> list[Group]:
    """Return how many records a plan creates, updates, deletes, parks, leaves out or asks about, by what was found."""
    columns = (run_record.c.situation, run_record.c.outcome)
    query = sa.select(*columns, sa.func.count()).where(run_record.c.run_id == run_id).group_by(*columns)
    order = [outcome.value for outcome in (Outcome.CREATED, Outcome.UPDATED, Outcome.DELETED)]
    rank = {name: place for place, name in enumerate(order)}
    found = [Group(*row) for row in tx.execute(query)]
    if reading.unlisted(reading.get(tx, run_id).counts):
        made = Outcome.CREATED.value
        numbers = Counter(one for part in reading.found(tx, run_id) for one in part.filter(outcome=made).rows())
        found = [group for group in found if group.outcome != made]
        found += [Group(situation, outcome, number) for (situation, outcome), number in numbers.items()]
    found += [Group(name, plan_cases.CASES, number) for name, number in plan_cases.numbers(tx, run_id).items()]
    return sorted(found, key=lambda g: (rank.get(g.outcome, len(rank)), g.situation or "", g.outcome))


def records(tx: sa.Connection, run_id: int, wanted: Wanted, after: int = 0, limit: int = 50) -> list[RecordRow]:
    """Return records of a plan in the order handled, behind row `after`; of those to be created the first ones.

    Only what who asks may see. Raises `NotPermitted` where they ask by a field that they do not see.
    """
    sight = sight_of_run(tx, run_id)
    sight.require_plain(wanted.field)
    query = sa.select(*RECORD).where(run_record.c.run_id == run_id, *_asked(wanted))
    return reading.listed(tx, query, Shown(tx, sight, run_id), after, limit)


def count(tx: sa.Connection, run_id: int, wanted: Wanted) -> int:
    """Return how many records of a plan are asked for, as far as they are listed; raises `NotPermitted`."""
    sight_of_run(tx, run_id).require_plain(wanted.field)
    query = sa.select(sa.func.count()).select_from(run_record).where(run_record.c.run_id == run_id, *_asked(wanted))
    return int(tx.scalar(query) or 0)


def _asked(wanted: Wanted) -> list[sa.ColumnElement[bool]]:
    asked = []
    if wanted.situation:
        none = wanted.situation == "none"
        asked.append(run_record.c.situation.is_(None) if none else run_record.c.situation == wanted.situation)
    if wanted.outcome:
        asked.append(run_record.c.outcome == wanted.outcome)
    if wanted.field:
        asked.append(_with_field(wanted.field))
    return asked


def _with_field(name: str) -> sa.ColumnElement[bool]:
    """Ask for records that change a field: its name stands in their JSON behind a brace or a comma.

    Inside a text of the JSON a quotation mark has a backslash before it, so no value looks like that.
    """
    key = json.dumps(name, ensure_ascii=False)
    return sa.or_(
        *(
            test
            for column in _FIELDS
            for test in (
                run_record.c[column].startswith(f"{{{key}:", autoescape=True),
                run_record.c[column].contains(f",{key}:", autoescape=True),
            )
        )
    )


def fields(document: dict[str, Any]) -> Sequence[str]:
    """Return the fields that a rule may write, on either side, by name."""
    sides = {Direction.LEFT_TO_RIGHT: ("right",), Direction.RIGHT_TO_LEFT: ("left",)}
    asked = sides.get(executed_way(document), ("left", "right"))
    return sorted({pair[side] for pair in document.get("fields") or [] for side in asked if pair.get(side)})
