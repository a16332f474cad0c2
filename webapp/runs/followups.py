"""What people ask for once a run has ended: to carry out the plan of a simulation, or to undo a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from rules.documents.sync import Direction
from rules.reconcile.agreement import executed_way
from rules.text import N_, Message, msg
from webapp.access import users
from webapp.approvals.deeds import Order
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.extensions import Actor, House
from webapp.policies.who import who_of
from webapp.rulebook import ownership
from webapp.rulebook import reading as rulebook
from webapp.rulebook import services as rules
from webapp.runs import approving, plans
from webapp.runs.claims import one_at_a_time
from webapp.runs.models import run
from webapp.runs.outbox.reading import not_undone as not_undelivered
from webapp.runs.pipeline.compensation import CHANGES
from webapp.runs.reading import RunRow, document, get
from webapp.runs.requests import RunRefused, insert, refuse_while_at_work, refuse_while_paused
from webapp.runs.sagas.reading import not_undone


def approve(house: House, run_id: int, actor: Actor) -> int:
    """Request the run that carries out the plan of a simulation and return its number; raises `RunRefused`.

    It executes the rule in the version, and with the tables, that the simulation had.
    """
    with house.db.begin() as tx:
        return approve_in(tx, house, run_id, actor)


def approve_in(tx: sa.Connection, house: House, run_id: int, actor: Actor) -> int:
    """Do what `approve` does within the caller's transaction."""
    row = get(tx, run_id)
    one_at_a_time(tx, row.rule_id)
    _refuse(plans.hindrance(tx, row, house.clock(), house.settings.plan_days))
    refuse_while_at_work(tx, row.rule_id, row.rule_name)
    refuse_while_paused(tx, row.rule_id, row.rule_name)
    approving.require(tx, row, actor)
    new = _follow(house, tx, row, "approved", actor)
    event = Event(Tag.RUN_APPROVED, Subject("rule", row.rule_name), None, {"approved_as": new}, run_id=run_id)
    record(tx, actor, house.clock(), event)
    return new


def undo(house: House, run_id: int, actor: Actor) -> int:
    """Request the run that undoes a finished run and return its number; raises `RunRefused`.

    The schedule of a rule that flows one way is paused, since its next run would write the same again.
    """
    with house.db.begin() as tx:
        row = get(tx, run_id)
        one_at_a_time(tx, row.rule_id)
        told = document(tx, run_id)
        _refuse(undo_hindrance(row) or not_undone(told, run_id) or not_undelivered(told, run_id))
        refuse_while_at_work(tx, row.rule_id, row.rule_name)
        refuse_while_paused(tx, row.rule_id, row.rule_name)
        _refuse(_lacks_owner(tx, row, told, actor))
        new = _follow(house, tx, row, "undo", actor)
        event = Event(Tag.RUN_UNDONE, Subject("rule", row.rule_name), None, {"undone_by": new}, run_id=run_id)
        record(tx, actor, house.clock(), event)
        if pauses(tx, row):
            rules.pause(house, row.rule_name, actor, tx)
    return new


def undo_hindrance(row: RunRow) -> Message | None:
    """Say why a run cannot be undone; None if it can."""
    if row.mode != "live":
        return msg("Run {run} wrote nothing, so there is nothing to undo.", run=row.id)
    if row.active:
        return msg("Run {run} is still at work. Wait for it, or cancel it.", run=row.id)
    if row.state in ("failed", "suspended"):
        return msg("Run {run} is not finished: resume it, or cancel it, before you undo it.", run=row.id)
    if not any(row.counts[name] for name in CHANGES):
        return msg("Run {run} wrote nothing, so there is nothing to undo.", run=row.id)
    return None


def _lacks_owner(tx: sa.Connection, row: RunRow, told: Mapping[str, Any], actor: Actor) -> Message | None:
    """Say why nobody may undo a run whose rule has been deleted: who asks has to hold the rights themselves."""
    known, own = rulebook.find(tx, row.rule_name), users.own_id(tx, actor)
    if own is None or (known is not None and known.id == row.rule_id):
        return None
    lacking = ownership.lacks(tx, who_of(tx, own), told)
    text = N_("The rule '{name}' has been deleted, so its run is undone with your rights: {problem}")
    return None if lacking is None else msg(text, name=row.rule_name, problem=lacking)


def pauses(tx: sa.Connection, row: RunRow) -> bool:
    """Tell whether undoing a run pauses the schedule of its rule."""
    known = rulebook.find(tx, row.rule_name)
    if known is None or known.published is None or known.state != rulebook.ACTIVE:
        return False
    return repeats(known.published) and bool(known.published.get("schedule"))


def repeats(document: Mapping[str, Any]) -> bool:
    """Tell whether the next run of a rule writes again what was undone: where values flow one way only."""
    return executed_way(document) is not Direction.TWO_WAY


def _follow(house: House, tx: sa.Connection, row: RunRow, kind: str, actor: Actor) -> int:
    """Request a run about an earlier one, on the same document and tables."""
    names = ("rule_id", "rule_name", "rule_version", "document", "uses", "schemas")
    found = tx.execute(sa.select(*(run.c[name] for name in names)).where(run.c.id == row.id)).one()
    values = {**found._mapping, "mode": "live", "kind": kind, "parameters": {"of": row.id}}  # noqa: SLF001
    if kind == "approved":
        values["expected"] = row.counts["read"]
    else:
        values["expected"] = sum(row.counts[name] for name in CHANGES)
    return insert(house, tx, values, actor)


def _refuse(reason: Message | None) -> None:
    if reason is not None:
        raise RunRefused(reason)


def _approved(order: Order) -> None:
    """Carry out a plan that a second person has approved."""
    approve_in(order.tx, order.house, int(order.subject), order.actor)


approving.offer(_approved)
