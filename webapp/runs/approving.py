"""The plan of a simulation that its own author may not approve alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from rules.text import N_, Message, msg
from webapp.approvals import gate, hooks
from webapp.approvals.deeds import PLAN, Applier, Deed, Document, Order, register
from webapp.approvals.independence import BEFORE, in_the_same_hands
from webapp.audit.models import audit_event
from webapp.audit.tags import Tag
from webapp.extensions import Actor
from webapp.rulebook import approving as rules
from webapp.rulebook import reading as rulebook
from webapp.runs import plans, reading
from webapp.runs.models import run
from webapp.runs.reading import RunMissing, RunRow
from webapp.runs.requests import RunRefused

KIND = "plan"


def require(tx: sa.Connection, row: RunRow, actor: Actor) -> None:
    """Let an approval through that is not of one's own plan, or that a second person has given."""
    document = reading.document(tx, row.id)
    after = {"rule": row.rule_name, "carried_out": True}
    deed = Deed(KIND, str(row.id), (PLAN,), after, {"rule": row.rule_name}, {}, rules.written(tx, document))
    if gate.asks(tx, deed) and _own(tx, row, actor):
        gate.require(tx, deed)


def _own(tx: sa.Connection, row: RunRow, actor: Actor) -> bool:
    """Tell whether who approves can be who has asked for the simulation, in whatever session or by whatever key."""
    people, asked_by = hooks.the_people(), _asked_by(tx, row)
    if in_the_same_hands(tx, asked_by, actor, row.requested_at - BEFORE):
        return True
    here, there = people.acting(tx, actor), people.acting(tx, asked_by)
    if here is not None:
        names = {here.username.lower(), actor.name.lower()}
        return (there is not None and there.behind == here.behind) or row.requested_by.lower() in names
    return there is None and row.requested_by == actor.name


def _asked_by(tx: sa.Connection, row: RunRow) -> Actor:
    """Return who asked for a run, as the audit log knows."""
    event = audit_event.c
    query = sa.select(event.actor_kind, event.actor_name, event.actor_id)
    query = query.where(event.tag == Tag.RUN_REQUESTED.value, event.run_id == row.id)
    found = tx.execute(query.order_by(event.id).limit(1)).one_or_none()
    return Actor("user", row.requested_by) if found is None else Actor(*found)


def _read(tx: sa.Connection, subject: str) -> dict[str, Any] | None:
    tx.execute(sa.select(run.c.id).where(run.c.id == int(subject)).with_for_update())
    try:
        row = reading.get(tx, int(subject))
    except RunMissing:
        return None
    known = rulebook.find(tx, row.rule_name)
    published = None if known is None else known.published_version
    carried_out = bool(plans.about(tx, row, "approved"))
    return {"rule": row.rule_name, "published": published, "counts": row.counts, "carried_out": carried_out}


def _title(subject: str, _after: Document | None, detail: Document) -> Message:
    return msg("Carry out the plan of run {run} of {rule}", run=subject, rule=detail.get("rule", ""))


def offer(approve: Callable[[Order], None]) -> None:
    """Make approving plans known to the approvals, with the service that does it."""
    register(
        Applier(
            KIND, N_("Plan"), ("approve", "Runs"), _read, approve, _title, lambda run_id: f"/runs/{run_id}/plan",
            refusals=(RunRefused, RunMissing),
        )
    )  # fmt: skip
