"""What people ask for once a run has ended: to carry out the plan of a simulation, or to undo a run."""

from __future__ import annotations

import sqlalchemy as sa

from rules.text import Message
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.extensions import Actor, House
from webapp.runs import plans
from webapp.runs.claims import one_at_a_time
from webapp.runs.models import run
from webapp.runs.reading import RunRow, get
from webapp.runs.requests import RunRefused, insert, refuse_while_at_work


def approve(house: House, run_id: int, actor: Actor) -> int:
    """Request the run that carries out the plan of a simulation and return its number; raises `RunRefused`.

    It executes the rule in the version, and with the tables, that the simulation had.
    """
    with house.db.begin() as tx:
        row = get(tx, run_id)
        one_at_a_time(tx, row.rule_id)
        _refuse(plans.hindrance(tx, row, house.clock(), house.settings.plan_days))
        refuse_while_at_work(tx, row.rule_id, row.rule_name)
        new = _follow(house, tx, row, "approved", actor)
        event = Event(Tag.RUN_APPROVED, Subject("rule", row.rule_name), None, {"approved_as": new}, run_id=run_id)
        record(tx, actor, house.clock(), event)
    return new


def _follow(house: House, tx: sa.Connection, row: RunRow, kind: str, actor: Actor) -> int:
    """Request a run about an earlier one, on the same document and tables."""
    names = ("rule_id", "rule_name", "rule_version", "document", "uses", "schemas")
    found = tx.execute(sa.select(*(run.c[name] for name in names)).where(run.c.id == row.id)).one()
    values = {**found._mapping, "mode": "live", "kind": kind, "parameters": {"of": row.id}}  # noqa: SLF001
    if kind == "approved":
        values["expected"] = row.counts["read"]
    return insert(house, tx, values, actor)


def _refuse(reason: Message | None) -> None:
    if reason is not None:
        raise RunRefused(reason)
