"""Cases of records whose steps could not be taken back: opened and closed by what becomes of them."""

from __future__ import annotations

import sqlalchemy as sa

from rules.text import N_, msg
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.cases import history
from webapp.cases.history import Deed
from webapp.cases.models import case_item
from webapp.runs import hooks
from webapp.runs.hooks import SagaMoved

KIND = "saga"


def register() -> None:
    """Hang this room in where such records begin and end to wait; done once in every process that may do either."""
    if saga_moved not in hooks.sagas:
        hooks.sagas.append(saga_moved)


def saga_moved(tx: sa.Connection, moved: SagaMoved) -> None:
    """Open the case of a record that waits, or close it once nothing is left to see to."""
    origin = f"saga:{moved.saga}"
    known = tx.execute(sa.select(case_item.c.id, case_item.c.state).where(case_item.c.origin == origin)).one_or_none()
    if moved.stuck and known is None:
        _open(tx, origin, moved)
    elif not moved.stuck and known is not None and known.state == "open":
        _close(tx, known.id, moved)


def _open(tx: sa.Connection, origin: str, moved: SagaMoved) -> None:
    text = N_("The step '{step}' could not be taken back in {place}")
    title = msg(text, step=moved.step, place=moved.place)
    head = {"kind": KIND, "state": "open", "opened_at": moved.at, "opened_by": moved.by.name[:128], "subject": ""}
    told = {"title": str(title)[:500], "details": {"title": title.to_json()}, "rule_name": moved.rule_name}
    made = tx.execute(sa.insert(case_item).values(**head, **told, origin=origin).returning(case_item.c.id))
    number = made.scalar_one()
    subject = Subject("case", str(number))
    record(tx, moved.by, moved.at, Event(Tag.CASE_OPENED, subject, None, {**told, "origin": origin}))
    history.note(tx, [number], Deed("opened", moved.at, moved.by.name, moved.run_id))


def _close(tx: sa.Connection, number: int, moved: SagaMoved) -> None:
    said = str(msg("A person has seen to it, or it was taken back."))
    values = {"state": "closed", "closed_at": moved.at, "closed_by": moved.by.name[:128], "resolution": said}
    tx.execute(sa.update(case_item).where(case_item.c.id == number).values(values))
    after = {"state": "closed", "resolution": said}
    record(tx, moved.by, moved.at, Event(Tag.CASE_CLOSED, Subject("case", str(number)), {"state": "open"}, after))
    history.note(tx, [number], Deed("closed", moved.at, moved.by.name))
